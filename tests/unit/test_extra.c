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

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
	read_clock = clock;
	return __real_clock_gettime(clock, now);
}

static void answers_are_those_of_the_protocol_inside(void **state)
{
	static const struct proto *const inner[] = {&proto_echo, &proto_http, &proto_rot13};
	static const char said[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /bytes/50000 HTTP/1.1\r\n"
				   "Host: a\r\n\r\n";
	double extra_ns = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(inner) / sizeof(*inner); i++) {
		struct drive bare, costly;
		const struct proto *with = extra_proto(inner[i], 200, &extra_ns);

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
	double extra_ns = 0;

	(void)state;
	extra_proto(&proto_echo, 500, &extra_ns);
	assert_true(extra_ns > 0);
	assert_int_equal(read_clock, CLOCK_THREAD_CPUTIME_ID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_are_those_of_the_protocol_inside),
		cmocka_unit_test(cost_is_measured_on_the_cpu_clock_of_the_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
