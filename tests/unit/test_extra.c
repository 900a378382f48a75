// SPDX-License-Identifier: MIT
// tenk-wrap: clock_gettime
/*
 * The known added cost: it changes no answer, and it is measured in CPU time.
 */
#include "servers/lib/extra.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "tests/lib/drive.h"

int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

static clockid_t read_clock = CLOCK_REALTIME;

/* A clock that says what it is told to, so many readings on: of one sample, again and again. */
static const long *script_ns;
static size_t script_len, script_at;

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
	static long told_ns;

	read_clock = clock;
	if (script_ns) {
		told_ns += script_ns[script_at++ % script_len];
		*now = (struct timespec){.tv_sec = told_ns / 1000000000,
					 .tv_nsec = told_ns % 1000000000};
		return 0;
	}
	return __real_clock_gettime(clock, now);
}

static void answers_are_those_of_the_protocol_inside(void **state)
{
	static const struct proto *const inner[] = {&proto_echo, &proto_http, &proto_rot13};
	static const char said[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /bytes/50000 HTTP/1.1\r\n"
				   "Host: a\r\n\r\n";

	(void)state;
	for (size_t i = 0; i < sizeof(inner) / sizeof(*inner); i++) {
		struct drive bare, costly;
		const struct proto *with = extra_proto(inner[i], 200);

		assert_string_equal(with->name, inner[i]->name);
		assert_int_equal(with->min_buffer, inner[i]->min_buffer);
		drive_open(&bare, inner[i], 20000);
		drive_open(&costly, with, 20000);
		drive_stream(&bare, said, sizeof(said) - 1, 7);
		drive_stream(&costly, said, sizeof(said) - 1, 7);
		assert_null(costly.complaint);
		assert_int_equal(costly.requests, bare.requests);
		assert_int_equal(costly.said.len, bare.said.len);
		assert_memory_equal(costly.said.data, bare.said.data, bare.said.len);
		drive_close(&bare);
		drive_close(&costly);
	}
}

/* A thread that lost its CPU for a while has not spent any. */
static void cost_is_measured_on_the_cpu_clock_of_the_thread(void **state)
{
	(void)state;
	extra_proto(&proto_echo, 500);
	assert_true(extra_ns() > 0);
	assert_int_equal(read_clock, CLOCK_THREAD_CPUTIME_ID);
}

/* So many requests, one after the other. */
static void answer_requests(const struct proto *with, int count)
{
	static const char said[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
	struct drive drive;

	drive_open(&drive, with, 20000);
	for (int i = 0; i < count; i++)
		drive_stream(&drive, said, sizeof(said) - 1, sizeof(said));
	assert_null(drive.complaint);
	drive_close(&drive);
}

/* What the control says of itself after so many requests, if the clock's readings are these. */
static double said_after(const struct proto *with, int requests, const long sample[static 5])
{
	script_ns = sample;
	script_len = 5;
	answer_requests(with, requests);
	script_ns = NULL;
	return extra_ns();
}

static void cost_is_that_of_the_chain_among_the_requests_without_the_clocks_own(void **state)
{
	/* Two slow readings, one more, the clock's own 100 ns, and the chain in 1000. */
	static const long sample[] = {700, 500, 0, 100, 1000};
	double said = said_after(extra_proto(&proto_http, 20), 256 * 50, sample);

	(void)state;
	/* 900 of the chain; some ns of the wrapper, as calibrated, and of the timing itself. */
	assert_true(said >= 900);
	assert_true(said < 1000);
}

static void slow_first_readings_are_part_of_the_cost(void **state)
{
	/* One request in 256 is timed: two readings of 25,600 ns are 200 ns of each request. */
	static const long sample[] = {0, 25600, 0, 100, 1000};
	double said = said_after(extra_proto(&proto_http, 20), 256 * 50, sample);

	(void)state;
	assert_true(said >= 1100);
	assert_true(said < 1200);
}

static void few_requests_say_less_than_the_calibration(void **state)
{
	static const long sample[] = {0, 0, 0, 100, 100000};
	const struct proto *with = extra_proto(&proto_http, 200);
	double before = extra_ns();

	(void)state;
	assert_true(before > 0);
	assert_true(said_after(with, 256 * 10, sample) == before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_are_those_of_the_protocol_inside),
		cmocka_unit_test(cost_is_measured_on_the_cpu_clock_of_the_thread),
		cmocka_unit_test(
			cost_is_that_of_the_chain_among_the_requests_without_the_clocks_own),
		cmocka_unit_test(slow_first_readings_are_part_of_the_cost),
		cmocka_unit_test(few_requests_say_less_than_the_calibration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
