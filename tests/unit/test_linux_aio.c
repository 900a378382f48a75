// SPDX-License-Identifier: MIT
// What servers/linux_aio.c says of the kernel: a read from a socket is not asynchronous, a poll is.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static aio_context_t aio;
static int client, server; /* two ends of a TCP connection */
static char buf[16];

static int set_up(void **state)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	(void)state;
	aio = 0;
	if (syscall(SYS_io_setup, 4, &aio))
		return errno == ENOSYS ? 0 : -1;
	client = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (struct sockaddr *)&at, len) || listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&at, &len) ||
	    connect(client, (struct sockaddr *)&at, len))
		return -1;
	server = accept(listener, NULL, NULL);
	return close(listener);
}

static int tear_down(void **state)
{
	(void)state;
	if (!aio)
		return 0;
	close(client);
	close(server);
	return (int)syscall(SYS_io_destroy, aio);
}

/* Returns how many requests were taken, or -1. */
static long submit(int opcode, uint64_t about, uint64_t len)
{
	struct iocb request = {.aio_lio_opcode = (uint16_t)opcode,
			       .aio_fildes = (uint32_t)server,
			       .aio_buf = about,
			       .aio_nbytes = len};
	struct iocb *which = &request;

	return syscall(SYS_io_submit, aio, 1, &which);
}

/* Events there are now, at most one. */
static long events_now(struct io_event *event)
{
	struct timespec at_once = {0};

	return syscall(SYS_io_getevents, aio, 0, 1, event, &at_once);
}

static void *submit_read(void *tid)
{
	__atomic_store_n((int *)tid, gettid(), __ATOMIC_RELEASE);
	return (void *)submit(IOCB_CMD_PREAD, (uintptr_t)buf, sizeof(buf));
}

/* The system call that a thread is in, or -1 while it runs. Skips where the kernel does not tell. */
static long call_of(int tid)
{
	char path[64];
	long number = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", tid);
	file = fopen(path, "re");
	if (!file)
		skip();
	if (fscanf(file, "%ld", &number) != 1)
		number = -1;
	fclose(file);
	return number;
}

static void a_read_from_an_empty_socket_keeps_io_submit_waiting(void **state)
{
	struct io_event event;
	pthread_t thread;
	void *taken;
	int tid = 0;

	(void)state;
	if (!aio)
		skip();
	assert_int_equal(0, pthread_create(&thread, NULL, submit_read, &tid));
	/* A thread is shown in a system call only while it sleeps there. */
	while (!__atomic_load_n(&tid, __ATOMIC_ACQUIRE) || call_of(tid) != SYS_io_submit)
		sched_yield();
	assert_int_equal(0, events_now(&event));
	assert_int_equal(5, send(client, "hello", 5, 0));
	pthread_join(thread, &taken);
	assert_int_equal(1, (long)taken);
	assert_int_equal(1, events_now(&event));
	assert_int_equal(5, event.res);
	assert_memory_equal("hello", buf, 5);
}

static void a_read_from_a_socket_that_does_not_block_is_done_in_vain(void **state)
{
	struct io_event event;

	(void)state;
	if (!aio)
		skip();
	assert_int_equal(0, fcntl(server, F_SETFL, O_NONBLOCK));
	assert_int_equal(1, submit(IOCB_CMD_PREAD, (uintptr_t)buf, sizeof(buf)));
	assert_int_equal(1, events_now(&event));
	assert_int_equal(-EAGAIN, event.res);
}

static void a_poll_of_an_empty_socket_is_done_when_bytes_come(void **state)
{
	struct io_event event;

	(void)state;
	if (!aio)
		skip();
	assert_int_equal(1, submit(IOCB_CMD_POLL, POLLIN, 0)); /* it would never return otherwise */
	assert_int_equal(0, events_now(&event));
	assert_int_equal(5, send(client, "hello", 5, 0));
	assert_int_equal(1, syscall(SYS_io_getevents, aio, 1, 1, &event, NULL));
	assert_true(event.res & POLLIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_read_from_an_empty_socket_keeps_io_submit_waiting,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_read_from_a_socket_that_does_not_block_is_done_in_vain, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(a_poll_of_an_empty_socket_is_done_when_bytes_come,
						set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
