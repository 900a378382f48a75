// SPDX-License-Identifier: MIT
/* What is asked of an http server: methods, header fields, bodies and request files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "loadgen/ask.h"

static void rendered_as(const char *url, const struct http_ask *ask, size_t i, const char *due)
{
	struct ask_request one;
	struct target target;

	assert_null(target_parse(url, &target));
	target.ask = ask;
	assert_true(ask_render(&target, i, &one));
	assert_int_equal(one.length, strlen(due));
	assert_memory_equal(one.bytes, due, one.length);
	free(one.bytes);
}

static void nothing_asked_for_is_a_plain_get(void **state)
{
	(void)state;
	rendered_as("http://h/x", NULL, 0, "GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
	rendered_as("http://[::1]:8080/", NULL, 0, "GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n");
	rendered_as("http://unix:/run/app.sock:/y", NULL, 0,
		    "GET /y HTTP/1.1\r\nHost: localhost\r\n\r\n");
}

static void a_body_is_posted_with_its_length(void **state)
{
	const struct http_ask post = {.body = "abc", .body_bytes = 3};
	const struct http_ask delete = {.method = "DELETE"};
	const struct http_ask put = {.method = "PUT"};

	(void)state;
	rendered_as("http://h/", &post, 0,
		    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
	rendered_as("http://h/", &delete, 0, "DELETE / HTTP/1.1\r\nHost: h\r\n\r\n");
	rendered_as("http://h/", &put, 0, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
}

static void header_fields_are_added_and_host_replaced(void **state)
{
	const char *const fields[] = {"Accept: */*", "host: other"};
	struct http_ask ask = {.fields = fields, .field_count = 1};

	(void)state;
	rendered_as("http://h/", &ask, 0, "GET / HTTP/1.1\r\nHost: h\r\nAccept: */*\r\n\r\n");
	ask.field_count = 2;
	rendered_as("http://h/", &ask, 0, "GET / HTTP/1.1\r\nAccept: */*\r\nhost: other\r\n\r\n");
}

static void what_would_break_the_request_is_refused(void **state)
{
	static const char *const fields[] = {
		"",
		"no colon",
		": no name",
		"na me: x",
		"X: a\r\nY: b",
		"X: \x7f",
		"Content-Length: 3",
		"transfer-encoding: chunked",
	};
	static const char *const methods[] = {"", "get", "G ET", "CONNECT", "ABCDEFGHIJKLMNOPQ"};

	(void)state;
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
		assert_non_null(ask_check_field(fields[i]));
	for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++)
		assert_non_null(ask_check_method(methods[i]));
	assert_null(ask_check_field("X:"));
	assert_null(ask_check_field("Cookie: a=b;\tc"));
	assert_null(ask_check_method("M-SEARCH"));
}

/* NULL, or why the file is refused. The text is kept in *copy for as long as the lines are. */
static const char *parse(struct http_ask *ask, const char *text, char **copy)
{
	static char reason[256];

	*ask = (struct http_ask){0};
	*copy = strdup(text);
	return ask_parse_lines(ask, *copy, reason, sizeof(reason));
}

