// SPDX-License-Identifier: MIT
/* URLs, source address lists and CPU lists. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "loadgen/target.h"

static void urls_are_taken_apart(void **state)
{
	struct target t;

	(void)state;
	assert_null(target_parse("echo://127.0.0.1:9000", &t));
	assert_int_equal(t.protocol, PROTOCOL_ECHO);
	assert_string_equal(t.host, "127.0.0.1");
	assert_int_equal(t.port, 9000);
	assert_null(target_parse("rot13://localhost:1/", &t));
	assert_int_equal(t.protocol, PROTOCOL_ROT13);
	assert_null(target_parse("http://example.org", &t));
	assert_int_equal(t.port, 80);
	assert_string_equal(t.path, "/");
	assert_null(target_parse("http://h:8080/bytes/12?x=http://y:1/", &t));
	assert_string_equal(t.host, "h");
	assert_string_equal(t.path, "/bytes/12?x=http://y:1/");
	assert_null(target_parse("http://h?q", &t));
	assert_string_equal(t.path, "/?q");
	assert_null(target_parse("http://[::1]:8080/x", &t));
	assert_string_equal(t.host, "::1");
	assert_int_equal(t.port, 8080);
	assert_null(target_parse("http://[fe80::1]", &t));
	assert_int_equal(t.port, 80);
	assert_null(target_parse("memcached://h/key", &t));
	assert_int_equal(t.port, 11211);
	assert_null(target_parse("redis://h", &t));
	assert_int_equal(t.port, 6379);
}

/* With its slash or without ("http://h?q"): a path fits when what is kept of it does. */
static void a_path_is_as_long_with_its_slash_as_without(void **state)
{
	static const struct {
		const char *with, *without;
		size_t most; /* after the slash */
	} of[] = {
		{"http://h/?", "http://h?", sizeof(((struct target *)NULL)->path) - 2},
		{"redis://h/?", "redis://h?", 250},
		{"memcached://h/?", "memcached://h?", 250},
	};
	char rest[4096], url[sizeof(rest) + 32];
	struct target t;

	(void)state;
	memset(rest, 'a', sizeof(rest));
	for (size_t i = 0; i < sizeof(of) / sizeof(*of); i++) {
		int fits = (int)of[i].most - 1; /* the question mark is one of them */

		for (int more = 0; more <= 1; more++) {
			snprintf(url, sizeof(url), "%s%.*s", of[i].with, fits + more, rest);
			assert_int_equal(target_parse(url, &t) != NULL, more);
			snprintf(url, sizeof(url), "%s%.*s", of[i].without, fits + more, rest);
			assert_int_equal(target_parse(url, &t) != NULL, more);
		}
		snprintf(url, sizeof(url), "%s%.*s", of[i].without, fits, rest);
		assert_null(target_parse(url, &t));
		assert_int_equal(strlen(t.path), of[i].most + 1);
	}
}

static void a_unix_socket_is_named_by_its_path(void **state)
{
	struct endpoint a;
	struct target t;

	(void)state;
	assert_null(target_parse("http://unix:/run/app.sock:/x?y=http://z:1/", &t));
	assert_true(t.local);
	assert_string_equal(t.host, "/run/app.sock");
	assert_string_equal(t.path, "/x?y=http://z:1/");
	assert_null(target_parse("echo://unix:e.sock", &t));
	assert_string_equal(t.host, "e.sock");
	assert_null(target_resolve(&t, &a));
	assert_int_equal(a.any.sa_family, AF_UNIX);
	assert_string_equal(a.local.sun_path, "e.sock");
	assert_true(endpoint_is_here(&a));
}

static void only_addresses_of_this_machine_are_here(void **state)
{
	static const char *const here[] = {"127.0.0.1", "127.9.8.7", "0.0.0.0",
					   "[::1]",     "[::]",      "[::ffff:127.0.0.1]"};
	static const char *const elsewhere[] = {"192.0.2.1", "[2001:db8::1]", "[::ffff:192.0.2.1]"};
	struct endpoint a;
	struct target t;
	char url[64];

	(void)state;
	for (size_t i = 0; i < sizeof(here) / sizeof(*here); i++) {
		snprintf(url, sizeof(url), "http://%s:1/", here[i]);
		assert_null(target_parse(url, &t));
		assert_null(target_resolve(&t, &a));
		assert_true(endpoint_is_here(&a));
	}
	for (size_t i = 0; i < sizeof(elsewhere) / sizeof(*elsewhere); i++) {
		snprintf(url, sizeof(url), "http://%s:1/", elsewhere[i]);
		assert_null(target_parse(url, &t));
		assert_null(target_resolve(&t, &a));
		assert_false(endpoint_is_here(&a));
	}
}

