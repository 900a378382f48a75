/* SPDX-License-Identifier: MIT
 * What the fuzz targets share.
 */
#ifndef TENK_TESTS_FUZZ_H
#define TENK_TESTS_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/drive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Bytes of 0xf0 and more become 2 … 65536 letters; the fuzzer need not find long lines by itself.
 */
static inline void fuzz_unfold(struct text *stream, const uint8_t *data, size_t size)
{
	static const char letters[64] =
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

	for (size_t i = 0; i < size && stream->len < (1 << 17); i++) {
		size_t left = data[i] < 0xf0 ? 0 : (size_t)2 << (data[i] - 0xf0);

		if (!left)
			text_add(stream, (const char *)&data[i], 1);
		for (size_t n; left; left -= n) {
			n = left < sizeof(letters) ? left : sizeof(letters);
			text_add(stream, letters, n);
		}
	}
}

/* Say what is wrong, show both sides, and end as a crash, which libFuzzer keeps the input of. */
static inline void fuzz_fail(const char *wrong, const struct text *in, const struct text *out)
{
	fprintf(stderr, "WRONG: %s\n--- in (%zu bytes)\n", wrong, in->len);
	fwrite(in->data, 1, in->len < 2048 ? in->len : 2048, stderr);
	fprintf(stderr, "\n--- out (%zu bytes)\n", out->len);
	fwrite(out->data, 1, out->len < 2048 ? out->len : 2048, stderr);
	fputc('\n', stderr);
	abort();
}

#endif
