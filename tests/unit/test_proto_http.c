// SPDX-License-Identifier: MIT
// The http protocol without I/O. Expected replies are written out here or come from
// tests/lib/oracle.h, which shares no code with the server.
#include "servers/lib/proto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/wire.h"
#include "tests/lib/drive.h"
#include "tests/lib/oracle.h"

#define HOST  "Host: a\r\n"
#define GET   "GET / HTTP/1.1\r\n" HOST "\r\n"
#define SMALL (HTTP_HEAD_MAX + 1)

/* The replies to `len` bytes that arrive `piece` at a time in buffers of `buffer` bytes. */
static struct drive served_pieces(const char *stream, size_t len, size_t piece, size_t buffer)
{
	struct drive d;

	drive_open(&d, &proto_http, buffer);
	drive_stream(&d, stream, len, piece);
	if (d.complaint)
		fail_msg("%s", d.complaint);
	text_add(&d.said, "", 1); /* a string for the assertions */
	d.said.len--;
	return d;
}

static struct drive served(const char *stream)
{
	return served_pieces(stream, strlen(stream), strlen(stream), 16384);
}

/* The status of the first reply, 0 if there is none. */
static int status_of(const char *stream, bool *closes)
{
	struct drive d = served(stream);
	int status = 0;

	if (d.said.len && sscanf(d.said.data, "HTTP/1.1 %d ", &status) != 1)
		fail_msg("no status line: %s", d.said.data);
	*closes = d.dialogue.closing;
	assert_int_equal(*closes, strstr(d.said.data, "\r\nConnection: close\r\n") != NULL);
	drive_close(&d);
	return status;
}

/* Answered with `status`, and the connection ends. */
static void assert_refused(const char *stream, int status)
{
	bool closes;

	if (status_of(stream, &closes) != status || !closes)
		fail_msg("%d%s instead of %d and a close, to: %.200s", status_of(stream, &closes),
			 closes ? "" : " and no close", status, stream);
}

/* Answered with `status`, and the connection goes on. */
static void assert_answered(const char *stream, int status)
{
	bool closes;

	if (status_of(stream, &closes) != status || closes)
		fail_msg("%d%s instead of %d, to: %.200s", status_of(stream, &closes),
			 closes ? " and a close" : "", status, stream);
}

static void assert_waits(const char *stream)
{
	struct drive d = served(stream);

	assert_int_equal(d.said.len, 0);
	assert_false(d.dialogue.closing);
	drive_close(&d);
}

/* One request to `target`, answered with 200 and `length` bytes. */
static void assert_found(const char *target, unsigned long length)
{
	char request[300], due[64];
	struct drive d;

	snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\n" HOST "\r\n", target);
	snprintf(due, sizeof(due), "\r\nContent-Length: %lu\r\n", length);
	d = served(request);
	if (strncmp(d.said.data, "HTTP/1.1 200 OK\r\n", 17) != 0 || !strstr(d.said.data, due))
		fail_msg("not 200 with %lu bytes, to %s: %.300s", length, target, d.said.data);
	drive_close(&d);
}

static void assert_not_found(const char *target)
{
	char request[300];

	snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\n" HOST "\r\n", target);
	assert_answered(request, 404);
}

/* --- what is served ------------------------------------------------------------------------- */

static void root_is_twelve_bytes(void **state)
{
	struct drive d = served(GET);

	(void)state;
	assert_string_equal(d.said.data, "HTTP/1.1 200 OK\r\nServer: tenk\r\n"
					 "Content-Type: text/plain\r\nContent-Length: 12\r\n"
					 "\r\nhello, tenk\n");
	assert_int_equal(d.requests, 1);
	drive_close(&d);
}

static void query_does_not_change_the_resource(void **state)
{
	(void)state;
	assert_found("/?", 12);
	assert_found("/?/bytes/7", 12);
	assert_found("/bytes/7?x=1?y=2", 7);
	assert_not_found("/bytes?/7");
}

