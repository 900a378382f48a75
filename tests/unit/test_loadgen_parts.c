// SPDX-License-Identifier: MIT
/* The parts of a session that know neither socket nor clock: ring, window, pace, opening. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/clock.h"
#include "loadgen/opening.h"
#include "loadgen/pace.h"
#include "loadgen/ring.h"
#include "loadgen/window.h"

/* --- ring ----------------------------------------------------------------------------------- */

static void a_ring_gives_back_in_order_however_often_it_goes_round(void **state)
{
	struct ring r;
	uint32_t in = 0, out = 0;

	(void)state;
	assert_true(ring_init(&r, 5));
	for (int round = 0; round < 100; round++) {
		while (r.length < 5)
			ring_push(&r, in++);
		for (int i = 0; i < round % 5 + 1; i++)
			assert_int_equal(ring_pop(&r), out++);
	}
	while (r.length)
		assert_int_equal(ring_pop(&r), out++);
	assert_int_equal(in, out);
	free(r.items);
}

/* --- window --------------------------------------------------------------------------------- */

static void a_window_has_its_beginning_and_not_its_end(void **state)
{
	struct window w = {.edge_ns = UINT64_MAX};

	(void)state;
	assert_false(window_has(&w, 0)); /* none was planned: nothing is in it */
	window_plan(&w, 100, 50);
	assert_false(window_has(&w, 99));
	assert_true(window_has(&w, 100));
	assert_true(window_has(&w, 149));
	assert_false(window_has(&w, 150));
	assert_int_equal(window_end(&w), 150);
}

static void requests_in_flight_count_between_the_edges_only(void **state)
{
	struct window w = {.edge_ns = UINT64_MAX, .until_ns = 10};

	(void)state;
	window_account(&w, 7, 20); /* before anything was planned */
	window_plan(&w, 100, 50);
	window_account(&w, 2, 90);
	window_account(&w, 3, 110); /* 10 of these 20 are within */
	window_account(&w, 4, 140);
	window_account(&w, 5, 170); /* 10 of these 30 are within */
	window_account(&w, 9, 400);
	assert_int_equal(window_inflight(&w), 3 * 10 + 4 * 30 + 5 * 10);
}

static void one_look_may_pass_both_edges(void **state)
{
	struct window w = {.edge_ns = UINT64_MAX};

	(void)state;
	window_plan(&w, 100, 50);
	window_account(&w, 6, 1000);
	assert_int_equal(window_inflight(&w), 6 * 50);
	assert_int_equal(w.integral_ns, 6 * 1000);
}

static void a_window_cut_short_has_what_was_in_flight_so_far(void **state)
{
	struct window w = {.edge_ns = UINT64_MAX};

	(void)state;
	window_plan(&w, 100, 50);
	window_account(&w, 6, 120);
	assert_int_equal(window_inflight(&w), 6 * 20);
}

static void windows_may_follow_each_other(void **state)
{
	struct window w = {.edge_ns = UINT64_MAX};

	(void)state;
	for (uint64_t at = 1000; at < 5000; at += 1000) {
		window_account(&w, 8, at);
		window_open(&w, at);
		assert_true(window_has(&w, at) && window_has(&w, at + 1000000));
		window_account(&w, 2, at + 300);
		window_account(&w, 3, at + 500);
		window_close(&w, at + 500);
		assert_int_equal(w.length_ns, 500);
		assert_int_equal(window_inflight(&w), 2 * 300 + 3 * 200);
		assert_false(window_has(&w, at + 500));
	}
}

/* --- pace ----------------------------------------------------------------------------------- */

static void each_pace_sleeps_and_spins_as_it_says(void **state)
{
	const uint64_t now = 5 * NS_PER_S, far = now + NS_PER_S, near = now + 1;
	struct pace p;
	bool spin;

	(void)state;
	pace_init(&p, PACE_SLEEP);
	assert_int_equal(pace_until(&p, far, now, &spin), far);
	assert_false(spin);
	assert_int_equal(pace_until(&p, near, now, &spin), near);
	assert_false(spin);
	pace_init(&p, PACE_SPIN);
	assert_int_equal(pace_until(&p, far, now, &spin), now);
	assert_true(spin);
	pace_init(&p, PACE_HYBRID);
	assert_int_equal(pace_until(&p, far, now, &spin), far - p.lead_ns);
	assert_false(spin);
	assert_int_equal(pace_until(&p, now + p.lead_ns, now, &spin), now);
	assert_true(spin);
}

