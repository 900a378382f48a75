// SPDX-License-Identifier: MIT
/* The arrival process: declared distribution, reproducible, exact over long runs, divisible. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "loadgen/arrival.h"

enum { GAPS = 20000 };

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The Kolmogorov-Smirnov distance of n sorted gaps from the exponential distribution. */
static double exponential_distance(const double *gaps, size_t n, double mean)
{
	double worst = 0;

	for (size_t i = 0; i < n; i++) {
		double expected = 1 - exp(-gaps[i] / mean);
		double below = fabs(expected - (double)i / (double)n);
		double above = fabs(expected - (double)(i + 1) / (double)n);

		worst = fmax(worst, fmax(below, above));
	}
	return worst;
}

static void read_gaps(struct arrival *a, double *gaps, size_t n)
{
	uint64_t before = 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t at = arrival_next(a);

		gaps[i] = (double)(at - before);
		before = at;
	}
}

static void poisson_gaps_pass_a_kolmogorov_smirnov_test(void **state)
{
	static double gaps[GAPS];
	struct arrival a;

	(void)state;
	for (uint64_t seed = 1; seed <= 5; seed++) {
		arrival_init(&a, ARRIVAL_POISSON, 20e3, seed);
		read_gaps(&a, gaps, GAPS);
		qsort(gaps, GAPS, sizeof(*gaps), compare_doubles);
		/* The 0.1 % critical value is 1.95 / sqrt(n); the seeds are fixed, so it holds. */
		assert_true(exponential_distance(gaps, GAPS, 50e3) < 1.95 / sqrt(GAPS));
	}
}

static void the_test_tells_other_gaps_from_exponential_ones(void **state)
{
	static double gaps[GAPS];
	struct arrival a;

	(void)state;
	arrival_init(&a, ARRIVAL_FIXED, 20e3, 1);
	read_gaps(&a, gaps, GAPS);
	qsort(gaps, GAPS, sizeof(*gaps), compare_doubles);
	assert_true(exponential_distance(gaps, GAPS, 50e3) > 0.3);
	arrival_init(&a, ARRIVAL_POISSON, 21e3, 1);
	read_gaps(&a, gaps, GAPS);
	qsort(gaps, GAPS, sizeof(*gaps), compare_doubles);
	assert_true(exponential_distance(gaps, GAPS, 50e3) > 1.95 / sqrt(GAPS));
}

/* Counts per 1 ms must have variance = mean, which correlated gaps would not give. */
static void poisson_counts_are_as_dispersed_as_poisson_counts(void **state)
{
	enum { CELLS = 4000, PER_CELL = 20 };
	static unsigned int counts[CELLS];
	double statistic = 0;
	struct arrival a;
	uint64_t at;

	(void)state;
	arrival_init(&a, ARRIVAL_POISSON, 20e3, 7);
	while ((at = arrival_next(&a)) / 1000000 < CELLS)
		counts[at / 1000000]++;
	for (int i = 0; i < CELLS; i++)
		statistic += pow(counts[i] - (double)PER_CELL, 2) / PER_CELL;
	/* Chi-square with CELLS degrees of freedom: mean CELLS, deviation sqrt(2 CELLS). */
	assert_true(fabs(statistic - CELLS) < 4 * sqrt(2 * CELLS));
}

static void the_rate_is_right_within_a_thousandth(void **state)
{
	struct arrival a;
	uint64_t at = 0;

	(void)state;
	arrival_init(&a, ARRIVAL_POISSON, 1e6, 3);
	for (int i = 0; i < 4000000; i++)
		at = arrival_next(&a);
	assert_true(fabs((double)at / 4e9 - 1) < 0.001 * 2);
	arrival_init(&a, ARRIVAL_FIXED, 1e6, 3);
	for (int i = 0; i <= 4000000; i++)
		at = arrival_next(&a);
	assert_int_equal(at, 4000000000);
}