static void absolute_form_is_its_path(void **state)
{
	(void)state;
	assert_found("http://a/", 12);
	assert_found("http://a", 12);
	assert_found("HTTP://a:9000/bytes/7", 7);
	assert_found("http://[::1]:9000/bytes/7?q", 7);
	assert_found("http://a?q=/bytes/7", 12); /* the authority ends at "?" */
	assert_not_found("http://a/http://b/");
	assert_refused("GET http:// HTTP/1.1\r\n" HOST "\r\n", 400);
	assert_refused("GET http:///bytes/7 HTTP/1.1\r\n" HOST "\r\n", 400); /* 9110, 4.2.1 */
	assert_refused("GET http://:80/ HTTP/1.1\r\n" HOST "\r\n", 400);
	assert_refused("GET http://a:b/ HTTP/1.1\r\n" HOST "\r\n", 400);
	assert_refused("GET a/ HTTP/1.1\r\n" HOST "\r\n", 400);
	assert_refused("GET * HTTP/1.1\r\n" HOST "\r\n", 400);
}

static void bytes_of_any_size_repeat_the_pattern(void **state)
{
	static const unsigned long sizes[] = {0,    1,    63,   64,    65,    7999,
					      8000, 8193, 8194, 16384, 16385, 70000};
	static const size_t buffers[] = {SMALL, 16384, 70001};

	(void)state;
	for (size_t b = 0; b < sizeof(buffers) / sizeof(*buffers); b++) {
		for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
			char request[100];
			struct http_due due = {.n = 1};
			struct drive d;

			snprintf(request, sizeof(request),
				 "GET /bytes/%lu HTTP/1.1\r\n" HOST "\r\n", sizes[i]);
			due.replies[0] = (struct http_reply){
				.status = 200, .length = sizes[i], .pattern = HTTP_BYTES_PATTERN};
			d = served_pieces(request, strlen(request), SIZE_MAX, buffers[b]);
			assert_null(oracle_check(&due, d.said.data, d.said.len));
			drive_close(&d);
		}
	}
}

static void each_body_begins_the_pattern_anew(void **state)
{
	const char *two = "GET /bytes/70 HTTP/1.1\r\n" HOST "\r\n"
			  "GET /bytes/3 HTTP/1.1\r\n" HOST "\r\n";
	struct drive d = served(two);

	(void)state;
	assert_string_equal(d.said.data + d.said.len - 5, "\r\n012");
	drive_close(&d);
}

static void numbers_in_paths_have_limits(void **state)
{
	(void)state;
	assert_int_equal(HTTP_BYTES_MAX, 1073741824);
	assert_found("/bytes/000000000000000000000000000007", 7);
	assert_not_found("/bytes/1073741825");
	assert_not_found("/bytes/18446744073709551617"); /* 2^64 + 1 */
	assert_not_found("/bytes/99999999999999999999999999999999999999");
	assert_not_found("/bytes/");
	assert_not_found("/bytes/-1");
	assert_not_found("/bytes/+1");
	assert_not_found("/bytes/1x");
	assert_not_found("/bytes/1/");
	assert_not_found("/work/1000001");
	assert_not_found("/sleep/1000001");
	assert_not_found("/work/");
	assert_not_found("/x");
	assert_not_found("//");
	assert_not_found("/BYTES/1");
	assert_not_found("/../bytes/1");
}

/* HEAD, because a test need not make a gigabyte. */
static void largest_body_is_announced(void **state)
{
	struct drive d = served("HEAD /bytes/1073741824 HTTP/1.1\r\n" HOST "\r\n");

	(void)state;
	assert_non_null(strstr(d.said.data, "200 OK\r\n"));
	assert_non_null(strstr(d.said.data, "\r\nContent-Length: 1073741824\r\n"));
	assert_int_equal(d.dialogue.body_left, 0);
	drive_close(&d);
}

static void head_has_the_length_without_the_body(void **state)
{
	static const char *const targets[] = {"/", "/bytes/70000", "/nope", "/work/1", "/sleep/1"};

	(void)state;
	for (size_t i = 0; i < sizeof(targets) / sizeof(*targets); i++) {
		char request[100];
		struct drive get, head;
		char *end;

		snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\n" HOST "\r\n", targets[i]);
		get = served(request);
		snprintf(request, sizeof(request), "HEAD %s HTTP/1.1\r\n" HOST "\r\n", targets[i]);
		head = served(request);
		end = strstr(get.said.data, "\r\n\r\n");
		assert_non_null(end);
		end[4] = '\0';
		assert_string_equal(head.said.data, get.said.data);
		drive_close(&get);
		drive_close(&head);
	}
}

