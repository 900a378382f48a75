/* SPDX-License-Identifier: MIT
 * The percentile spectrum as text: the `.hgrm` table that HdrHistogram's
 * outputPercentileDistribution writes and its public plotter
 * (hdrhistogram.github.io/HdrHistogram/plotFiles.html) reads.
 */
#ifndef TENK_LOADGEN_HGRM_H
#define TENK_LOADGEN_HGRM_H

#include <stdbool.h>
#include <stdio.h>

#include "loadgen/hist.h"

/*
 * Write h to out, values divided by scale_ns_per_unit (1e6: milliseconds, as is usual; 1: ns).
 *
 * Columns: Value, Percentile (0..1), TotalCount (cumulative), 1/(1-Percentile). Rows halve the
 * distance to 1 every 5 rows, as in the original. Percentile is of ALL requests: with infinite or
 * over-range ones the rows end at the last finite value, below 1.0, rather than give a time to a
 * request that has none. Footer lines begin with "#[", as readers expect: Mean, StdDeviation and
 *Max are of the finite requests, Total count is of all; then, only where there are some, one line
 *	#[Infinite = n, Overflow = n, Fraction = f]
 * says how many are missing above the last row. An empty histogram gives header and footer only.
 *
 * Returns false, errno set, when the stream failed; the stream stays the caller's.
 */
bool hgrm_write(FILE *out, const struct hist *h, double scale_ns_per_unit);

#endif