static void fixed_arrivals_do_not_drift(void **state)
{
	struct arrival a;

	(void)state;
	arrival_init(&a, ARRIVAL_FIXED, 3, 1); /* a gap that is no whole number of nanoseconds */
	for (uint64_t i = 0; i < 300000; i++) {
		uint64_t at = arrival_next(&a), exact = i * 1000000000 / 3;

		assert_true(at >= exact && at <= exact + 1);
	}
}

static void the_same_seed_gives_the_same_arrivals_and_another_does_not(void **state)
{
	struct arrival a, b, c;
	int same = 0;

	(void)state;
	arrival_init(&a, ARRIVAL_POISSON, 1000, 42);
	arrival_init(&b, ARRIVAL_POISSON, 1000, 42);
	arrival_init(&c, ARRIVAL_POISSON, 1000, 43);
	for (int i = 0; i < 1000; i++) {
		uint64_t at = arrival_next(&a);

		assert_int_equal(at, arrival_next(&b));
		same += at == arrival_next(&c);
	}
	assert_true(same < 10);
}

static void shares_together_are_the_whole_process(void **state)
{
	struct arrival whole, parts[3];

	(void)state;
	arrival_init(&whole, ARRIVAL_POISSON, 1000, 5);
	for (unsigned int k = 0; k < 3; k++) {
		arrival_init(&parts[k], ARRIVAL_POISSON, 1000, 5);
		arrival_share(&parts[k], k, 3);
	}
	for (int i = 0; i < 3000; i++)
		assert_int_equal(arrival_next(&whole), arrival_next(&parts[i % 3]));
}

/* What arrival_count() must agree with. */
static uint64_t count_one_by_one(struct arrival a, uint64_t from_ns, uint64_t until_ns)
{
	uint64_t n = 0, at;

	while ((at = arrival_next(&a)) < until_ns)
		n += at >= from_ns;
	return n;
}

static void assert_counted(const struct arrival *a, uint64_t from_ns, uint64_t until_ns)
{
	struct arrival copy = *a;
	uint64_t estimated = 99;

	assert_int_equal(arrival_count(&copy, from_ns, until_ns, UINT64_MAX, &estimated),
			 count_one_by_one(*a, from_ns, until_ns));
	assert_int_equal(estimated, 0);
}

static void arrivals_are_counted_as_if_one_by_one(void **state)
{
	static const double rates[] = {0.5, 3, 1000, 12345.678, 7e6, 1e9};
	uint64_t times[1000];

	(void)state;
	for (size_t i = 0; i < 1000; i++)
		times[i] = i / 3 * 1000; /* some at the same time */
	for (size_t k = 0; k < 3 * sizeof(rates) / sizeof(*rates); k++) {
		struct arrival a;
		uint64_t span_ns = (uint64_t)(1000.5e9 / rates[k / 3]);

		if (k % 3 == 0)
			arrival_init_trace(&a, times, 1000);
		else
			arrival_init(&a, k % 3 == 1 ? ARRIVAL_FIXED : ARRIVAL_POISSON, rates[k / 3],
				     k);
		if (k % 3 == 0)
			span_ns = 350 * (k + 1) * 100;
		for (unsigned int shares = 1; shares < 4; shares++) {
			arrival_share(&a, shares - 1, shares);
			assert_counted(&a, 0, span_ns);
			assert_counted(&a, span_ns / 3, span_ns);
			arrival_next(&a); /* what was taken is not counted again */
			arrival_next(&a);
			assert_counted(&a, 0, span_ns);
			assert_counted(&a, span_ns / 2, span_ns + 1);
			assert_counted(&a, span_ns, span_ns);
			assert_counted(&a, span_ns, span_ns / 2);
		}
	}
}