static void work_and_sleep_answer_and_the_next_request_is_not_lost(void **state)
{
	struct drive d = served("GET /work/10 HTTP/1.1\r\n" HOST "\r\n"
				"GET /sleep/10 HTTP/1.1\r\n" HOST "\r\n" GET);

	(void)state;
	assert_int_equal(d.requests, 3);
	assert_non_null(strstr(d.said.data, "worked\n"));
	assert_non_null(strstr(d.said.data, "slept\n"));
	assert_non_null(strstr(d.said.data, "hello, tenk\n"));
	drive_close(&d);
}

/* --- what is refused ------------------------------------------------------------------------ */

static void unsupported_methods_keep_the_connection(void **state)
{
	static const char *const methods[] = {"POST",    "PUT",   "DELETE", "CONNECT",
					      "OPTIONS", "TRACE", "PATCH"};
	char request[200];

	(void)state;
	for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++) {
		struct drive d;

		snprintf(request, sizeof(request), "%s / HTTP/1.1\r\n" HOST "\r\n", methods[i]);
		assert_answered(request, 405);
		d = served(request);
		assert_non_null(strstr(d.said.data, "\r\nAllow: GET, HEAD\r\n"));
		drive_close(&d);
	}
	assert_answered("OPTIONS * HTTP/1.1\r\n" HOST "\r\n", 405);
	assert_refused("POST  HTTP/1.1\r\n" HOST "\r\n", 400);
}

static void unknown_methods_are_not_implemented(void **state)
{
	(void)state;
	assert_refused("BREW / HTTP/1.1\r\n" HOST "\r\n", 501);
	assert_refused("get / HTTP/1.1\r\n" HOST "\r\n", 501); /* methods have a case */
	assert_refused("GETT / HTTP/1.1\r\n" HOST "\r\n", 501);
}

static void malformed_request_lines_are_refused(void **state)
{
	static const char *const lines[] = {
		"GET",
		"GET /",
		"GET / ",
		"GET  / HTTP/1.1",
		"GET /  HTTP/1.1",
		"GET / x HTTP/1.1",
		" GET / HTTP/1.1",
		"GET / HTTP/1.1 ",
		"GET / HTTP/1.1\r",
		"GET\t/\tHTTP/1.1",
		"G(T / HTTP/1.1",
		"GET / http/1.1",
		"GET / HTTP/1.10",
		"GET / HTTP/11",
		"GET / HTTP/1,1",
		"GET / HTTP/x.1",
		"GET / HTTP/1.x",
		"GET / HTTPS/1.1",
		"GET /\x01 HTTP/1.1",
		"GET /\x7f HTTP/1.1",
		"GET /\x80 HTTP/1.1",
		"GET /\r HTTP/1.1",
		"GET /\xc3\xa4 HTTP/1.1",
		" / HTTP/1.1",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		char request[100];

		snprintf(request, sizeof(request), "%s\r\n" HOST "\r\n", lines[i]);
		assert_refused(request, 400);
	}
}

static void a_wrong_request_line_is_refused_before_the_head_ends(void **state)
{
	(void)state;
	assert_refused("nonsense\r\n", 400);
	assert_refused("GET / HTTP/1.1\r\nnonsense\r\n", 400);
}

static void other_versions_are_not_supported(void **state)
{
	(void)state;
	assert_refused("GET / HTTP/2.0\r\n" HOST "\r\n", 505);
	assert_refused("GET / HTTP/0.9\r\n" HOST "\r\n", 505);
	assert_refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505);
	assert_answered("GET / HTTP/1.2\r\n" HOST "\r\n", 200); /* RFC 9110, 2.5 */
}