static void lines_without_weights_are_asked_for_in_order(void **state)
{
	struct http_ask ask;
	char *copy;

	(void)state;
	assert_null(parse(&ask, "# two\r\nGET /a\r\n\n  POST\t/b  \n", &copy));
	assert_int_equal(ask_count(&ask), 2);
	for (uint32_t n = 0; n < 5; n++)
		assert_int_equal(ask_pick(&ask, 1, 7, n), n % 2);
	ask.body = "x";
	ask.body_bytes = 1;
	rendered_as("http://h/", &ask, 0, "GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
	rendered_as("http://h/", &ask, 1,
		    "POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx");
	ask_free_lines(&ask);
	free(copy);
}

static void lines_with_weights_come_as_often_as_they_weigh(void **state)
{
	enum { DRAWS = 40000 };
	size_t seen[3] = {0};
	struct http_ask ask;
	char *copy;

	(void)state;
	assert_null(parse(&ask, "GET /a 1\nGET /b 5\nGET /c 2", &copy));
	for (uint32_t n = 0; n < DRAWS; n++) {
		size_t i = ask_pick(&ask, 1, n % 100, n / 100);

		assert_true(i < 3);
		assert_int_equal(i, ask_pick(&ask, 1, n % 100, n / 100));
		seen[i]++;
	}
	/* Six standard deviations of a binomial count are at most 600. */
	assert_in_range(seen[0], DRAWS / 8 - 600, DRAWS / 8 + 600);
	assert_in_range(seen[1], 5 * DRAWS / 8 - 600, 5 * DRAWS / 8 + 600);
	assert_in_range(seen[2], 2 * DRAWS / 8 - 600, 2 * DRAWS / 8 + 600);
	ask_free_lines(&ask);
	free(copy);
}

static void lines_of_one_class_are_one_class_wherever_they_stand(void **state)
{
	struct http_ask ask;
	char *copy;

	(void)state;
	assert_null(parse(&ask, "GET /a 1 rare\nGET /b 6 usual\nPOST /c 1 rare", &copy));
	assert_int_equal(ask.class_count, 2);
	assert_string_equal(ask.classes[0], "rare");
	assert_string_equal(ask.classes[1], "usual");
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(ask.lines[i].class, i == 1);
	assert_float_equal(ask_class_share(&ask, 0), 0.25, 0);
	assert_float_equal(ask_class_share(&ask, 1), 0.75, 0);
	ask_free_lines(&ask);
	free(copy);
}

static void lines_without_a_class_have_none(void **state)
{
	struct http_ask ask;
	char *copy;

	(void)state;
	assert_null(parse(&ask, "GET /a 1\nGET /b 6", &copy));
	assert_int_equal(ask.class_count, 0);
	ask_free_lines(&ask);
	free(copy);
}

static void a_wrong_line_is_named_with_its_number(void **state)
{
	static const char *const wrong[][2] = {
		{"GET /\nGET\n", "line 2"},
		{"GET / 0\n", "line 1"},
		{"GET / x\n", "line 1"},
		{"GET / 1 2\n", "line 1"},
		{"get /\n", "line 1"},
		{"GET x\n", "line 1"},
		{"GET /#a\n", "line 1"},
		{"GET / 1\n\nGET /\n", "line 3"},
		{"GET /\nGET / 1\n", "line 2"},
		{"", "no request"},
		{"# none\n", "no request"},
		{"GET / 1 a\nGET / 1\n", "line 2"},
		{"GET / 1\nGET / 1 a\n", "line 2"},
		{"GET / 1 a b\n", "line 1"},
		{"GET / 1 a:b\n", "line 1"},
		{"GET / 1 a2345678901234567\n", "line 1"},
		{"GET / 1 a\nGET / 1 b\nGET / 1 c\nGET / 1 d\nGET / 1 e\n", "line 5"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct http_ask ask;
		char *copy;
		const char *reason = parse(&ask, wrong[i][0], &copy);

		assert_non_null(reason);
		assert_non_null(strstr(reason, wrong[i][1]));
		ask_free_lines(&ask);
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_asked_for_is_a_plain_get),
		cmocka_unit_test(a_body_is_posted_with_its_length),
		cmocka_unit_test(header_fields_are_added_and_host_replaced),
		cmocka_unit_test(what_would_break_the_request_is_refused),
		cmocka_unit_test(lines_without_weights_are_asked_for_in_order),
		cmocka_unit_test(lines_with_weights_come_as_often_as_they_weigh),
		cmocka_unit_test(lines_of_one_class_are_one_class_wherever_they_stand),
		cmocka_unit_test(lines_without_a_class_have_none),
		cmocka_unit_test(a_wrong_line_is_named_with_its_number),
	};

	return cmocka_run_group_tests_name("ask", tests, NULL, NULL);
}
