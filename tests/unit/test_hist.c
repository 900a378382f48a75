/* SPDX-License-Identifier: MIT
 * The expected numbers were printed by HdrHistogram 2.1.11 (Java) and hdr-histogram-js 3.0.1, which
 * agree: tests/readers/KnownAnswers.java and known_answers.js print them again.
 */
#include "loadgen/hist.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct answer {
	double pct;
	uint64_t value_ns;
};

struct known {
	uint64_t count, min_ns, max_ns;
	double mean, stddev;
	struct answer percentiles[13];
};

static const struct known mixed = {
	.count = 100000,
	.min_ns = 20000,
	.max_ns = 2124935069695,
	.mean = 1095718577.391520,
	.stddev = 40079984203.865746,
	.percentiles = {{0, 20000},
			{0.001, 20015},
			{10, 49919},
			{25, 95231},
			{50, 170111},
			{75, 245631},
			{90, 290303},
			{99, 317439},
			{99.9, 319999},
			{99.95, 1141387558911},
			{99.99, 2005749727231},
			{99.999, 2118492618751},
			{100, 2124935069695}},
};

static const struct known thousand = {
	.count = 1000,
	.min_ns = 1,
	.max_ns = 1000,
	.mean = 500.5,
	.stddev = 288.674990,
	.percentiles = {{0, 1},
			{0.001, 1},
			{10, 100},
			{25, 250},
			{50, 500},
			{75, 750},
			{90, 900},
			{99, 990},
			{99.9, 999},
			{99.95, 1000},
			{99.99, 1000},
			{99.999, 1000},
			{100, 1000}},
};

static const struct known powers = {
	.count = 105,
	.min_ns = 0,
	.max_ns = 3601330077695,
	.mean = 106906868392.714280,
	.stddev = 438867466807.297300,
	.percentiles = {{0, 0},
			{0.001, 0},
			{10, 13},
			{25, 1093},
			{50, 2392063},
			{75, 1743781887},
			{90, 47076868095},
			{99, 1271310319615},
			{99.9, 3601330077695},
			{99.95, 3601330077695},
			{99.99, 3601330077695},
			{99.999, 3601330077695},
			{100, 3601330077695}},
};

/* The generator of Knuth's MMIX, so that every language draws the same values. */
static uint64_t draw(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *state >> 33;
}

static void fill_mixed(struct hist *h)
{
	uint64_t state = 1;

	for (int i = 0; i < 100000; i++) {
		uint64_t r = draw(&state);

		hist_record(h, i % 1000 == 0 ? r * 1000 : 20000 + r % 300000);
	}
}

static void fill_thousand(struct hist *h)
{
	for (uint64_t v = 1; v <= 1000; v++)
		hist_record(h, v);
}

static void fill_powers(struct hist *h)
{
	for (uint64_t v = 1; v < HIST_HIGHEST_NS; v = v * 3 + 1)
		hist_record_n(h, v, v % 7 + 1);
	hist_record(h, HIST_HIGHEST_NS);
	hist_record(h, 0);
}