static void nul_bytes_are_refused(void **state)
{
	static const char line[] = "GET /\0 HTTP/1.1\r\n" HOST "\r\n";
	static const char method[] = "G\0T / HTTP/1.1\r\n" HOST "\r\n";
	static const char name[] = "GET / HTTP/1.1\r\n" HOST "X\0: y\r\n\r\n";
	static const char value[] = "GET / HTTP/1.1\r\n" HOST "X: y\0z\r\n\r\n";
	static const struct slice all[] = {{line, sizeof(line) - 1},
					   {method, sizeof(method) - 1},
					   {name, sizeof(name) - 1},
					   {value, sizeof(value) - 1}};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		struct drive d = served_pieces(all[i].at, all[i].len, all[i].len, SMALL);

		assert_non_null(strstr(d.said.data, "HTTP/1.1 400 "));
		assert_true(d.dialogue.closing);
		drive_close(&d);
	}
}

static void bare_line_feeds_are_refused(void **state)
{
	(void)state;
	assert_refused("GET / HTTP/1.1\n" HOST "\r\n", 400);
	assert_refused("GET / HTTP/1.1\r\nHost: a\n\r\n", 400);
	assert_refused("GET / HTTP/1.1\r\n" HOST "\n", 400);
	assert_refused("\nGET / HTTP/1.1\r\n" HOST "\r\n", 400);
}

static void leading_empty_lines_are_passed_over(void **state)
{
	(void)state;
	assert_waits("\r\n");
	assert_waits("\r\n\r");
	assert_answered("\r\n" GET, 200);
	assert_answered("\r\n\r\n\r\n" GET, 200);
	assert_refused("\r\r\n" GET, 400);
}

static void malformed_headers_are_refused(void **state)
{
	static const char *const headers[] = {
		"no colon",    ": no name", "Name : space", " Folded: first", "X: a\r\n folded",
		"X: a\r\n\tf", "X: a\rb",   "N(me: x",      "N\xc3\xa4me: x", "X: a\r",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(headers) / sizeof(*headers); i++) {
		char request[200];

		snprintf(request, sizeof(request), "GET / HTTP/1.1\r\n" HOST "%s\r\n\r\n",
			 headers[i]);
		assert_refused(request, 400);
	}
	assert_answered("GET / HTTP/1.1\r\n" HOST "X:\r\nY:  \t z \t\r\nZ: \xc3\xa4\r\n\r\n", 200);
}

static void host_must_be_there_once_and_valid(void **state)
{
	static const char *const valid[] = {
		"",         "a",        "a:",    "a:80",  "127.0.0.1:9000",     "[::1]",
		"[::1]:80", "A-b.c_d~", "a%20b", "  a  ", "[::ffff:1.2.3.4]:80"};
	static const char *const invalid[] = {"a b",   "a/b",   "a?b",   "a#b",  "u@b",
					      "a\\b",  "a:x",   "a:1:2", "[::1", "[::1]x",
					      "[:*1]", "[::g]", "a\x7f", "\x80"};
	char request[200];

	(void)state;
	for (size_t i = 0; i < sizeof(valid) / sizeof(*valid); i++) {
		snprintf(request, sizeof(request), "GET / HTTP/1.1\r\nHost:%s\r\n\r\n", valid[i]);
		assert_answered(request, 200);
	}
	for (size_t i = 0; i < sizeof(invalid) / sizeof(*invalid); i++) {
		snprintf(request, sizeof(request), "GET / HTTP/1.1\r\nHost: %s\r\n\r\n",
			 invalid[i]);
		assert_refused(request, 400);
	}
	assert_refused("GET / HTTP/1.1\r\n\r\n", 400);
	assert_refused("GET http://a/ HTTP/1.1\r\n\r\n", 400);
	assert_refused("GET / HTTP/1.1\r\n" HOST HOST "\r\n", 400);
	/* "any request message", so 1.0 too (RFC 9112, 3.2) */
	assert_refused("GET / HTTP/1.0\r\nConnection: keep-alive\r\n" HOST HOST "\r\n", 400);
	assert_refused("GET / HTTP/1.0\r\nConnection: keep-alive\r\nHost: a b\r\n\r\n", 400);
	assert_refused("POST / HTTP/1.1\r\n\r\n", 400);
}

