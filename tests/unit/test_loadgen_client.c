// SPDX-License-Identifier: MIT
/* The client state machine: requests, replies in any pieces, and every way of being wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "loadgen/client.h"

static struct client client;

static void start(const char *url, size_t size, size_t pipeline, bool verify)
{
	struct target t;

	assert_null(target_parse(url, &t));
	client_free(&client);
	assert_true(client_init(&client, &t, size, pipeline, verify, 1));
}

static unsigned char rot13(unsigned char c)
{
	if (c >= 'a' && c <= 'z')
		return (unsigned char)((c - 'a' + 13) % 26 + 'a');
	if (c >= 'A' && c <= 'Z')
		return (unsigned char)((c - 'A' + 13) % 26 + 'A');
	return c;
}

/* One whole request as the server would see it; its reply if `reply`. Caller frees. */
static char *message(uint32_t id, uint32_t number, bool reply)
{
	size_t size = client.request_bytes, length;
	char *text = malloc(size), *scratch = malloc(size);

	for (size_t done = 0; done < size; done += length) {
		const char *data = client_produce(&client, id, number, done, size - done, scratch,
						  size, &length);

		assert_true(length > 0);
		memcpy(text + done, data, length);
	}
	for (size_t i = 0; reply && client.protocol == PROTOCOL_ROT13 && i < size; i++)
		text[i] = (char)rot13((unsigned char)text[i]);
	free(scratch);
	return text;
}

/* Feed `data` in pieces of `piece` bytes; the last result, with the bytes not used in *rest. */
static enum reply_result feed(struct reply *r, uint32_t id, uint32_t number, const char *data,
			      size_t length, size_t piece, size_t *rest)
{
	enum reply_result result = REPLY_MORE;

	while (length && result == REPLY_MORE) {
		size_t n = piece < length ? piece : length, used;
		char *copy = malloc(n); /* its own block, so that a sanitizer sees overreads */

		memcpy(copy, data, n);
		result = client_feed(&client, r, id, number, copy, n, &used);
		free(copy);
		assert_true(used <= n);
		if (result == REPLY_MORE)
			assert_int_equal(used, n);
		data += used;
		length -= used;
	}
	*rest = length;
	return result;
}

static void an_echoed_request_is_right_in_any_pieces(void **state)
{
	static const char *const urls[] = {"echo://h:1", "rot13://h:1"};
	static const size_t sizes[] = {1, 2, 7, 8, 9, 16, 17, 64, 255, 4096, 5000, 16385};
	size_t rest;

	(void)state;
	for (int u = 0; u < 2; u++) {
		for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
			start(urls[u], sizes[i], 1, true);
			for (size_t piece = 1; piece <= sizes[i]; piece = piece * 3 + 1) {
				char *text = message(70000, 99, true);
				struct reply r = {0};

				assert_int_equal(feed(&r, 70000, 99, text, sizes[i], piece, &rest),
						 REPLY_DONE);
				assert_int_equal(rest, 0);
				free(text);
			}
		}
	}
}

static void a_rot13_request_is_one_line(void **state)
{
	(void)state;
	for (size_t size = 1; size < 100; size++) {
		char *text;

		start("rot13://h:1", size, 1, true);
		text = message(12345, 678, false);
		assert_ptr_equal(memchr(text, '\n', size), text + size - 1);
		free(text);
	}
}

static void any_changed_byte_is_a_mismatch(void **state)
{
	struct reply r;
	size_t rest;

	(void)state;
	for (int u = 0; u < 2; u++) {
		start(u ? "rot13://h:1" : "echo://h:1", 300, 1, true);
		for (size_t i = 0; i < 300; i++) {
			char *text = message(3, 4, true);

			text[i] ^= 1;
			memset(&r, 0, sizeof(r));
			assert_int_equal(feed(&r, 3, 4, text, 300, 300, &rest), REPLY_MISMATCH);
			memset(&r, 0, sizeof(r));
			assert_int_equal(feed(&r, 3, 4, text, 300, 7, &rest), REPLY_MISMATCH);
			free(text);
		}
	}
}