static void wrong_urls_are_refused(void **state)
{
	static const char *const wrong[] = {
		"",
		"127.0.0.1:80",
		"https://h/",
		"http//h",
		"http://",
		"http://:80/",
		"http://h:0/",
		"http://h:65536/",
		"http://h:+1/",
		"http://h:8x/",
		"http://h:/",
		"echo://h",
		"echo://h:1/path",
		"http://h/a b",
		"http://h/a\r\nX: y",
		"http://h/#top",
		"http://::1/",
		"http://[::1/",
		"http://[h]/",
		"http://lo[al/",
		"http://[::1]x/",
		"http://unix:",
		"http://unix/",
		"http://unix:/a:b",
		"echo://unix:/a:/path",
		"memcached://h",
	};
	struct target t;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		if (!target_parse(wrong[i], &t))
			fail_msg("'%s' was accepted", wrong[i]);
	}
}

static void a_path_that_does_not_fit_is_refused(void **state)
{
	char url[4096] = "http://h/";
	struct target t;

	(void)state;
	memset(url + 9, 'a', 2036);
	assert_null(target_parse(url, &t));
	memset(url + 9, 'a', 2100);
	assert_non_null(target_parse(url, &t));
	memset(url + 7, 'h', 300);
	strcpy(url + 307, "/");
	assert_non_null(target_parse(url, &t));
}

static void source_lists_are_read(void **state)
{
	uint32_t a[8];

	(void)state;
	assert_int_equal(sources_parse("127.0.0.1", a, 8), 1);
	assert_int_equal(a[0], inet_addr("127.0.0.1"));
	assert_int_equal(sources_parse("127.0.0.9,127.0.0.2-127.0.0.4", a, 8), 4);
	assert_int_equal(a[3], inet_addr("127.0.0.4"));
	assert_int_equal(sources_parse("127.0.0.1-127.0.0.8", a, 8), 8);
	assert_int_equal(sources_parse("127.0.0.1-127.0.0.9", a, 8), 0);
	assert_int_equal(sources_parse("127.0.0.2-127.0.0.1", a, 8), 0);
	assert_int_equal(sources_parse("127.0.0", a, 8), 0);
	assert_int_equal(sources_parse("", a, 8), 0);
	assert_int_equal(sources_parse("127.0.0.1,", a, 8), 0);
	assert_int_equal(sources_parse("0.0.0.0-255.255.255.255", a, 8), 0);
}

static void cpu_lists_are_read(void **state)
{
	int cpus[8];

	(void)state;
	assert_int_equal(cpus_parse("0,2-3", cpus, 8), 3);
	assert_int_equal(cpus[2], 3);
	assert_int_equal(cpus_parse("0-7", cpus, 8), 8);
	assert_int_equal(cpus_parse("0-8", cpus, 8), 0);
	assert_int_equal(cpus_parse("-1", cpus, 8), 0);
	assert_int_equal(cpus_parse("3-1", cpus, 8), 0);
	assert_int_equal(cpus_parse("a", cpus, 8), 0);
	assert_int_equal(cpus_parse("1,,2", cpus, 8), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(urls_are_taken_apart),
		cmocka_unit_test(a_path_is_as_long_with_its_slash_as_without),
		cmocka_unit_test(a_unix_socket_is_named_by_its_path),
		cmocka_unit_test(only_addresses_of_this_machine_are_here),
		cmocka_unit_test(wrong_urls_are_refused),
		cmocka_unit_test(a_path_that_does_not_fit_is_refused),
		cmocka_unit_test(source_lists_are_read),
		cmocka_unit_test(cpu_lists_are_read),
	};

	return cmocka_run_group_tests_name("target", tests, NULL, NULL);
}