static int setup(void **state)
{
	struct hist *h = aligned_alloc(64, sizeof(*h));

	if (!h)
		return -1;
	memset(h, 0xa5, sizeof(*h));
	hist_init(h);
	*state = h;
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

static struct hist *another(void)
{
	void *h = NULL;

	assert_int_equal(setup(&h), 0);
	return h;
}

static void assert_close(double got, double want, double relative)
{
	if (!(fabs(got - want) <= relative * fabs(want)))
		fail_msg("%.9g is not %.9g", got, want);
}

static void assert_known(const struct hist *h, const struct known *want)
{
	assert_int_equal(hist_count(h), want->count);
	assert_int_equal(hist_min(h), want->min_ns);
	assert_int_equal(hist_max(h), want->max_ns);
	assert_close(hist_mean(h), want->mean, 1e-12);
	assert_close(hist_stddev_finite(h), want->stddev, 1e-8);
	for (size_t i = 0; i < 13; i++)
		assert_int_equal(hist_percentile(h, want->percentiles[i].pct),
				 want->percentiles[i].value_ns);
}

static void agrees_with_hdrhistogram_on_a_long_tailed_mixture(void **state)
{
	fill_mixed(*state);
	assert_known(*state, &mixed);
}

static void agrees_with_hdrhistogram_where_every_value_is_exact(void **state)
{
	fill_thousand(*state);
	assert_known(*state, &thousand);
}

static void agrees_with_hdrhistogram_over_the_whole_range(void **state)
{
	fill_powers(*state);
	assert_known(*state, &powers);
}

static void percentile_rounds_the_rank_up(void **state)
{
	struct hist *h = *state;

	for (uint64_t v = 1; v <= 10; v++)
		hist_record(h, v);
	assert_int_equal(hist_percentile(h, 10), 1);
	assert_int_equal(hist_percentile(h, 11), 2);
	assert_int_equal(hist_percentile(h, 14), 2);
	assert_int_equal(hist_percentile(h, 50), 5);
	assert_int_equal(hist_percentile(h, 50.1), 6);
	assert_int_equal(hist_percentile(h, -5), 1);
	assert_int_equal(hist_percentile(h, 105), 10);
}

static void buckets_are_those_of_hdrhistogram(void **state)
{
	static const uint64_t rows[][3] = {
		/* value, lowestEquivalentValue(), highestEquivalentValue() */
		{0, 0, 0},
		{1, 1, 1},
		{2047, 2047, 2047},
		{2048, 2048, 2049},
		{2049, 2048, 2049},
		{4095, 4094, 4095},
		{4096, 4096, 4099},
		{10007, 10000, 10007},
		{123456789, 123404288, 123469823},
		{3599999999999, 3599182594048, 3601330077695},
		{3600000000000, 3599182594048, 3601330077695},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint32_t index = hist_index(rows[i][0]);

		assert_int_equal(hist_lowest(index), rows[i][1]);
		assert_int_equal(hist_highest(index), rows[i][2]);
	}
}

static void counters_tile_the_range_without_gap(void **state)
{
	(void)state;
	assert_int_equal(hist_lowest(0), 0);
	for (uint32_t i = 0; i < HIST_COUNTERS; i++) {
		uint64_t low = hist_lowest(i), high = hist_highest(i);

		assert_true(high >= low);
		assert_true(low < HIST_SUB_BUCKETS ? high == low : (high - low + 1) * 1024 <= low);
		if (i + 1 < HIST_COUNTERS)
			assert_int_equal(hist_lowest(i + 1), high + 1);
		if (high <= HIST_HIGHEST_NS) {
			assert_int_equal(hist_index(low), i);
			assert_int_equal(hist_index(high), i);
		}
	}
	assert_true(hist_highest(HIST_COUNTERS - 1) >= HIST_HIGHEST_NS);
}

static void over_range_values_are_counted_above_all_others(void **state)
{
	struct hist *h = *state;

	hist_record_n(h, 1000, 8);
	hist_record(h, HIST_HIGHEST_NS + 1);
	hist_record(h, UINT64_MAX);
	assert_int_equal(hist_overflow(h), 2);
	assert_int_equal(hist_infinite(h), 0);
	assert_int_equal(hist_count(h), 10);
	assert_int_equal(hist_percentile(h, 80), 1000);
	assert_int_equal(hist_percentile(h, 80.1), HIST_INFINITE);
	assert_int_equal(hist_max(h), HIST_INFINITE);
	assert_int_equal(hist_max_finite(h), 1000);
	assert_true(isinf(hist_mean(h)));
	assert_true(hist_mean_finite(h) == 1000);
}

static void the_highest_trackable_value_is_not_over_range(void **state)
{
	hist_record(*state, HIST_HIGHEST_NS);
	assert_int_equal(hist_overflow(*state), 0);
	assert_true(hist_max(*state) != HIST_INFINITE);
}

static void requests_without_an_end_make_the_percentiles_they_reach_infinite(void **state)
{
	struct hist *h = *state;

	hist_record_n(h, 1000, 989);
	hist_record(h, HIST_HIGHEST_NS + 1);
	hist_record_infinite(h, 4);
	hist_record_infinite(h, 6);
	assert_int_equal(hist_infinite(h), 10);
	assert_int_equal(hist_count(h), 1000);
	assert_int_equal(hist_percentile(h, 98.9), 1000);
	assert_int_equal(hist_percentile(h, 99), HIST_INFINITE);
	assert_int_equal(hist_percentile(h, 100), HIST_INFINITE);
	assert_int_equal(hist_min(h), 1000);
	assert_int_equal(hist_max(h), HIST_INFINITE);
	assert_true(isinf(hist_mean(h)));
}

static void with_only_endless_requests_nothing_is_finite(void **state)
{
	hist_record_infinite(*state, 3);
	assert_int_equal(hist_percentile(*state, 0), HIST_INFINITE);
	assert_int_equal(hist_percentile(*state, 50), HIST_INFINITE);
	assert_int_equal(hist_min(*state), HIST_INFINITE);
	assert_int_equal(hist_max_finite(*state), 0);
	assert_true(isinf(hist_mean(*state)));
	assert_true(isnan(hist_mean_finite(*state)));
	assert_true(isnan(hist_stddev_finite(*state)));
}

static void empty_histogram_has_count_zero_and_no_mean(void **state)
{
	struct hist_iter it = hist_iter(*state);

	assert_int_equal(hist_count(*state), 0);
	assert_int_equal(hist_percentile(*state, 99), 0);
	assert_int_equal(hist_min(*state), 0);
	assert_int_equal(hist_max(*state), 0);
	assert_true(isnan(hist_mean(*state)));
	assert_false(hist_next(&it));
	assert_false(hist_next(&it));
}

static void all_bytes_zero_is_an_empty_histogram(void **state)
{
	struct hist *zero = another();

	memset(zero, 0, sizeof(*zero));
	assert_memory_equal(zero, *state, sizeof(*zero));
	free(zero);
}

static void merging_parts_equals_recording_the_whole(void **state)
{
	struct hist *part[3] = {another(), another(), another()};
	struct hist *merged = another();
	struct hist *whole = *state;
	uint64_t random = 7;

	for (int i = 0; i < 30000; i++) {
		uint64_t value = draw(&random) % 3 ? draw(&random) : draw(&random) << 12;

		hist_record(part[i % 3], value);
		hist_record(whole, value);
	}
	hist_record_infinite(part[1], 5);
	hist_record_infinite(whole, 5);
	assert_true(hist_overflow(whole) > 0);
	for (int i = 0; i < 3; i++) {
		hist_merge(merged, part[i]);
		free(part[i]);
	}
	assert_memory_equal(merged, whole, sizeof(*whole));
	free(merged);
}

static void subtracting_a_snapshot_leaves_the_interval(void **state)
{
	struct hist *live = *state, *before = another(), *now = another(), *expected = another();

	fill_mixed(live);
	hist_record_infinite(live, 2);
	hist_snapshot(before, live);
	assert_memory_equal(before, live, sizeof(*live));
	fill_powers(live);
	hist_record_infinite(live, 3);
	hist_snapshot(now, live);
	hist_subtract(now, before);
	fill_powers(expected);
	hist_record_infinite(expected, 3);
	assert_memory_equal(now, expected, sizeof(*now));
	free(before);
	free(now);
	free(expected);
}

static void iterator_visits_each_used_counter_once_in_order(void **state)
{
	struct hist_iter it = hist_iter(*state);
	uint64_t total = 0, last = 0;
	int visited = 0;

	hist_record_n(*state, 5, 2);
	hist_record_n(*state, 2048, 3);
	hist_record_n(*state, 2049, 4);
	hist_record_n(*state, HIST_HIGHEST_NS, 5);
	hist_record_infinite(*state, 6);
	while (hist_next(&it)) {
		assert_true(it.lowest_ns >= last);
		assert_true(it.highest_ns >= it.lowest_ns);
		total += it.count;
		assert_int_equal(it.cumulative, total);
		last = it.highest_ns;
		visited++;
	}
	assert_int_equal(visited, 3);
	assert_int_equal(total, 14);
}

static void counts_beyond_32_bits_are_kept(void **state)
{
	hist_record_n(*state, 100, UINT64_C(1) << 40);
	hist_record(*state, 200);
	assert_int_equal(hist_count(*state), (UINT64_C(1) << 40) + 1);
	assert_int_equal(hist_percentile(*state, 99.999), 100);
	assert_int_equal(hist_percentile(*state, 100), 200);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(agrees_with_hdrhistogram_on_a_long_tailed_mixture),
		TEST(agrees_with_hdrhistogram_where_every_value_is_exact),
		TEST(agrees_with_hdrhistogram_over_the_whole_range),
		TEST(percentile_rounds_the_rank_up),
		TEST(buckets_are_those_of_hdrhistogram),
		TEST(counters_tile_the_range_without_gap),
		TEST(over_range_values_are_counted_above_all_others),
		TEST(the_highest_trackable_value_is_not_over_range),
		TEST(requests_without_an_end_make_the_percentiles_they_reach_infinite),
		TEST(with_only_endless_requests_nothing_is_finite),
		TEST(empty_histogram_has_count_zero_and_no_mean),
		TEST(all_bytes_zero_is_an_empty_histogram),
		TEST(merging_parts_equals_recording_the_whole),
		TEST(subtracting_a_snapshot_leaves_the_interval),
		TEST(iterator_visits_each_used_counter_once_in_order),
		TEST(counts_beyond_32_bits_are_kept),
	};

	return cmocka_run_group_tests_name("hist", tests, NULL, NULL);
}