/* The reply to (other_id, other_number) must not pass for that to (id, number). */
static void assert_distinct(uint32_t id, uint32_t number, uint32_t other_id, uint32_t other_number)
{
	char *text = message(other_id, other_number, true);
	struct reply r = {0};
	size_t rest;

	assert_int_equal(feed(&r, id, number, text, client.request_bytes, 4096, &rest),
			 REPLY_MISMATCH);
	free(text);
}

static void a_reply_for_another_request_or_connection_is_a_mismatch(void **state)
{
	(void)state;
	for (int u = 0; u < 2; u++) {
		start(u ? "rot13://h:1" : "echo://h:1", 64, 1, true);
		assert_distinct(1, 5, 1, 4); /* duplicated */
		assert_distinct(1, 5, 1, 6); /* dropped or reordered */
		assert_distinct(1, 5, 2, 5); /* swapped between connections */
		assert_distinct(1, 5, 5, 1);
		assert_distinct(1, 0, 0x1000001, 0);
		assert_distinct(1, 0, 1, 0x1000000);
	}
}

static void a_dropped_byte_is_a_mismatch_wherever_it_was(void **state)
{
	size_t rest;

	(void)state;
	start("echo://h:1", 64, 1, true);
	for (size_t gone = 0; gone < 64; gone++) {
		char *first = message(1, 1, true), *second = message(1, 2, true), both[127];
		struct reply r = {0};

		memcpy(both, first, gone);
		memcpy(both + gone, first + gone + 1, 63 - gone);
		memcpy(both + 63, second, 64);
		/* The byte that moved up may happen to be the right one; its own place is empty. */
		if (feed(&r, 1, 1, both, sizeof(both), sizeof(both), &rest) == REPLY_DONE)
			assert_int_equal(feed(&r, 1, 2, both + 64, rest, rest, &rest),
					 REPLY_MISMATCH);
		free(first);
		free(second);
	}
}

static void the_explanation_names_whose_reply_it_was(void **state)
{
	char said[256];
	char *text;

	(void)state;
	for (int u = 0; u < 2; u++) {
		struct reply r = {0};

		start(u ? "rot13://h:1" : "echo://h:1", 64, 1, true);
		text = message(7, 12, true);
		client_explain(&client, &r, 3, 5, text, 64, said, sizeof(said));
		assert_non_null(strstr(said, "request 12 of connection 7"));
		text[40] ^= 1;
		client_explain(&client, &r, 7, 12, text, 64, said, sizeof(said));
		assert_non_null(strstr(said, "byte 40 of 64"));
		free(text);
	}
}

static void without_verification_only_the_length_counts(void **state)
{
	struct reply r = {0};
	char junk[64];
	size_t rest;

	(void)state;
	memset(junk, 'x', sizeof(junk));
	start("echo://h:1", 64, 1, false);
	assert_int_equal(feed(&r, 1, 1, junk, 64, 10, &rest), REPLY_DONE);
}

static void pipelined_requests_are_produced_one_after_the_other(void **state)
{
	char *one, *two, scratch[100];
	const char *data;
	size_t length;

	(void)state;
	start("echo://h:1", 64, 4, true);
	one = message(9, 1, false);
	two = message(9, 2, false);
	data = client_produce(&client, 9, 1, 30, 98, scratch, sizeof(scratch), &length);
	assert_int_equal(length, 98);
	assert_memory_equal(data, one + 30, 34);
	assert_memory_equal(data + 34, two, 64);
	free(one);
	free(two);
	start("http://h:8080/x", 64, 3, true);
	data = client_produce(&client, 9, 1, 0, 1000, scratch, sizeof(scratch), &length);
	assert_int_equal(length, 3 * client.request_bytes);
	assert_memory_equal(data, "GET /x HTTP/1.1\r\nHost: h:8080\r\n", 31);
	assert_memory_equal(data + 2 * client.request_bytes, data, client.request_bytes);
}