static void a_missing_host_outweighs_what_else_is_wrong(void **state)
{
	(void)state;
	assert_refused("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 400);
	assert_refused("GET / HTTP/1.1\r\nContent-Length: 65537\r\n\r\n", 400);
	assert_refused("GET / HTTP/1.1\r\nContent-Length: 65537\r\n" HOST HOST "\r\n", 400);
}

static void transfer_codings_are_refused(void **state)
{
	(void)state;
	assert_refused("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		       501);
	assert_refused("GET / HTTP/1.1\r\n" HOST "transfer-encoding: x\r\n\r\n", 501);
	assert_refused("GET / HTTP/1.0\r\nConnection: keep-alive\r\n"
		       "Transfer-Encoding: chunked\r\n\r\n",
		       501);
	/* Two framings: somebody smuggles (RFC 9112, 6.3). Whichever comes first. */
	assert_refused("POST / HTTP/1.1\r\n" HOST
		       "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
		       400);
	assert_refused("POST / HTTP/1.1\r\n" HOST
		       "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
		       400);
	assert_refused("GET / HTTP/1.1\r\n" HOST "Transfer-Encoding : chunked\r\n\r\n", 400);
}

static void content_length_must_be_one_number(void **state)
{
	static const char *const wrong[] = {"", "x", "-1", "+1", "1 1", "1,1", "0x1", "1.0", "1e1"};
	char request[200];

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		snprintf(request, sizeof(request),
			 "POST / HTTP/1.1\r\n" HOST "Content-Length: %s\r\n\r\n", wrong[i]);
		assert_refused(request, 400);
	}
	assert_refused("GET / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
		       400);
	assert_answered("GET / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 01\r\n\r\n",
			200);
}

static void huge_content_lengths_are_too_large(void **state)
{
	static const char *const huge[] = {"65537",
					   "4294967296",           /* 2^32 */
					   "4294967301",           /* 2^32 + 5 */
					   "9223372036854775808",  /* 2^63 */
					   "18446744073709551615", /* 2^64 - 1 */
					   "18446744073709551616", /* 2^64 */
					   "18446744073709551621", /* 2^64 + 5 */
					   "99999999999999999999",
					   "100000000000000000000000000000000000000005"};
	char request[200];

	(void)state;
	for (size_t i = 0; i < sizeof(huge) / sizeof(*huge); i++) {
		snprintf(request, sizeof(request),
			 "GET / HTTP/1.1\r\n" HOST "Content-Length: %s\r\n\r\n", huge[i]);
		assert_refused(request, 413);
	}
	assert_refused("POST / HTTP/1.1\r\n" HOST "Content-Length: 65537\r\n\r\n", 413);
}

/* --- request bodies ------------------------------------------------------------------------- */

static void bodies_are_passed_over(void **state)
{
	const char *stream =
		"POST / HTTP/1.1\r\n" HOST "Content-Length: 18\r\n\r\n"
		"GET /bytes/1 HTTP/"
		"GET / HTTP/1.1\r\n" HOST "Content-Length: 0000000000000000000000005\r\n\r\n"
		"12345" GET;
	size_t len = strlen(stream);

	(void)state;
	for (size_t piece = 1; piece <= len; piece++) {
		struct drive d = served_pieces(stream, len, piece, SMALL);

		assert_int_equal(d.requests, 3);
		assert_int_equal(strncmp(d.said.data, "HTTP/1.1 405 ", 13), 0);
		assert_string_equal(d.said.data + d.said.len - 12, HTTP_ROOT_BODY);
		drive_close(&d);
	}
}

static void the_largest_body_is_passed_over(void **state)
{
	struct text stream = {0};
	char *body = calloc(1, HTTP_REQUEST_BODY_MAX);
	struct drive d;

	(void)state;
	text_add(&stream, "GET / HTTP/1.1\r\n" HOST "Content-Length: 65536\r\n\r\n",
		 strlen("GET / HTTP/1.1\r\n" HOST "Content-Length: 65536\r\n\r\n"));
	text_add(&stream, body, HTTP_REQUEST_BODY_MAX);
	text_add(&stream, GET, strlen(GET));
	d = served_pieces(stream.data, stream.len, 1000, SMALL);
	assert_int_equal(d.requests, 2);
	assert_false(d.dialogue.closing);
	assert_int_equal(buffer_len(&d.in), 0);
	drive_close(&d);
	text_free(&stream);
	free(body);
}

static void expectations_end_the_connection_after_the_reply(void **state)
{
	(void)state;
	assert_refused(
		"GET / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n", 200);
	assert_refused("POST / HTTP/1.1\r\n" HOST
		       "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n",
		       405);
}

/* --- limits on the head --------------------------------------------------------------------- */

/* A request whose head has `bytes` bytes in all. */
static struct text padded(const char *lines, size_t bytes)
{
	struct text t = {0};

	text_add(&t, lines, strlen(lines));
	text_add(&t, "X: ", 3);
	while (t.len < bytes - 4)
		text_add(&t, "x", 1);
	text_add(&t, "\r\n\r\n", 4);
	return t;
}

static void head_limit_is_exact(void **state)
{
	static const size_t buffers[] = {SMALL, 16384, 20000};
	static const size_t pieces[] = {1, 1000, 8191, 8192, 8193, 20000};

	(void)state;
	for (size_t b = 0; b < sizeof(buffers) / sizeof(*buffers); b++) {
		for (size_t p = 0; p < sizeof(pieces) / sizeof(*pieces); p++) {
			struct text most = padded("GET / HTTP/1.1\r\n" HOST, HTTP_HEAD_MAX);
			struct text more = padded("GET / HTTP/1.1\r\n" HOST, HTTP_HEAD_MAX + 1);
			struct drive d = served_pieces(most.data, most.len, pieces[p], buffers[b]);

			assert_int_equal(strncmp(d.said.data, "HTTP/1.1 200 ", 13), 0);
			assert_false(d.dialogue.closing);
			drive_close(&d);
			d = served_pieces(more.data, more.len, pieces[p], buffers[b]);
			assert_int_equal(strncmp(d.said.data, "HTTP/1.1 431 ", 13), 0);
			assert_true(d.dialogue.closing);
			drive_close(&d);
			/* As long as it may be, and its end has not come. */
			d = served_pieces(more.data, HTTP_HEAD_MAX, pieces[p], buffers[b]);
			assert_int_equal(strncmp(d.said.data, "HTTP/1.1 431 ", 13), 0);
			drive_close(&d);
			d = served_pieces(more.data, HTTP_HEAD_MAX - 1, pieces[p], buffers[b]);
			assert_int_equal(d.said.len, 0);
			drive_close(&d);
			text_free(&most);
			text_free(&more);
		}
	}
}

static void leading_empty_lines_count_as_head(void **state)
{
	struct text t = {0};
	struct drive d;

	(void)state;
	for (int i = 0; i < HTTP_HEAD_MAX; i++)
		text_add(&t, "\r\n", 2);
	d = served_pieces(t.data, t.len, 100, SMALL);
	assert_int_equal(strncmp(d.said.data, "HTTP/1.1 431 ", 13), 0);
	assert_true(d.dialogue.closing);
	drive_close(&d);
	text_free(&t);
}

/* What stands beyond the limit must not decide, or the answer would depend on how bytes arrive. */
static void nothing_beyond_the_limit_is_read(void **state)
{
	static const char *const begins[] = {"GET / HTTP/1.1\r\n" HOST, "GET /"};
	static const size_t pieces[] = {1, 8192, 8193, 9000, 20000};

	(void)state;
	for (size_t i = 0; i < sizeof(begins) / sizeof(*begins); i++) {
		struct text t = padded(begins[i], HTTP_HEAD_MAX + 500);

		text_add(&t, "bad line\r\n\r\n", 12);
		for (size_t p = 0; p < sizeof(pieces) / sizeof(*pieces); p++) {
			struct drive d = served_pieces(t.data, t.len, pieces[p], 16384);

			assert_int_equal(strncmp(d.said.data, "HTTP/1.1 431 ", 13), 0);
			assert_int_equal(d.requests, 1);
			drive_close(&d);
		}
		text_free(&t);
	}
}

/* --- keep-alive ----------------------------------------------------------------------------- */

static void keep_alive_is_the_rule_of_the_version(void **state)
{
	(void)state;
	assert_answered(GET, 200);
	assert_refused("GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", 200);
	assert_refused("GET / HTTP/1.1\r\n" HOST "Connection: x,\t CLOSE ,y\r\n\r\n", 200);
	assert_refused("GET / HTTP/1.1\r\n" HOST "Connection: keep-alive, close\r\n\r\n", 200);
	assert_refused("GET / HTTP/1.1\r\n" HOST "Connection: x\r\nConnection: close\r\n\r\n", 200);
	assert_answered("GET / HTTP/1.1\r\n" HOST "Connection: closed,\r\n\r\n", 200);
	assert_answered("GET / HTTP/1.1\r\n" HOST "Connection:\r\n\r\n", 200);
	assert_refused("GET / HTTP/1.0\r\n\r\n", 200);
	assert_refused("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", 200);
	assert_answered("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", 200);
	assert_refused("GET /nope HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", 404);
}

static void http_1_0_is_told_that_the_connection_stays(void **state)
{
	struct drive d = served("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");

	(void)state;
	assert_non_null(strstr(d.said.data, "\r\nConnection: keep-alive\r\n"));
	drive_close(&d);
}

static void nothing_is_answered_after_the_last_reply(void **state)
{
	static const char *const firsts[] = {
		"GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", "GET / HTTP/1.0\r\n\r\n",
		"nonsense\r\n", "GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"};

	(void)state;
	for (size_t i = 0; i < sizeof(firsts) / sizeof(*firsts); i++) {
		char stream[300];
		struct drive alone = served(firsts[i]), followed;

		snprintf(stream, sizeof(stream), "%s" GET GET, firsts[i]);
		followed = served(stream);
		assert_int_equal(followed.requests, 1);
		assert_string_equal(followed.said.data, alone.said.data);
		/* The client may still be sending: closing at once would destroy the reply. */
		assert_true(followed.dialogue.rude);
		drive_close(&alone);
		drive_close(&followed);
	}
}

/* --- however the bytes arrive --------------------------------------------------------------- */

static const char *const streams[] = {
	GET,
	GET GET GET "HEAD /bytes/10 HTTP/1.1\r\n" HOST "\r\n"
		    "GET /bytes/20000 HTTP/1.1\r\n" HOST "\r\n" GET,
	"GET /nope HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n" GET,
	"POST / HTTP/1.1\r\n" HOST "Content-Length: 40\r\n\r\n" GET "1234567" GET,
	"\r\n\r\nGET http://a/bytes/3?x HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n" GET,
	GET "GET / HTTP/1.1\r\nno colon\r\n\r\n" GET,
	GET "BREW / HTTP/1.1\r\n" HOST "\r\n",
	GET "GET / HTTP/3.0\r\n" HOST "\r\n",
	GET "GET / HTTP/1.1\r\n" HOST "Content-Length: 70000\r\n\r\n" GET,
	GET "GET / HTTP/1.1\nHost: a\n\n",
};

/* Split into two at every offset, and into pieces of every size: always what the oracle says. */
static void fragmentation_changes_nothing(void **state)
{
	static struct http_due due;

	(void)state;
	for (size_t i = 0; i < sizeof(streams) / sizeof(*streams); i++) {
		size_t len = strlen(streams[i]);

		oracle_http(streams[i], len, &due);
		assert_false(due.unsure);
		for (size_t at = 1; at <= len; at++) {
			struct drive d;

			drive_open(&d, &proto_http, SMALL);
			drive_stream(&d, streams[i], at, at);
			drive_stream(&d, streams[i] + at, len - at, len);
			assert_null(d.complaint);
			assert_null(oracle_check(&due, d.said.data, d.said.len));
			assert_int_equal(d.dialogue.closing, due.closes);
			drive_close(&d);
			d = served_pieces(streams[i], len, at, SMALL);
			assert_null(oracle_check(&due, d.said.data, d.said.len));
			assert_int_equal(d.requests, due.n);
			drive_close(&d);
		}
	}
}

/* 1,000 requests at once have replies of ten times the size of a buffer. */
static void a_burst_larger_than_every_buffer_is_answered_in_order(void **state)
{
	static struct http_due due;
	struct text stream = {0};
	char request[100];
	struct drive d;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		int n = snprintf(request, sizeof(request), "GET /bytes/%d HTTP/1.1\r\n" HOST "\r\n",
				 i);

		text_add(&stream, request, (size_t)n);
	}
	oracle_http(stream.data, stream.len, &due);
	assert_int_equal(due.n, 1000);
	d = served_pieces(stream.data, stream.len, stream.len, SMALL);
	assert_null(oracle_check(&due, d.said.data, d.said.len));
	assert_int_equal(d.requests, 1000);
	drive_close(&d);
	text_free(&stream);
}

