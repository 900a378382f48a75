// SPDX-License-Identifier: MIT
// The echo protocol without I/O, and the list of protocols.
#include "servers/lib/proto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/lib/drive.h"

static void every_byte_comes_back(void **state)
{
	char all[1000];

	(void)state;
	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (char)i;
	for (size_t buffer = 1; buffer < 300; buffer += 7) {
		struct drive d;

		drive_open(&d, &proto_echo, buffer);
		drive_stream(&d, all, sizeof(all), sizeof(all));
		assert_null(d.complaint);
		assert_int_equal(d.said.len, sizeof(all));
		assert_memory_equal(d.said.data, all, sizeof(all));
		assert_false(d.dialogue.closing);
		drive_close(&d);
	}
}

static void each_receive_is_one_request(void **state)
{
	struct drive d;

	(void)state;
	drive_open(&d, &proto_echo, 16);
	drive_stream(&d, "abcdefghij", 10, 5);
	assert_int_equal(d.requests, 2);
	drive_close(&d);
}

static void bytes_are_answered_in_the_block_they_came_in(void **state)
{
	struct buffer in = {.data = (char[8]){"xyz"}, .size = 8, .start = 1, .end = 3};
	struct buffer out = {.data = (char[8]){0}, .size = 8};
	struct dialogue dialogue = {0};
	char *block = in.data;

	(void)state;
	assert_int_equal(proto_echo.answer(&dialogue, &in, &out), 1);
	assert_ptr_equal(out.data, block);
	assert_int_equal(buffer_len(&out), 2);
	assert_int_equal(buffer_len(&in), 0);
	assert_memory_equal(out.data + out.start, "yz", 2);
}

static void protocols_are_found_by_their_name(void **state)
{
	static const char *const unknown[] = {"", "ECHO", "echo ", "ech", "https", "rot14"};

	(void)state;
	assert_ptr_equal(proto_find("echo"), &proto_echo);
	assert_ptr_equal(proto_find("http"), &proto_http);
	assert_ptr_equal(proto_find("rot13"), &proto_rot13);
	for (size_t i = 0; i < sizeof(unknown) / sizeof(*unknown); i++)
		assert_null(proto_find(unknown[i]));
	for (const struct proto *const *p = protos; *p; p++) {
		assert_ptr_equal(proto_find((*p)->name), *p);
		assert_true((*p)->min_buffer > 0);
		assert_non_null((*p)->summary);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_comes_back),
		cmocka_unit_test(each_receive_is_one_request),
		cmocka_unit_test(bytes_are_answered_in_the_block_they_came_in),
		cmocka_unit_test(protocols_are_found_by_their_name),
	};

	return cmocka_run_group_tests_name("proto_echo", tests, NULL, NULL);
}