#define OK_HEAD "HTTP/1.1 200 OK\r\n"

static void good_http_replies_are_complete_in_any_pieces(void **state)
{
	static const char *const good[] = {
		OK_HEAD "Content-Length: 5\r\n\r\nhello",
		OK_HEAD "content-length:5\r\nX: y\r\n\r\nhello",
		OK_HEAD "CONTENT-LENGTH:   0\r\n\r\n",
		OK_HEAD "Content-Length: 5\r\nX: y\r\ncontent-length: 5\r\n\r\nhello",
		"HTTP/1.1 103 Early Hints\r\nContent-Length: 3\r\n\r\n" OK_HEAD
		"Content-Length: 1\r\n\r\nx",
		OK_HEAD "X: 012345678901234567890123456789012345678901234567890123456789\r\n"
			"Content-Length: 1\r\n\r\nx",
		OK_HEAD "Transfer-Encoding: chunked\r\n\r\n"
			"2;012345678901234567890123456789012345678901234567890123456789\r\nab\r\n"
			"0\r\n\r\n",
		"HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx",
		"HTTP/1.0 200 OK\nContent-Length: 1\n\nx",
		"HTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
		"HTTP/1.1 301 Moved\r\nContent-Length: 2\r\n\r\nxx",
		"HTTP/1.1 100 Continue\r\n\r\n" OK_HEAD "Content-Length: 1\r\n\r\nx",
		OK_HEAD
		"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n",
		OK_HEAD "Transfer-Encoding: chunked\r\n\r\n0\r\nTrailer: x\r\n\r\n",
	};
	size_t rest;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		for (size_t piece = 1; piece <= strlen(good[i]); piece++) {
			struct reply r = {0};
			char twice[512];

			start("http://h/", 0, 1, true);
			snprintf(twice, sizeof(twice), "%s%s", good[i], good[i]);
			/* The second may take the short cut of having been seen before. */
			for (int round = 0; round < 2; round++) {
				if (feed(&r, 0, 0, good[i], strlen(good[i]), piece, &rest) !=
					    REPLY_DONE ||
				    rest)
					fail_msg("'%s' in pieces of %zu", good[i], piece);
			}
			assert_int_equal(feed(&r, 0, 0, twice, strlen(twice), strlen(twice), &rest),
					 REPLY_DONE);
			assert_int_equal(rest, strlen(good[i]));
		}
	}
}

static void an_error_status_is_complete_but_an_error(void **state)
{
	static const char *const bad[] = {
		"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nabc",
		"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	};
	size_t rest;

	(void)state;
	start("http://h/", 0, 1, true);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct reply r = {0};

		assert_int_equal(feed(&r, 0, 0, bad[i], strlen(bad[i]), 1000, &rest), REPLY_STATUS);
		assert_int_equal(rest, 0);
	}
}

static void what_is_not_http_is_garbage(void **state)
{
	static const char *const bad[] = {
		"hello\r\n",
		"\r\n",
		"HTTP/2 200 OK\r\n",
		"HTTP/1.1 20 OK\r\n",
		"HTTP/1.1 2000 OK\r\n",
		"HTTP/1.1 099 OK\r\n",
		"HTTP/1.1 600 OK\r\n",
		OK_HEAD "Content-Length: x\r\n\r\n",
		OK_HEAD "Content-Length: -1\r\n\r\n",
		OK_HEAD "Content-Length: 99999999999999999999\r\n\r\n",
		OK_HEAD "Content-Length: 1 1\r\n\r\n",
		OK_HEAD "Content-Length: 7\r\nContent-Length: 5\r\n\r\n1234567",
		OK_HEAD "Content-Length: 5\r\nContent-Length: 7\r\n\r\n1234567",
		OK_HEAD "Content-Length: 000000000000000000000000000000001000\r\n\r\n",
		OK_HEAD "Content-Length: 5                            \r000\r\n\r\n12345",
		OK_HEAD "Transfer-Encoding: chunked\r\n\r\n"
			"00000000000000000000000000000000000000000000000000000000005\r\n",
		OK_HEAD "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
		OK_HEAD "Transfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n",
	};
	size_t rest;

	(void)state;
	start("http://h/", 0, 1, true);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct reply r = {0};

		if (feed(&r, 0, 0, bad[i], strlen(bad[i]), 3, &rest) != REPLY_GARBAGE)
			fail_msg("'%s' was not refused", bad[i]);
	}
}