/* The client reads slowly: one call of answer() must not put out more than there is room for. */
static void output_stops_where_the_room_ends(void **state)
{
	static const char request[] = "GET /bytes/100000 HTTP/1.1\r\n" HOST "\r\n" GET;
	struct drive d;
	unsigned calls = 0;

	(void)state;
	drive_open(&d, &proto_http, SMALL);
	memcpy(d.in.data, request, sizeof(request) - 1);
	d.in.end = sizeof(request) - 1;
	while (d.dialogue.body_left || buffer_len(&d.in)) {
		d.requests += proto_http.answer(&d.dialogue, &d.in, &d.out);
		assert_true(buffer_len(&d.out) > 0 && d.out.end <= d.out.size);
		text_add(&d.said, d.out.data, d.out.end);
		d.out.end = 0;
		calls++;
	}
	assert_int_equal(d.requests, 2);
	assert_true(calls > 100000 / SMALL);
	drive_close(&d);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(root_is_twelve_bytes),
		cmocka_unit_test(query_does_not_change_the_resource),
		cmocka_unit_test(absolute_form_is_its_path),
		cmocka_unit_test(bytes_of_any_size_repeat_the_pattern),
		cmocka_unit_test(each_body_begins_the_pattern_anew),
		cmocka_unit_test(numbers_in_paths_have_limits),
		cmocka_unit_test(largest_body_is_announced),
		cmocka_unit_test(head_has_the_length_without_the_body),
		cmocka_unit_test(work_and_sleep_answer_and_the_next_request_is_not_lost),
		cmocka_unit_test(unsupported_methods_keep_the_connection),
		cmocka_unit_test(unknown_methods_are_not_implemented),
		cmocka_unit_test(malformed_request_lines_are_refused),
		cmocka_unit_test(a_wrong_request_line_is_refused_before_the_head_ends),
		cmocka_unit_test(other_versions_are_not_supported),
		cmocka_unit_test(nul_bytes_are_refused),
		cmocka_unit_test(bare_line_feeds_are_refused),
		cmocka_unit_test(leading_empty_lines_are_passed_over),
		cmocka_unit_test(malformed_headers_are_refused),
		cmocka_unit_test(host_must_be_there_once_and_valid),
		cmocka_unit_test(a_missing_host_outweighs_what_else_is_wrong),
		cmocka_unit_test(transfer_codings_are_refused),
		cmocka_unit_test(content_length_must_be_one_number),
		cmocka_unit_test(huge_content_lengths_are_too_large),
		cmocka_unit_test(bodies_are_passed_over),
		cmocka_unit_test(the_largest_body_is_passed_over),
		cmocka_unit_test(expectations_end_the_connection_after_the_reply),
		cmocka_unit_test(head_limit_is_exact),
		cmocka_unit_test(leading_empty_lines_count_as_head),
		cmocka_unit_test(nothing_beyond_the_limit_is_read),
		cmocka_unit_test(keep_alive_is_the_rule_of_the_version),
		cmocka_unit_test(http_1_0_is_told_that_the_connection_stays),
		cmocka_unit_test(nothing_is_answered_after_the_last_reply),
		cmocka_unit_test(fragmentation_changes_nothing),
		cmocka_unit_test(a_burst_larger_than_every_buffer_is_answered_in_order),
		cmocka_unit_test(output_stops_where_the_room_ends),
	};

	return cmocka_run_group_tests_name("proto_http", tests, NULL, NULL);
}
