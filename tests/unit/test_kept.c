// SPDX-License-Identifier: MIT
// tenk-wrap: malloc calloc
/*
 * Bytes kept for a connection that still owes a reply; and a socket without a descriptor for which
 * there is no memory.
 */
#include "servers/lib/kept.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "servers/lib/proto.h"
#include "servers/lib/server.h"
#include "servers/lib/stats.h"

#define BUFFER 64

static bool no_memory;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

void *__wrap_malloc(size_t size)
{
	return no_memory ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return no_memory ? NULL : __real_calloc(n, size);
}

static int teardown(void **state)
{
	(void)state;
	return conn_count();
}

static struct conn *lonely(void)
{
	struct conn *c = conn_open(open("/dev/null", O_RDWR | O_CLOEXEC));

	assert_non_null(c);
	return c;
}

/* The reply it owes, which is sent now. */
static void assert_owes(struct conn *c, const char *reply)
{
	size_t len;
	const char *buf;

	assert_int_equal(conn_next(c), OP_SEND);
	buf = conn_buf(c, &len);
	assert_int_equal(len, strlen(reply));
	assert_memory_equal(buf, reply, len);
	assert_int_equal(conn_done(c, (ssize_t)len), IO_OK);
}

static void what_was_kept_is_given_in_the_order_it_came(void **state)
{
	struct conn *c = lonely();
	struct kept k = {0};

	(void)state;
	conn_feed(c, "one", 3);
	assert_true(kept_add(&k, "two", 3));
	assert_true(kept_add(&k, "three", 5));
	kept_feed(&k, c); /* it still owes a reply: nothing is taken */
	assert_owes(c, "one");
	kept_feed(&k, c);
	assert_owes(c, "two");
	assert_true(kept_add(&k, "four", 4));
	kept_feed(&k, c);
	assert_owes(c, "three");
	kept_feed(&k, c);
	assert_owes(c, "four");
	assert_null(k.first);
	kept_feed(&k, c);
	assert_int_equal(conn_next(c), OP_RECV);
	conn_close(c);
}

static void more_than_a_buffer_is_given_in_parts(void **state)
{
	struct conn *c = lonely();
	struct kept k = {0};
	char much[BUFFER + 10], part[BUFFER + 1] = "";

	(void)state;
	memset(much, 'x', sizeof(much));
	memset(part, 'x', BUFFER);
	assert_true(kept_add(&k, much, sizeof(much)));
	kept_feed(&k, c);
	assert_owes(c, part);
	assert_non_null(k.first);
	kept_feed(&k, c);
	assert_owes(c, "xxxxxxxxxx");
	assert_null(k.first);
	conn_close(c);
}

static void without_memory_nothing_is_kept_and_the_rest_stays(void **state)
{
	struct conn *c = lonely();
	struct kept k = {0};

	(void)state;
	assert_true(kept_add(&k, "one", 3));
	no_memory = true;
	assert_false(kept_add(&k, "two", 3));
	no_memory = false;
	kept_feed(&k, c);
	assert_owes(c, "one");
	assert_null(k.first);
	conn_close(c);
}

static void what_is_dropped_is_forgotten(void **state)
{
	struct conn *c = lonely();
	struct kept k = {0};

	(void)state;
	assert_true(kept_add(&k, "one", 3));
	assert_true(kept_add(&k, "two", 3));
	kept_drop(&k);
	kept_feed(&k, c);
	assert_int_equal(conn_next(c), OP_RECV);
	conn_close(c);
}

static void a_socket_in_a_table_is_counted_no_more_when_there_is_no_memory_for_it(void **state)
{
	struct server srv = {.max_conns = 1};
	int slot = 7;

	(void)state;
	assert_int_equal(server_accepted(&srv, slot), slot);
	assert_int_equal(conn_count(), 1);
	no_memory = true;
	assert_null(conn_new(slot));
	no_memory = false;
	assert_int_equal(conn_count(), 0);
	assert_int_equal(server_accepted(&srv, slot), slot); /* and its place may be used again */
	conn_free(conn_new(slot));
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(what_was_kept_is_given_in_the_order_it_came),
		TEST(more_than_a_buffer_is_given_in_parts),
		TEST(without_memory_nothing_is_kept_and_the_rest_stays),
		TEST(what_is_dropped_is_forgotten),
		TEST(a_socket_in_a_table_is_counted_no_more_when_there_is_no_memory_for_it),
	};

	alarm(60);
	stats_init(1);
	conn_init(&proto_echo, BUFFER, 0);
	return cmocka_run_group_tests_name("kept", tests, NULL, NULL);
}
