// SPDX-License-Identifier: MIT
/*
 * The epoll engine against a server that never comes to an end. How fast bytes really arrive
 * depends on the machine; here recv(2) itself is replaced, so that one socket is always full.
 * tenk-wrap: recv
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "loadgen/session.h"

ssize_t __real_recv(int fd, void *buffer, size_t length, int flags);
ssize_t __wrap_recv(int fd, void *buffer, size_t length, int flags);

static const char endless[] = "HTTP/1.1 200 Endless\r\nContent-Length: 9000000000000000\r\n\r\n";
static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

static uint16_t flooded_port; /* the client's, of the connection with the endless reply; 0: none */

static uint16_t port_of(int fd)
{
	struct sockaddr_in address = {0};
	socklen_t length = sizeof(address);

	getsockname(fd, (struct sockaddr *)&address, &length);
	return address.sin_port;
}

ssize_t __wrap_recv(int fd, void *buffer, size_t length, int flags)
{
	ssize_t n;

	if (flooded_port && port_of(fd) == flooded_port) {
		memset(buffer, 'x', length);
		return (ssize_t)length;
	}
	n = __real_recv(fd, buffer, length, flags);
	if (n <= 0 || !memmem(buffer, (size_t)n, "Endless", 7))
		return n;
	flooded_port = port_of(fd);
	memset((char *)buffer + n, 'x', length - (size_t)n);
	return (ssize_t)length;
}

/* --- the server: the first connection gets the endless reply, each other one right ones -------- */

struct served {
	int fd;
	bool first;
};

static void *serve(void *argument)
{
	struct served served = *(struct served *)argument;
	char request[4096];

	free(argument);
	while (read(served.fd, request, sizeof(request)) > 0) {
		if (send(served.fd, served.first ? endless : ok,
			 served.first ? sizeof(endless) - 1 : sizeof(ok) - 1, MSG_NOSIGNAL) < 0)
			break;
	}
	close(served.fd);
	return NULL;
}

static void *accept_all(void *argument)
{
	int listener = *(int *)argument, fd;
	bool first = true;

	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		struct served *served = malloc(sizeof(*served));
		pthread_t thread;

		*served = (struct served){fd, first};
		first = false;
		assert_int_equal(pthread_create(&thread, NULL, serve, served), 0);
		pthread_detach(thread);
	}
	return NULL;
}

static struct options options;
static struct record record;
static struct tally *active = &record.tallies[POPULATION_ACTIVE];

static void run(void)
{
	struct control control = {.start_ns = clock_now_ns() + 20 * NS_PER_MS};
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001)};
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct target target;
	struct session_setup setup = {
		.options = &options, .target = &target, .control = &control, .record = &record};
	pthread_t thread;

	memset(&record, 0, sizeof(record));
	flooded_port = 0;
	assert_null(target_parse("http://127.0.0.1:1/", &target));
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 16), 0);
	address.sin_port = port_of(listener);
	setup.server = (struct endpoint){.length = sizeof(address), .v4 = address};
	assert_int_equal(pthread_create(&thread, NULL, accept_all, &listener), 0);
	session_run(&setup);
	shutdown(listener, SHUT_RDWR);
	pthread_join(thread, NULL);
	close(listener);
}

static int reset(void **state)
{
	(void)state;
	options_defaults(&options);
	options.url = "http://127.0.0.1:1/";
	options.connections = 3;
	options.duration_ns = 300 * (int64_t)NS_PER_MS;
	options.warmup_ns = 0;
	options.drain_ns = 50 * (int64_t)NS_PER_MS;
	return 0;
}

static void a_socket_that_never_empties_keeps_nobody_waiting(void **state)
{
	(void)state;
	run(); /* and ends, although the endless reply does not */
	assert_true(flooded_port != 0);
	assert_int_equal(record.phase, WORKER_DONE);
	assert_int_equal(active->unanswered, 1);
	assert_true(active->completed > 10); /* of the two others */
	assert_int_equal(active->sent, active->completed + 1);
}

static void a_socket_that_never_empties_times_out(void **state)
{
	(void)state;
	options.timeout_ns = 100 * (int64_t)NS_PER_MS;
	options.duration_ns = (int64_t)NS_PER_S;
	run();
	assert_true(flooded_port != 0);
	/* On a busy machine another one may be late, too. */
	assert_in_range(active->request_errors[FAILURE_TIMEOUT], 1, 30);
	assert_in_range(active->opened, 4, 33);
	assert_true(active->completed > 10);
}

static void a_socket_that_never_empties_does_not_hold_up_priming(void **state)
{
	(void)state;
	options.prime = true;
	options.timeout_ns = 100 * (int64_t)NS_PER_MS;
	options.duration_ns = (int64_t)NS_PER_S;
	run();
	assert_true(flooded_port != 0);
	assert_int_equal(record.phase, WORKER_DONE);
	assert_true(active->completed > 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_socket_that_never_empties_keeps_nobody_waiting, reset),
		cmocka_unit_test_setup(a_socket_that_never_empties_times_out, reset),
		cmocka_unit_test_setup(a_socket_that_never_empties_does_not_hold_up_priming, reset),
	};

	return cmocka_run_group_tests_name("epoll engine", tests, NULL, NULL);
}