static void what_is_too_much_to_draw_is_estimated_and_said_to_be(void **state)
{
	struct arrival a;
	uint64_t estimated, n;

	(void)state;
	for (unsigned int shares = 1; shares < 5; shares += 3) {
		arrival_init(&a, ARRIVAL_POISSON, 1e9, 7);
		arrival_share(&a, 0, shares);
		n = arrival_count(&a, 500000000, UINT64_C(86400000000000), 1000, &estimated);
		assert_int_equal(n, estimated);
		/* A second has a thousand million; the first half second is not asked about. */
		assert_int_equal(estimated, UINT64_C(86399500000000) / shares);
	}
	arrival_init(&a, ARRIVAL_FIXED, 1e9, 7);
	n = arrival_count(&a, 0, UINT64_C(86400000000000), 0, &estimated);
	assert_int_equal(n, UINT64_C(86400000000000));
	assert_int_equal(estimated, 0);
}

static char *write_trace(const char *text)
{
	static char path[64];
	FILE *out;
	int fd;

	snprintf(path, sizeof(path), "/tmp/tenk-trace-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	out = fdopen(fd, "w");
	fputs(text, out);
	fclose(out);
	return path;
}

static void a_trace_is_read_and_replayed(void **state)
{
	const char *path = write_trace("# made up\n0\n0.5\n\n 1.25 # late\n1.25\n");
	char reason[128] = "";
	struct arrival a;
	uint64_t *times;
	size_t n;

	(void)state;
	times = arrival_read_trace(path, &n, reason, sizeof(reason));
	unlink(path);
	assert_non_null(times);
	assert_int_equal(n, 4);
	arrival_init_trace(&a, times, n);
	assert_int_equal(arrival_next(&a), 0);
	assert_int_equal(arrival_next(&a), 500000000);
	assert_int_equal(arrival_next(&a), 1250000000);
	assert_int_equal(arrival_next(&a), 1250000000);
	assert_true(arrival_next(&a) == ARRIVAL_NEVER);
	assert_true(arrival_next(&a) == ARRIVAL_NEVER);
	free(times);
}

static void a_bad_trace_is_refused_with_its_line(void **state)
{
	static const char *const bad[] = {"1\n0.5\n", "1\nx\n", "1\n-2\n", "", "# nothing\n"};
	char reason[128];
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		const char *path = write_trace(bad[i]);

		*reason = '\0';
		assert_null(arrival_read_trace(path, &n, reason, sizeof(reason)));
		assert_true(*reason);
		if (i < 3)
			assert_non_null(strstr(reason, "line 2"));
		unlink(path);
	}
	assert_null(arrival_read_trace("/dev/zero", &n, reason, sizeof(reason)));
	assert_non_null(strstr(reason, "line 1 is not text"));
	assert_null(arrival_read_trace("/", &n, reason, sizeof(reason)));
	assert_non_null(strstr(reason, "Is a directory"));
	assert_null(arrival_read_trace("/nonexistent/trace", &n, reason, sizeof(reason)));
	assert_non_null(strstr(reason, "No such file"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(poisson_gaps_pass_a_kolmogorov_smirnov_test),
		cmocka_unit_test(the_test_tells_other_gaps_from_exponential_ones),
		cmocka_unit_test(poisson_counts_are_as_dispersed_as_poisson_counts),
		cmocka_unit_test(the_rate_is_right_within_a_thousandth),
		cmocka_unit_test(fixed_arrivals_do_not_drift),
		cmocka_unit_test(the_same_seed_gives_the_same_arrivals_and_another_does_not),
		cmocka_unit_test(shares_together_are_the_whole_process),
		cmocka_unit_test(arrivals_are_counted_as_if_one_by_one),
		cmocka_unit_test(what_is_too_much_to_draw_is_estimated_and_said_to_be),
		cmocka_unit_test(a_trace_is_read_and_replayed),
		cmocka_unit_test(a_bad_trace_is_refused_with_its_line),
	};

	return cmocka_run_group_tests_name("arrival", tests, NULL, NULL);
}
