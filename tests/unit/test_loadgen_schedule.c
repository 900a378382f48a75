// SPDX-License-Identifier: MIT
/* Whose turn it is, how long, how often. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/clock.h"
#include "loadgen/schedule.h"

enum { N = 8 };

static struct options options;

static int reset(void **state)
{
	(void)state;
	options_defaults(&options);
	options.urls.count = 4;
	return 0;
}

static void a_round_has_every_target_once(void **state)
{
	(void)state;
	for (uint64_t round = 0; round < 1000; round++) {
		uint32_t order[N], seen = 0;

		schedule_order(7, round, N, order);
		for (int i = 0; i < N; i++) {
			assert_in_range(order[i], 0, N - 1);
			seen |= 1u << order[i];
		}
		assert_int_equal(seen, (1u << N) - 1);
	}
}

static void the_order_is_a_function_of_seed_and_round(void **state)
{
	uint32_t a[N], b[N], c[N], d[N];

	(void)state;
	schedule_order(7, 3, N, a);
	schedule_order(7, 3, N, b);
	schedule_order(7, 4, N, c);
	schedule_order(8, 3, N, d);
	assert_memory_equal(a, b, sizeof(a));
	assert_memory_not_equal(a, c, sizeof(a));
	assert_memory_not_equal(a, d, sizeof(a));
}

/* Chi-squared of target by place, 49 degrees of freedom: 85.4 is its 99.9 % point. */
static void every_target_comes_at_every_place_equally_often(void **state)
{
	enum { ROUNDS = 8000 };
	uint32_t counts[N][N] = {{0}}, order[N];
	double squares = 0, due = (double)ROUNDS / N;

	(void)state;
	for (uint64_t round = 0; round < ROUNDS; round++) {
		schedule_order(1, round, N, order);
		for (int i = 0; i < N; i++)
			counts[order[i]][i]++;
	}
	for (int i = 0; i < N; i++) {
		for (int k = 0; k < N; k++)
			squares += (counts[i][k] - due) * (counts[i][k] - due) / due;
	}
	assert_true(squares < 85.4);
}

static void a_pass_is_connections_by_rate(void **state)
{
	(void)state;
	/* 100 connections, 5000 replies in 100 ms: 50,000/s. */
	assert_int_equal(schedule_pass_ns(100, 5000, 100 * NS_PER_MS), 2 * NS_PER_MS);
	assert_int_equal(schedule_pass_ns(100, 0, 100 * NS_PER_MS), 0);
	assert_int_equal(schedule_pass_ns(10000000, 1, 3600 * NS_PER_S), 3600 * NS_PER_S);
}

static void a_server_of_many_connections_has_longer_to_fall_asleep(void **state)
{
	(void)state;
	/* 1 us for each idle one and 3 us for each busy one, and never a second, which nanosleep
	 * would refuse. */
	for (uint64_t n = 1; n <= 10000; n *= 10) {
		assert_true(schedule_rest_ns(1, n) >= 100000 + 1000 * n);
		assert_true(schedule_rest_ns(n, 1) >= 100000 + 3000 * n);
	}
	assert_true(schedule_rest_ns(100, 100) < 1000000);
	assert_true(schedule_rest_ns(UINT64_MAX, 0) < NS_PER_S);
	assert_true(schedule_rest_ns(0, UINT64_MAX) < NS_PER_S);
	assert_true(schedule_rest_ns(UINT64_MAX, UINT64_MAX) < NS_PER_S);
}

static void auto_is_passes_but_at_least_so_long(void **state)
{
	struct timing t = schedule_timing(&options, 0);

	(void)state;
	assert_int_equal(t.slice_ns, 50 * NS_PER_MS);
	assert_int_equal(t.settle_ns, 20 * NS_PER_MS);
	t = schedule_timing(&options, 4500000);
	assert_int_equal(t.slice_ns, 50 * NS_PER_MS);
	assert_int_equal(t.settle_ns, 22500000);
	t = schedule_timing(&options, 100 * NS_PER_MS);
	assert_int_equal(t.slice_ns, NS_PER_S);
	assert_int_equal(t.settle_ns, NS_PER_S / 2);
	options.slice_passes = 3;
	t = schedule_timing(&options, 100 * NS_PER_MS);
	assert_int_equal(t.slice_ns, 300 * NS_PER_MS);
	assert_int_equal(t.settle_ns, 150 * NS_PER_MS);
	t = schedule_timing(&options, 10 * NS_PER_MS);
	assert_int_equal(t.slice_ns, 50 * NS_PER_MS);
	assert_int_equal(t.settle_ns, 20 * NS_PER_MS);
	options.slice_ns = 7 * (int64_t)NS_PER_MS;
	options.settle_ns = 0;
	t = schedule_timing(&options, 100 * NS_PER_MS);
	assert_int_equal(t.slice_ns, 7 * NS_PER_MS);
	assert_int_equal(t.settle_ns, 0);
}