static void the_last_transfer_coding_says_how_a_reply_ends(void **state)
{
	static const struct {
		const char *codings;
		enum reply_result result;
	} cases[] = {
		{"Transfer-Encoding: chunked\r\n", REPLY_DONE},
		{"Transfer-Encoding: gzip, Chunked\t\r\n", REPLY_DONE},
		{"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", REPLY_DONE},
		{"Transfer-Encoding: gzip\r\nContent-Length: 5\r\n", REPLY_MORE},
		{"Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n", REPLY_MORE},
		{"Transfer-Encoding: chunked, gzip\r\nContent-Length: 5\r\n", REPLY_MORE},
		{"Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n", REPLY_MORE},
		{"Transfer-Encoding: identity\r\nContent-Length: 11\r\n", REPLY_DONE},
		{"Transfer-Encoding: \r\nContent-Length: 11\r\n", REPLY_DONE},
		{"Transfer-Encoding: one-of-a-long-list, another, chunked\r\n", REPLY_GARBAGE},
	};
	static const char body[] = "1\r\nx\r\n0\r\n\r\n"; /* 11 bytes */
	size_t rest;

	(void)state;
	start("http://h/", 0, 1, true);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct reply r = {0};
		char text[256];
		int n = snprintf(text, sizeof(text), OK_HEAD "%s\r\n%s", cases[i].codings, body);
		enum reply_result result = feed(&r, 0, 0, text, (size_t)n, 7, &rest);

		if (result != cases[i].result)
			fail_msg("'%s': %d", cases[i].codings, (int)result);
		if (result == REPLY_MORE) /* all of it is the body, and so is what may follow */
			assert_int_equal(client_eof(&r), REPLY_DONE);
	}
}

static void a_nul_in_a_line_is_garbage(void **state)
{
	static const char length[] = OK_HEAD "Content-Length: 5\0000\r\n\r\nhello";
	static const char header[] = OK_HEAD "X: \0\r\nContent-Length: 5\r\n\r\nhello";
	static const char chunk[] = OK_HEAD "Transfer-Encoding: chunked\r\n\r\n1\0\r\n";
	struct reply r = {0};
	size_t rest;

	(void)state;
	start("http://h/", 0, 1, true);
	for (size_t piece = 1; piece < 40; piece += 19) {
		memset(&r, 0, sizeof(r));
		assert_int_equal(feed(&r, 0, 0, length, sizeof(length) - 1, piece, &rest),
				 REPLY_GARBAGE);
		memset(&r, 0, sizeof(r));
		assert_int_equal(feed(&r, 0, 0, header, sizeof(header) - 1, piece, &rest),
				 REPLY_GARBAGE);
		memset(&r, 0, sizeof(r));
		assert_int_equal(feed(&r, 0, 0, chunk, sizeof(chunk) - 1, piece, &rest),
				 REPLY_GARBAGE);
	}
}

static void an_endless_head_is_garbage(void **state)
{
	char *line = malloc(100000);
	struct reply r = {0};
	size_t rest;

	(void)state;
	start("http://h/", 0, 1, true);
	memset(line, 'a', 100000);
	memcpy(line, OK_HEAD, strlen(OK_HEAD));
	assert_int_equal(feed(&r, 0, 0, line, 100000, 1000, &rest), REPLY_GARBAGE);
	free(line);
}

