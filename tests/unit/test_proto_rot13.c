// SPDX-License-Identifier: MIT
// The rot13 protocol without I/O.
#include "servers/lib/proto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/wire.h"
#include "tests/lib/drive.h"
#include "tests/lib/oracle.h"

#define SMALL (ROT13_LINE_MAX + 1)

static struct drive served(const char *stream, size_t len, size_t piece, size_t buffer)
{
	struct drive d;

	drive_open(&d, &proto_rot13, buffer);
	drive_stream(&d, stream, len, piece);
	assert_null(d.complaint);
	return d;
}

static void assert_served(const char *stream, const char *due, unsigned long lines)
{
	for (size_t piece = 1; piece <= strlen(stream); piece++) {
		struct drive d = served(stream, strlen(stream), piece, SMALL);

		assert_int_equal(d.said.len, strlen(due));
		assert_memory_equal(d.said.data, due, strlen(due));
		assert_int_equal(d.requests, lines);
		assert_false(d.dialogue.closing);
		drive_close(&d);
	}
}

static void letters_move_by_13_and_the_rest_stays(void **state)
{
	(void)state;
	assert_served("ABCDEFGHIJKLMNOPQRSTUVWXYZ\n", "NOPQRSTUVWXYZABCDEFGHIJKLM\n", 1);
	assert_served("abcdefghijklmnopqrstuvwxyz\n", "nopqrstuvwxyzabcdefghijklm\n", 1);
	assert_served("@[`{ 0123456789\t\r\x01\x7f\x80\xff\n",
		      "@[`{ 0123456789\t\r\x01\x7f\x80\xff\n", 1);
}

static void nul_bytes_stay(void **state)
{
	struct drive d = served("a\0b\n", 4, 4, SMALL);

	(void)state;
	assert_int_equal(d.said.len, 4);
	assert_memory_equal(d.said.data, "n\0o\n", 4);
	drive_close(&d);
}

static void empty_lines_are_lines(void **state)
{
	(void)state;
	assert_served("\n", "\n", 1);
	assert_served("\n\n\na\n\n", "\n\n\nn\n\n", 5);
}

static void half_a_line_waits_for_the_rest(void **state)
{
	(void)state;
	assert_served("abc", "", 0);
	assert_served("abc\nde", "nop\n", 1);
	assert_served("one\ntwo\nthree\n", "bar\ngjb\nguerr\n", 3);
}

/* One line of `length` bytes and then "b\n", in pieces and buffers of several sizes. */
static void assert_line(size_t length, bool too_long)
{
	static const size_t pieces[] = {100, 4096, 16384, 16385, 16386, 20000};
	static const size_t buffers[] = {SMALL, SMALL + 1, SMALL + 2, 3 * SMALL};
	struct text stream = {0}, due = {0};

	for (size_t i = 0; i < length; i++)
		text_add(&stream, "a", 1);
	text_add(&stream, "\nb\n", 3);
	assert_int_equal(oracle_rot13(stream.data, stream.len, &due), too_long);
	for (size_t p = 0; p < sizeof(pieces) / sizeof(*pieces); p++) {
		for (size_t b = 0; b < sizeof(buffers) / sizeof(*buffers); b++) {
			struct drive d = served(stream.data, stream.len, pieces[p], buffers[b]);

			assert_int_equal(d.dialogue.closing, too_long);
			assert_int_equal(d.dialogue.rude, too_long);
			assert_int_equal(d.requests, too_long ? 0 : 2);
			assert_int_equal(d.said.len, too_long ? 0 : length + 3);
			if (!too_long)
				assert_memory_equal(d.said.data, due.data, due.len);
			drive_close(&d);
		}
	}
	text_free(&stream);
	text_free(&due);
}

static void lines_up_to_the_limit_are_answered(void **state)
{
	(void)state;
	assert_int_equal(ROT13_LINE_MAX, 16384);
	assert_line(0, false);
	assert_line(1, false);
	assert_line(16383, false);
	assert_line(16384, false);
}

static void a_line_beyond_the_limit_ends_the_connection(void **state)
{
	(void)state;
	assert_line(16385, true);
	assert_line(16386, true);
	assert_line(50000, true);
}

/* It is known to be too long before its end has arrived, but not one byte earlier. */
static void the_limit_does_not_wait_for_the_newline(void **state)
{
	char *line = malloc(SMALL);
	struct drive d;

	(void)state;
	memset(line, 'a', SMALL);
	d = served(line, SMALL - 1, 1000, SMALL);
	assert_false(d.dialogue.closing);
	drive_close(&d);
	d = served(line, SMALL, 1000, SMALL);
	assert_true(d.dialogue.closing);
	drive_close(&d);
	free(line);
}

static void lines_before_one_that_is_too_long_are_answered(void **state)
{
	struct text stream = {0};

	(void)state;
	text_add(&stream, "abc\nd\n", 6);
	for (size_t i = 0; i <= ROT13_LINE_MAX; i++)
		text_add(&stream, "a", 1);
	for (size_t buffer = SMALL; buffer < SMALL + 10; buffer++) {
		struct drive d = served(stream.data, stream.len, stream.len, buffer);

		assert_int_equal(d.said.len, 6);
		assert_memory_equal(d.said.data, "nop\nq\n", 6);
		assert_int_equal(d.requests, 2);
		assert_true(d.dialogue.closing);
		drive_close(&d);
	}
	text_free(&stream);
}

static void a_burst_larger_than_every_buffer_is_answered_in_order(void **state)
{
	static const char fox[] = "The quick brown fox\n";
	struct text stream = {0}, due = {0};
	struct drive d;

	(void)state;
	for (int i = 0; i < 20000; i++)
		text_add(&stream, &fox[i % 19], strlen(&fox[i % 19]));
	oracle_rot13(stream.data, stream.len, &due);
	for (size_t piece = 1; piece < stream.len; piece = 3 * piece + 1) {
		d = served(stream.data, stream.len, piece, SMALL);
		assert_int_equal(d.requests, 20000);
		assert_int_equal(d.said.len, due.len);
		assert_memory_equal(d.said.data, due.data, due.len);
		drive_close(&d);
	}
	text_free(&stream);
	text_free(&due);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(letters_move_by_13_and_the_rest_stays),
		cmocka_unit_test(nul_bytes_stay),
		cmocka_unit_test(empty_lines_are_lines),
		cmocka_unit_test(half_a_line_waits_for_the_rest),
		cmocka_unit_test(lines_up_to_the_limit_are_answered),
		cmocka_unit_test(a_line_beyond_the_limit_ends_the_connection),
		cmocka_unit_test(the_limit_does_not_wait_for_the_newline),
		cmocka_unit_test(lines_before_one_that_is_too_long_are_answered),
		cmocka_unit_test(a_burst_larger_than_every_buffer_is_answered_in_order),
	};

	return cmocka_run_group_tests_name("proto_rot13", tests, NULL, NULL);
}