static void the_lead_follows_how_late_sleeps_end(void **state)
{
	struct pace p;

	(void)state;
	pace_init(&p, PACE_HYBRID);
	pace_learn(&p, 400 * NS_PER_US); /* half as much again, at once */
	assert_int_equal(p.lead_ns, 600 * NS_PER_US);
	pace_learn(&p, 0); /* forgotten slowly */
	assert_in_range(p.lead_ns, 580 * NS_PER_US, 600 * NS_PER_US - 1);
	for (int i = 0; i < 1000; i++)
		pace_learn(&p, 1);
	assert_int_equal(p.lead_ns, 50 * NS_PER_US);
	pace_learn(&p, 3600 * NS_PER_S);
	assert_int_equal(p.lead_ns, NS_PER_MS);
}

/* --- opening -------------------------------------------------------------------------------- */

static void make_opening(struct opening *o, uint32_t items)
{
	*o = (struct opening){.at_ns = 1000};
	assert_true(ring_init(&o->queue, items + 1));
	for (uint32_t i = 0; i < items; i++)
		ring_push(&o->queue, i);
}

static void connections_are_opened_at_the_rate_of_this_worker(void **state)
{
	struct opening o;
	uint32_t item = 99;

	(void)state;
	make_opening(&o, 4);
	opening_set_rate(&o, 1000, 2); /* half of them are the other worker's */
	assert_false(opening_take(&o, 999, &item));
	assert_int_equal(item, 99);
	assert_true(opening_take(&o, 1000, &item));
	assert_int_equal(item, 0);
	assert_false(opening_take(&o, 1000 + 2 * NS_PER_MS - 1, &item));
	assert_true(opening_take(&o, 1000 + 2 * NS_PER_MS, &item));
	assert_int_equal(item, 1);
	free(o.queue.items);
}

static void a_delay_is_not_made_up_for_in_a_burst(void **state)
{
	struct opening o;
	uint32_t item;

	(void)state;
	make_opening(&o, 100);
	opening_set_rate(&o, 1000, 1);
	assert_true(opening_take(&o, NS_PER_S, &item)); /* a second late */
	assert_true(opening_take(&o, NS_PER_S, &item)); /* from here on */
	assert_false(opening_take(&o, NS_PER_S, &item));
	free(o.queue.items);
}

static void without_a_rate_all_are_opened_at_once(void **state)
{
	struct opening o;
	uint32_t item;

	(void)state;
	make_opening(&o, 3);
	opening_set_rate(&o, 0, 1);
	for (uint32_t i = 0; i < 3; i++) {
		assert_true(opening_take(&o, 1000, &item));
		assert_int_equal(item, i);
	}
	assert_false(opening_take(&o, UINT64_MAX, &item));
	free(o.queue.items);
}

static void failures_put_the_next_off_ever_longer_up_to_a_limit(void **state)
{
	uint64_t now = 1000, due = NS_PER_MS;
	struct opening o;

	(void)state;
	make_opening(&o, 1);
	for (int i = 0; i < 20; i++) {
		opening_back_off(&o, now);
		assert_int_equal(o.at_ns, now + due);
		opening_back_off(&o, now); /* one that fails at the same time adds nothing */
		assert_int_equal(o.at_ns, now + due);
		now = o.at_ns;
		due = 2 * due < 250 * NS_PER_MS ? 2 * due : 250 * NS_PER_MS;
	}
	o.backoff_ns = 0; /* one succeeded */
	opening_back_off(&o, now);
	assert_int_equal(o.at_ns, now + NS_PER_MS);
	free(o.queue.items);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_ring_gives_back_in_order_however_often_it_goes_round),
		cmocka_unit_test(a_window_has_its_beginning_and_not_its_end),
		cmocka_unit_test(requests_in_flight_count_between_the_edges_only),
		cmocka_unit_test(one_look_may_pass_both_edges),
		cmocka_unit_test(a_window_cut_short_has_what_was_in_flight_so_far),
		cmocka_unit_test(windows_may_follow_each_other),
		cmocka_unit_test(each_pace_sleeps_and_spins_as_it_says),
		cmocka_unit_test(the_lead_follows_how_late_sleeps_end),
		cmocka_unit_test(connections_are_opened_at_the_rate_of_this_worker),
		cmocka_unit_test(a_delay_is_not_made_up_for_in_a_burst),
		cmocka_unit_test(without_a_rate_all_are_opened_at_once),
		cmocka_unit_test(failures_put_the_next_off_ever_longer_up_to_a_limit),
	};

	return cmocka_run_group_tests_name("parts of a session", tests, NULL, NULL);
}