static void closing_is_noticed_and_can_end_a_reply(void **state)
{
	static const char closing[] = OK_HEAD "Connection: close\r\nContent-Length: 1\r\n\r\nx";
	static const char endless[] = OK_HEAD "\r\nbody until the end";
	static const char keeping[] =
		"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx";
	struct reply r = {0};
	size_t rest;

	(void)state;
	start("http://h/", 0, 1, true);
	assert_int_equal(feed(&r, 0, 0, closing, strlen(closing), 100, &rest), REPLY_DONE);
	assert_true(reply_closes(&r));
	memset(&r, 0, sizeof(r));
	assert_int_equal(feed(&r, 0, 0, keeping, strlen(keeping), 100, &rest), REPLY_DONE);
	assert_false(reply_closes(&r));
	assert_int_equal(client_eof(&r), REPLY_MORE);
	assert_int_equal(feed(&r, 0, 0, endless, strlen(endless), 100, &rest), REPLY_MORE);
	assert_int_equal(client_eof(&r), REPLY_DONE);
	assert_int_equal(feed(&r, 0, 0, closing, strlen(closing) - 1, 100, &rest), REPLY_MORE);
	assert_int_equal(client_eof(&r), REPLY_MORE);
}

static void a_reply_unlike_the_one_before_is_still_parsed(void **state)
{
	static const char *const replies[] = {
		OK_HEAD "Content-Length: 3\r\n\r\nabc",
		OK_HEAD "Content-Length: 5\r\n\r\nabcde",
		"HTTP/1.1 404 No\r\nContent-Length: 3\r\n\r\nabc",
		OK_HEAD "Content-Length: 3\r\n\r\nxyz",
		OK_HEAD "Content-Length: 30\r\n\r\n012345678901234567890123456789",
	};
	struct reply r = {0};
	size_t rest;

	(void)state;
	start("http://h/", 0, 1, true);
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < 5; i++) {
			assert_int_equal(
				feed(&r, 0, 0, replies[i], strlen(replies[i]), 1000, &rest),
				i == 2 ? REPLY_STATUS : REPLY_DONE);
			assert_int_equal(rest, 0);
		}
	}
}

/* Requests of different lengths, one of which has a reply without a body. */
static void each_request_of_a_file_has_its_own_reply(void **state)
{
	static const char replies[] = OK_HEAD "Content-Length: 3\r\n\r\nabc" /* GET */
		OK_HEAD "Content-Length: 3\r\n\r\n";                         /* HEAD */
	struct ask_line lines[] = {{"GET", "/a", 0, 0}, {"HEAD", "/longer", 0, 0}};
	const struct http_ask ask = {.lines = lines, .line_count = 2};
	size_t length, used, at = 0, head = strlen(OK_HEAD "Content-Length: 3\r\n\r\n");
	struct reply r = {0};
	struct target t;

	(void)state;
	assert_null(target_parse("http://h/", &t));
	t.ask = &ask;
	client_free(&client);
	assert_true(client_init(&client, &t, 0, 2, true, 1));
	for (uint32_t number = 0; number < 6; number++) {
		const char *due = number % 2 ? "HEAD /longer HTTP/1.1\r\nHost: h\r\n\r\n"
					     : "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
		const char *data = client_produce(&client, 3, number, 0, 1000, NULL, 0, &length);

		assert_int_equal(client_request_bytes(&client, 3, number), strlen(due));
		assert_int_equal(length, strlen(due));
		assert_memory_equal(data, due, length);
		assert_int_equal(client_feed(&client, &r, 3, number, replies + at,
					     sizeof(replies) - 1 - at, &used),
				 REPLY_DONE);
		assert_int_equal(used, number % 2 ? head : head + 3);
		at = number % 2 ? 0 : used;
	}
}

/* Each reply, whole and in pieces, ends in `result` with its last byte. */
static void ends_in(const char *url, const char *reply, enum reply_result result)
{
	size_t rest;

	start(url, 0, 1, true);
	for (size_t piece = 1; piece <= strlen(reply); piece++) {
		struct reply r = {0};

		assert_int_equal(feed(&r, 0, 0, reply, strlen(reply), piece, &rest), result);
		assert_int_equal(rest, 0);
		assert_int_equal(client_eof(&r), REPLY_MORE);
	}
}

