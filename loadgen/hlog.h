/* SPDX-License-Identifier: MIT
 * An HdrHistogram interval log (`.hlog`), format version 1.3 with V2-compressed histograms: what
 *the public HistogramLogReader and HistogramLogAnalyzer read. One line per interval and tag:
 *	[Tag=NAME,]start s,length s,maximum,base64 of the compressed histogram
 * Start is seconds since the log's base time, the maximum is in milliseconds.
 *
 * The histogram is encoded as in AbstractHistogram.encodeIntoCompressedByteBuffer() of HdrHistogram
 * 2.1: counts as ZigZag LEB128, runs of zeros as one negative number, then zlib, then base64.
 * Values are nanoseconds. The format has no place for requests without an end: over-range and
 * infinite ones are left out of the encoded counts and stated in a comment line before the
 *interval,
 *	#[TenkUnended: tag NAME, start s, infinite n, overflow n]
 */
#ifndef TENK_LOADGEN_HLOG_H
#define TENK_LOADGEN_HLOG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "loadgen/hist.h"

struct hlog;

/*
 * Begin a log on `out`, which stays the caller's and must outlive the log. start_realtime_ns is
 * CLOCK_REALTIME at time 0 of the intervals; comment, NULL for none, becomes a comment line (its
 * newlines become spaces). Returns NULL, errno set, when memory or the stream failed.
 */
struct hlog *hlog_open(FILE *out, uint64_t start_realtime_ns, const char *comment);

/*
 * Append one interval, from start_ns to end_ns after the log's start. tag, NULL for none, must not
 * hold a comma, blank or line end (EINVAL). Returns false, errno set, when it could not be written.
 */
bool hlog_interval(struct hlog *log, const char *tag, uint64_t start_ns, uint64_t end_ns,
		   const struct hist *h);

/* Flush and free. False, errno set, if anything since hlog_open() failed. NULL is allowed. */
bool hlog_close(struct hlog *log);

#endif