static void rounds_fill_the_duration_with_slices_of_different_length(void **state)
{
	struct timing t[4] = {
		{1, 50 * NS_PER_MS}, {1, 50 * NS_PER_MS}, {1, 300 * NS_PER_MS}, {1, NS_PER_S / 10}};

	(void)state;
	options.duration_ns = 10 * (int64_t)NS_PER_S;
	assert_int_equal(schedule_rounds(&options, t, 4), 20);
	options.duration_ns = (int64_t)NS_PER_S - 1;
	assert_int_equal(schedule_rounds(&options, t, 4), 1);
	assert_int_equal(t[2].slice_ns, 300 * NS_PER_MS);
	options.rounds = 7;
	assert_int_equal(schedule_rounds(&options, t, 4), 7);
}

static void a_duration_that_holds_no_round_shortens_what_is_auto(void **state)
{
	struct timing t[2] = {{NS_PER_S, 2 * NS_PER_S}, {3 * NS_PER_S, 6 * NS_PER_S}};

	(void)state;
	options.duration_ns = 2 * (int64_t)NS_PER_S;
	assert_int_equal(schedule_rounds(&options, t, 2), 1);
	assert_int_equal(t[0].slice_ns, NS_PER_S / 2);
	assert_int_equal(t[0].settle_ns, NS_PER_S / 4);
	assert_int_equal(t[1].slice_ns, 3 * NS_PER_S / 2);
	assert_int_equal(t[1].settle_ns, 3 * NS_PER_S / 4);
	/* A slice whose length was asked for is as long as that. */
	options.slice_ns = 6 * (int64_t)NS_PER_S;
	t[0] = schedule_timing(&options, NS_PER_S);
	assert_int_equal(schedule_rounds(&options, t, 1), 1);
	assert_int_equal(t[0].slice_ns, 6 * NS_PER_S);
}

static void no_plan_has_more_rounds_than_there_is_room_for(void **state)
{
	static const uint64_t passes[] = {0, 1, 4999999, 5000000, 5000001, 123456789};
	static const int64_t durations[] = {1000000, 49999999, 200000000, 10000000001};

	(void)state;
	for (size_t d = 0; d < sizeof(durations) / sizeof(*durations); d++) {
		for (size_t p = 0; p < sizeof(passes) / sizeof(*passes); p++) {
			struct timing t[4];

			options.duration_ns = durations[d];
			for (int i = 0; i < 4; i++)
				t[i] = schedule_timing(&options, passes[p]);
			assert_true(schedule_rounds(&options, t, 4) <=
				    schedule_rounds_most(&options));
			assert_true(schedule_cuts(&options, passes[p]) <=
				    schedule_cuts(&options, 0));
			assert_true(schedule_cuts(&options, passes[p]) >= 1);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_round_has_every_target_once, reset),
		cmocka_unit_test_setup(the_order_is_a_function_of_seed_and_round, reset),
		cmocka_unit_test_setup(every_target_comes_at_every_place_equally_often, reset),
		cmocka_unit_test_setup(a_pass_is_connections_by_rate, reset),
		cmocka_unit_test_setup(a_server_of_many_connections_has_longer_to_fall_asleep,
				       reset),
		cmocka_unit_test_setup(auto_is_passes_but_at_least_so_long, reset),
		cmocka_unit_test_setup(rounds_fill_the_duration_with_slices_of_different_length,
				       reset),
		cmocka_unit_test_setup(a_duration_that_holds_no_round_shortens_what_is_auto, reset),
		cmocka_unit_test_setup(no_plan_has_more_rounds_than_there_is_room_for, reset),
	};

	return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