static void memcached_values_misses_and_errors_are_told_apart(void **state)
{
	static const char url[] = "memcached://h/key";

	(void)state;
	start(url, 0, 1, true);
	assert_int_equal(client.request_bytes, strlen("get key\r\n"));
	ends_in(url, "VALUE key 0 5\r\nEND\r\n\r\nEND\r\n", REPLY_DONE);
	ends_in(url, "VALUE key 0 0\r\n\r\nEND\r\n", REPLY_DONE);
	ends_in(url, "END\r\n", REPLY_STATUS);
	ends_in(url, "SERVER_ERROR out of memory\r\n", REPLY_STATUS);
	ends_in(url, "VALUE key 0 x\r\n", REPLY_GARBAGE);
	ends_in(url, "VALUE key 0\r\n", REPLY_GARBAGE);
	ends_in(url, "VALUE key 0 1\r\nab", REPLY_GARBAGE);
	ends_in(url, "+PONG\r\n", REPLY_GARBAGE);
}

static void redis_replies_of_each_kind_are_taken(void **state)
{
	static const char url[] = "redis://h/key";

	(void)state;
	start("redis://h", 0, 1, true);
	assert_int_equal(client.request_bytes, strlen("*1\r\n$4\r\nPING\r\n"));
	ends_in("redis://h", "+PONG\r\n", REPLY_DONE);
	ends_in(url, "$7\r\na\r\nb\r\nc\r\n", REPLY_DONE);
	ends_in(url, "$0\r\n\r\n", REPLY_DONE);
	ends_in(url, ":12\r\n", REPLY_DONE);
	ends_in(url, "$-1\r\n", REPLY_STATUS);
	ends_in(url, "-NOAUTH log in first, which takes more than forty-seven characters\r\n",
		REPLY_STATUS);
	ends_in(url, "$x\r\n", REPLY_GARBAGE);
	ends_in(url, "$1\r\nab", REPLY_GARBAGE);
	ends_in(url, "*1\r\n", REPLY_GARBAGE);
	ends_in(url, "HTTP/1.1 400 Bad Request\r\n", REPLY_GARBAGE);
}

static int tear_down(void **state)
{
	(void)state;
	client_free(&client);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_echoed_request_is_right_in_any_pieces),
		cmocka_unit_test(a_rot13_request_is_one_line),
		cmocka_unit_test(any_changed_byte_is_a_mismatch),
		cmocka_unit_test(a_reply_for_another_request_or_connection_is_a_mismatch),
		cmocka_unit_test(a_dropped_byte_is_a_mismatch_wherever_it_was),
		cmocka_unit_test(the_explanation_names_whose_reply_it_was),
		cmocka_unit_test(without_verification_only_the_length_counts),
		cmocka_unit_test(pipelined_requests_are_produced_one_after_the_other),
		cmocka_unit_test(good_http_replies_are_complete_in_any_pieces),
		cmocka_unit_test(an_error_status_is_complete_but_an_error),
		cmocka_unit_test(what_is_not_http_is_garbage),
		cmocka_unit_test(the_last_transfer_coding_says_how_a_reply_ends),
		cmocka_unit_test(a_nul_in_a_line_is_garbage),
		cmocka_unit_test(an_endless_head_is_garbage),
		cmocka_unit_test(closing_is_noticed_and_can_end_a_reply),
		cmocka_unit_test(a_reply_unlike_the_one_before_is_still_parsed),
		cmocka_unit_test(each_request_of_a_file_has_its_own_reply),
		cmocka_unit_test(memcached_values_misses_and_errors_are_told_apart),
		cmocka_unit_test(redis_replies_of_each_kind_are_taken),
	};

	return cmocka_run_group_tests_name("client", tests, NULL, tear_down);
}
