// SPDX-License-Identifier: MIT
#include "loadgen/stamps.h"

#include <linux/errqueue.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/clock.h"

static void the_closest_reading_of_the_clocks_stands(void **state)
{
	struct stamps_clock clock = {0};

	(void)state;
	stamps_clock_learn(&clock, 1000, 51100, 1200); /* 50,000 ahead, to 100 ns */
	assert_int_equal(clock.ahead_ns, 50000);
	assert_int_equal(clock.error_ns, 100);
	stamps_clock_learn(&clock, 2000, 52010, 2020); /* closer */
	assert_int_equal(clock.ahead_ns, 50000);
	assert_int_equal(clock.error_ns, 10);
	stamps_clock_learn(&clock, 3000, 53090, 3100); /* wider, and no contradiction */
	assert_int_equal(clock.ahead_ns, 50000);
	assert_int_equal(clock.error_ns, 10);
	assert_int_equal(clock.steps, 0);
}

static void a_reading_that_contradicts_the_others_is_a_new_time_of_day(void **state)
{
	struct stamps_clock clock = {0};

	(void)state;
	stamps_clock_learn(&clock, 1000, 51010, 1020);
	stamps_clock_learn(&clock, 2000, 45100, 2200); /* set back by some 7,000 ns */
	assert_int_equal(clock.ahead_ns, 43000);
	assert_int_equal(clock.error_ns, 100);
	assert_int_equal(clock.steps, 1);
}

static void a_time_of_day_behind_the_monotonic_clock_is_no_trouble(void **state)
{
	struct stamps_clock clock = {0};

	(void)state;
	stamps_clock_learn(&clock, 9000, 1010, 9020);
	assert_int_equal(clock.ahead_ns, -8000);
	assert_int_equal(stamps_within(&clock, 1500, 9000, 10000), 9500);
}

static void a_stamp_is_a_time_between_the_send_and_the_reading(void **state)
{
	struct stamps_clock clock = {.ahead_ns = 50000, .error_ns = 30, .measured = true};

	(void)state;
	assert_int_equal(stamps_within(&clock, 51500, 1000, 2000), 1500);
	/* Outside by less than the clocks' error: at the edge. */
	assert_int_equal(stamps_within(&clock, 50980, 1000, 2000), 1000);
	assert_int_equal(stamps_within(&clock, 52030, 1000, 2000), 2000);
	/* By more: it cannot be right. */
	assert_int_equal(stamps_within(&clock, 50969, 1000, 2000), 0);
	assert_int_equal(stamps_within(&clock, 52031, 1000, 2000), 0);
	assert_int_equal(stamps_within(&clock, 0, 1000, 2000), 0);
}

static void nothing_is_said_before_the_clocks_were_read(void **state)
{
	struct stamps_clock clock = {0};

	(void)state;
	assert_int_equal(stamps_within(&clock, 1500, 1000, 2000), 0);
	stamps_clock_measure(&clock);
	assert_true(clock.measured);
}

static void the_stamp_is_found_among_other_control_data(void **state)
{
	_Alignas(struct cmsghdr) char control[256] = {0};
	struct msghdr message = {.msg_control = control, .msg_controllen = sizeof(control)};
	struct scm_timestamping stamps = {.ts[0] = {.tv_sec = 7, .tv_nsec = 5}};
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);
	int other = 1;

	(void)state;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(other));
	memcpy(CMSG_DATA(c), &other, sizeof(other));
	message.msg_controllen = CMSG_SPACE(sizeof(other));
	assert_int_equal(stamps_find(&message), 0);
	message.msg_controllen = CMSG_SPACE(sizeof(other)) + CMSG_SPACE(sizeof(stamps));
	c = CMSG_NXTHDR(&message, c);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_TIMESTAMPING;
	c->cmsg_len = CMSG_LEN(sizeof(stamps));
	memcpy(CMSG_DATA(c), &stamps, sizeof(stamps));
	assert_int_equal(stamps_find(&message), 7 * NS_PER_S + 5);
}

static void no_control_data_has_no_stamp(void **state)
{
	struct msghdr message = {0};

	(void)state;
	assert_int_equal(stamps_find(&message), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_closest_reading_of_the_clocks_stands),
		cmocka_unit_test(a_reading_that_contradicts_the_others_is_a_new_time_of_day),
		cmocka_unit_test(a_time_of_day_behind_the_monotonic_clock_is_no_trouble),
		cmocka_unit_test(a_stamp_is_a_time_between_the_send_and_the_reading),
		cmocka_unit_test(nothing_is_said_before_the_clocks_were_read),
		cmocka_unit_test(the_stamp_is_found_among_other_control_data),
		cmocka_unit_test(no_control_data_has_no_stamp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
