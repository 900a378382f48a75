/* SPDX-License-Identifier: MIT */
#include "loadgen/hgrm.h"

#include <assert.h>
#include <errno.h>
#include <math.h>

#define TICKS_PER_HALF_DISTANCE 5

/* The next percentile to report: each halving of the distance to 100 takes the same number of
 * steps. */
static double next_level(double level)
{
	double halvings = floor(log2(100.0 / (100.0 - level))) + 1;

	return level + 100.0 / (TICKS_PER_HALF_DISTANCE * exp2(halvings));
}

static void write_rows(FILE *out, const struct hist *h, double all, double scale)
{
	struct hist_iter it = hist_iter(h);
	double level = 0;

	while (hist_next(&it)) {
		double value = (double)it.highest_ns / scale;
		double reached = 100.0 * (double)it.cumulative / all;

		while (reached >= level) {
			fprintf(out, "%12.3f %2.12f %10llu %14.2f\n", value, level / 100.0,
				(unsigned long long)it.cumulative, 1 / (1 - level / 100.0));
			level = next_level(level);
			/* The last value is not repeated up to the limit of arithmetic: one row for
			 * the level it was reached by, one for 1.0, whose inverse distance is no
			 * number. */
			if (reached >= 100.0) {
				fprintf(out, "%12.3f %2.12f %10llu\n", value, 1.0,
					(unsigned long long)it.cumulative);
				return;
			}
		}
	}
}

bool hgrm_write(FILE *out, const struct hist *h, double scale_ns_per_unit)
{
	uint64_t all = hist_count(h);
	uint64_t missing = hist_overflow(h) + hist_infinite(h);
	bool some = all > missing;

	assert(scale_ns_per_unit > 0);
	errno = 0;
	fprintf(out, "%12s %14s %10s %14s\n\n", "Value", "Percentile", "TotalCount",
		"1/(1-Percentile)");
	if (some)
		write_rows(out, h, (double)all, scale_ns_per_unit);
	fprintf(out, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n",
		some ? hist_mean_finite(h) / scale_ns_per_unit : 0.0,
		some ? hist_stddev_finite(h) / scale_ns_per_unit : 0.0);
	fprintf(out, "#[Max     = %12.3f, Total count    = %12llu]\n",
		(double)hist_max_finite(h) / scale_ns_per_unit, (unsigned long long)all);
	fprintf(out, "#[Buckets = %12d, SubBuckets     = %12u]\n", HIST_BUCKETS, HIST_SUB_BUCKETS);
	if (missing)
		fprintf(out, "#[Infinite = %llu, Overflow = %llu, Fraction = %.9f]\n",
			(unsigned long long)hist_infinite(h), (unsigned long long)hist_overflow(h),
			(double)missing / (double)all);
	return fflush(out) == 0 && !ferror(out);
}
