/* SPDX-License-Identifier: MIT
 * A histogram of times in nanoseconds with HdrHistogram's bucket layout, plus the two kinds of
 * request HdrHistogram has no place for: the one that took longer than the range, and the one that
 * was never answered. Neither is dropped; both rank above every finite value.
 *
 * Layout: lowest discernible value 1 ns, highest trackable value 1 hour, 3 significant decimal
 * digits: 32 buckets of 2048 sub-buckets of which the lower half is shared, so 33 * 1024 counters.
 * A value below 2048 ns is kept exactly; a larger one shares its counter with values that differ
 * from it by less than one part in 1024. [G. Tene, HdrHistogram, AbstractHistogram.java;
 * http://hdrhistogram.org]. Results agree with that implementation except where said below.
 *
 * All times are nanoseconds. A struct hist is flat memory without pointers: it may live in a shared
 * mapping, be copied by assignment, and all bytes zero is an empty histogram (an anonymous mapping
 * needs no hist_init() and occupies only the pages that were recorded to). One writer; any number
 * of readers may look on with hist_snapshot() meanwhile. No function allocates or fails.
 */
#ifndef TENK_LOADGEN_HIST_H
#define TENK_LOADGEN_HIST_H

#include <stdbool.h>
#include <stdint.h>

#define HIST_LOWEST_NS      UINT64_C(1)
#define HIST_HIGHEST_NS     UINT64_C(3600000000000)
#define HIST_DIGITS         3
#define HIST_SUB_BITS       11 /* 2^11 is the least power of two above 2 * 10^HIST_DIGITS */
#define HIST_SUB_BUCKETS    (1u << HIST_SUB_BITS)
#define HIST_HALF           (HIST_SUB_BUCKETS / 2)
#define HIST_BUCKETS        32 /* 2048 << 31 is the first power of two beyond 1 h */
#define HIST_COUNTERS       ((HIST_BUCKETS + 1) * HIST_HALF)
#define HIST_OVERFLOW_INDEX HIST_COUNTERS
#define HIST_INFINITE_INDEX (HIST_COUNTERS + 1)

/* What a percentile, minimum or maximum is when it falls on a request without a known end. */
#define HIST_INFINITE UINT64_MAX

struct hist {
	/* HIST_COUNTERS finite ones, then the over-range one, then the infinite one. */
	_Alignas(64) uint64_t counts[HIST_COUNTERS + 2];
};

/* Which counter a value belongs to; HIST_OVERFLOW_INDEX above HIST_HIGHEST_NS. */
static inline uint32_t hist_index(uint64_t ns)
{
	uint32_t shift =
		64 - HIST_SUB_BITS - (uint32_t)__builtin_clzll(ns | (HIST_SUB_BUCKETS - 1));
	uint32_t index = shift * HIST_HALF + (uint32_t)(ns >> shift);

	return ns > HIST_HIGHEST_NS ? HIST_OVERFLOW_INDEX : index;
}

/* Record n requests that took `ns` each. */
static inline void hist_record_n(struct hist *h, uint64_t ns, uint64_t n)
{
	uint64_t *count = &h->counts[hist_index(ns)];

	/* Relaxed load and store, not a locked add: readers see old or new, writers are one. */
	__atomic_store_n(count, __atomic_load_n(count, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

/* Record one request that took `ns`: about eight instructions and one cache line. */
static inline void hist_record(struct hist *h, uint64_t ns)
{
	hist_record_n(h, ns, 1);
}

/* Record n requests that have no end: unanswered when the run ended, or never sent. */
void hist_record_infinite(struct hist *h, uint64_t n);

/* Make it empty. */
void hist_init(struct hist *h);

/* Add what src holds to dst, infinite and over-range ones included. */
void hist_merge(struct hist *dst, const struct hist *src);

/*
 * Copy a histogram that another thread or process may be recording to. Each counter is read whole;
 * requests recorded during the copy may or may not be in it.
 */
void hist_snapshot(struct hist *dst, const struct hist *live);

/* Take an earlier snapshot of the same histogram out of a later one: what is left is the interval.
 */
void hist_subtract(struct hist *h, const struct hist *earlier);

/* How many were recorded: all, those over range, and those without an end. Reads every counter. */
uint64_t hist_count(const struct hist *h);
uint64_t hist_overflow(const struct hist *h);
uint64_t hist_infinite(const struct hist *h);

/*
 * The least value that at least `pct` percent of all requests did not exceed (nearest rank, rounded
 * up), given as the highest value of its counter; at 0 the lowest value of the first counter. That
 * is AbstractHistogram.getValueAtPercentile() of HdrHistogram 2.1.11 and getValueAtPercentile() of
 * hdr-histogram-js 3.0. Over-range and infinite requests are part of "all": where the rank falls on
 * one of them the answer is HIST_INFINITE, since no upper bound of it is known. pct is cut to
 * 0..100. Of an empty histogram: 0.
 */
uint64_t hist_percentile(const struct hist *h, double pct);

/*
 * The lowest value of the least counter in use, and the highest of the greatest: getMinValue() and
 * getMaxValue(). HIST_INFINITE where that request is over-range or infinite: one unanswered request
 * makes the maximum infinite. hist_max_finite() leaves those out. Of an empty histogram: 0.
 */
uint64_t hist_min(const struct hist *h);
uint64_t hist_max(const struct hist *h);
uint64_t hist_max_finite(const struct hist *h);

/*
 * Mean: INFINITY as soon as one request is over-range or infinite, NAN of an empty histogram.
 * The finite ones leave those out, take every value as the middle of its counter, as getMean() and
 * getStdDeviation() do (the deviation divides by n, not n - 1), and are NAN when there is none.
 */
double hist_mean(const struct hist *h);
double hist_mean_finite(const struct hist *h);
double hist_stddev_finite(const struct hist *h);

/*
 * Walk the non-empty finite counters in rising order:
 *	struct hist_iter it = hist_iter(h);
 *	while (hist_next(&it)) use(it.lowest_ns, it.highest_ns, it.count);
 * Over-range and infinite requests are not visited; hist_overflow() and hist_infinite() have them.
 */
struct hist_iter {
	const struct hist *hist;
	uint32_t index;     /* of the current counter */
	uint64_t lowest_ns; /* the counter holds values lowest_ns..highest_ns */
	uint64_t highest_ns;
	uint64_t count;      /* in this counter */
	uint64_t cumulative; /* in this one and all below */
};

struct hist_iter hist_iter(const struct hist *h);
bool hist_next(struct hist_iter *it);

/* The least and greatest value that share counter `index` < HIST_COUNTERS. */
uint64_t hist_lowest(uint32_t index);
uint64_t hist_highest(uint32_t index);

#endif
