/* SPDX-License-Identifier: MIT
 * A histogram as bytes and as text, in the V2 encodings of HdrHistogram 2.1 that the public readers
 * decode: AbstractHistogram.encodeIntoByteBuffer(), and that compressed by zlib and in base64, as
 * in an interval log. Counts are ZigZag LEB128, runs of zeros one negative number. Values are
 * nanoseconds. The format has no place for requests without an end: over-range and infinite ones
 * are left out, and it is for the caller to say how many.
 */
#ifndef TENK_LOADGEN_HIST_CODE_H
#define TENK_LOADGEN_HIST_CODE_H

#include <stddef.h>
#include <stdint.h>

#include "loadgen/hist.h"

/* The most that hist_encode() writes: a head, and nine bytes for each counter. */
#define HIST_ENCODED_BYTES (40 + HIST_COUNTERS * 9)

/* Write the encoded histogram to `to`, HIST_ENCODED_BYTES long; how many bytes it took. */
size_t hist_encode(uint8_t *to, const struct hist *h);

/* The same compressed and in base64, "HISTFAAA...": for free(3). NULL, errno set, on failure. */
char *hist_text(const uint8_t *encoded, size_t len);

#endif
