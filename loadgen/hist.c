/* SPDX-License-Identifier: MIT */
#include "loadgen/hist.h"

#include <assert.h>
#include <math.h>
#include <string.h>

void hist_init(struct hist *h)
{
	memset(h, 0, sizeof(*h));
}

void hist_record_infinite(struct hist *h, uint64_t n)
{
	uint64_t *count = &h->counts[HIST_INFINITE_INDEX];

	__atomic_store_n(count, __atomic_load_n(count, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

void hist_merge(struct hist *dst, const struct hist *src)
{
	for (uint32_t i = 0; i < HIST_COUNTERS + 2; i++)
		dst->counts[i] += src->counts[i];
}

void hist_snapshot(struct hist *dst, const struct hist *live)
{
	for (uint32_t i = 0; i < HIST_COUNTERS + 2; i++)
		dst->counts[i] = __atomic_load_n(&live->counts[i], __ATOMIC_RELAXED);
}

void hist_subtract(struct hist *h, const struct hist *earlier)
{
	for (uint32_t i = 0; i < HIST_COUNTERS + 2; i++) {
		assert(h->counts[i] >= earlier->counts[i]);
		h->counts[i] -= earlier->counts[i];
	}
}

uint64_t hist_count(const struct hist *h)
{
	uint64_t count = 0;

	for (uint32_t i = 0; i < HIST_COUNTERS + 2; i++)
		count += h->counts[i];
	return count;
}

uint64_t hist_overflow(const struct hist *h)
{
	return h->counts[HIST_OVERFLOW_INDEX];
}

uint64_t hist_infinite(const struct hist *h)
{
	return h->counts[HIST_INFINITE_INDEX];
}

/* A counter's values share all bits but the lowest `shift` ones. */
static uint32_t index_shift(uint32_t index)
{
	return index < HIST_SUB_BUCKETS ? 0 : index / HIST_HALF - 1;
}

uint64_t hist_lowest(uint32_t index)
{
	uint32_t shift = index_shift(index);

	assert(index < HIST_COUNTERS);
	return (uint64_t)(index - shift * HIST_HALF) << shift;
}

uint64_t hist_highest(uint32_t index)
{
	return hist_lowest(index) + (UINT64_C(1) << index_shift(index)) - 1;
}

uint64_t hist_percentile(const struct hist *h, double pct)
{
	double all = (double)hist_count(h);
	uint64_t cumulative = 0;
	/*
	 * One step below the percentile asked for: 99.9 % of 1000 is 999.0000000000001 in doubles,
	 * and rounding that up would answer with the 1000th value. The original does the same.
	 */
	double below = fmin(fmax(nextafter(pct, -INFINITY), 0.0), 100.0);
	double rank = fmax(ceil(below * all / 100.0), 1.0);

	if (all == 0)
		return 0;
	for (uint32_t i = 0; i < HIST_COUNTERS; i++) {
		cumulative += h->counts[i];
		if ((double)cumulative >= rank)
			return pct > 0 ? hist_highest(i) : hist_lowest(i);
	}
	return HIST_INFINITE;
}

uint64_t hist_min(const struct hist *h)
{
	return hist_percentile(h, 0);
}

uint64_t hist_max(const struct hist *h)
{
	if (hist_overflow(h) || hist_infinite(h))
		return HIST_INFINITE;
	return hist_max_finite(h);
}

uint64_t hist_max_finite(const struct hist *h)
{
	for (uint32_t i = HIST_COUNTERS; i > 0; i--)
		if (h->counts[i - 1])
			return hist_highest(i - 1);
	return 0;
}

double hist_mean(const struct hist *h)
{
	if (hist_overflow(h) || hist_infinite(h))
		return INFINITY;
	return hist_mean_finite(h);
}

/* The value a counter stands for in means: HdrHistogram's medianEquivalentValue(). */
static double middle(const struct hist_iter *it)
{
	return (double)(it->lowest_ns + (it->highest_ns - it->lowest_ns + 1) / 2);
}

double hist_mean_finite(const struct hist *h)
{
	struct hist_iter it = hist_iter(h);
	double sum = 0;

	while (hist_next(&it))
		sum += middle(&it) * (double)it.count;
	return it.cumulative ? sum / (double)it.cumulative : NAN;
}

double hist_stddev_finite(const struct hist *h)
{
	struct hist_iter it = hist_iter(h);
	double mean = hist_mean_finite(h);
	double sum = 0;

	while (hist_next(&it))
		sum += (middle(&it) - mean) * (middle(&it) - mean) * (double)it.count;
	return it.cumulative ? sqrt(sum / (double)it.cumulative) : NAN;
}

struct hist_iter hist_iter(const struct hist *h)
{
	return (struct hist_iter){.hist = h, .index = UINT32_MAX};
}

bool hist_next(struct hist_iter *it)
{
	/* The first step wraps from UINT32_MAX to 0. */
	for (uint32_t i = it->index + 1; i < HIST_COUNTERS; i++) {
		if (!it->hist->counts[i])
			continue;
		it->index = i;
		it->lowest_ns = hist_lowest(i);
		it->highest_ns = hist_highest(i);
		it->count = it->hist->counts[i];
		it->cumulative += it->count;
		return true;
	}
	it->index = HIST_COUNTERS - 1;
	return false;
}
