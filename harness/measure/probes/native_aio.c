// SPDX-License-Identifier: MIT
/*
 * native_aio linux_aio read|poll: io_submit(2) of a read of a socket that has no bytes yet, or of a
 * request to be told when it has some (IOCB_CMD_POLL). Does io_submit return before they come? Then
 * the operation is asynchronous.
 *
 * Another thread writes the bytes: as soon as io_submit has returned, or after 300 ms.
 * {"probe_worked": 1}: it returned first, and the result came afterwards. 0: it waited for the
 * bytes, or the kernel does not take this of a socket.
 */
#include <errno.h>
#include <linux/aio_abi.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/die.h"

static atomic_bool submitted;
static bool was_submitted; /* when the bytes were written */
static int peer;

/* Two ends of a TCP connection of this machine. */
static int connected(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;
	socklen_t length = sizeof(at);

	peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || peer < 0 || bind(listener, (struct sockaddr *)&at, length) ||
	    listen(listener, 1) || getsockname(listener, (struct sockaddr *)&at, &length) ||
	    connect(peer, (struct sockaddr *)&at, length))
		die_errno("connect to ourselves", NULL);
	fd = accept(listener, NULL, NULL);
	if (fd < 0)
		die_errno("accept", NULL);
	close(listener);
	return fd;
}

static void *write_later(void *unused)
{
	(void)unused;
	for (int i = 0; i < 300 && !submitted; i++)
		poll(NULL, 0, 1);
	was_submitted = submitted;
	if (write(peer, "x", 1) != 1)
		die_errno("write", NULL);
	return NULL;
}

int main(int argc, char **argv)
{
	struct timespec most = {.tv_sec = 5};
	aio_context_t context = 0;
	struct io_event event = {0};
	struct iocb block = {0}, *blocks[] = {&block};
	bool told = false, as_poll = argc == 3 && !strcmp(argv[2], "poll");
	char byte;
	pthread_t writer;
	long taken;

	if (argc > 1 && strcmp(argv[1], "linux_aio"))
		die(EXIT_UNSUPPORTED, "%s is not asked this", argv[1]);
	if (argc != 3 || (!as_poll && strcmp(argv[2], "read")))
		die(EXIT_BAD_USAGE, "usage: native_aio linux_aio read|poll");
	if (syscall(SYS_io_setup, 1, &context))
		die(EXIT_UNSUPPORTED, "io_setup: %s", strerror(errno));
	block.aio_fildes = (uint32_t)connected();
	block.aio_lio_opcode = as_poll ? IOCB_CMD_POLL : IOCB_CMD_PREAD;
	block.aio_buf = as_poll ? POLLIN : (uint64_t)(uintptr_t)&byte;
	block.aio_nbytes = as_poll ? 0 : 1;
	if (pthread_create(&writer, NULL, write_later, NULL))
		die(1, "pthread_create failed");
	taken = syscall(SYS_io_submit, context, 1, blocks);
	submitted = true;
	if (taken == 1)
		told = syscall(SYS_io_getevents, context, 1, 1, &event, &most) == 1 &&
		       event.res > 0;
	pthread_join(writer, NULL);
	printf("{\"probe_worked\": %d}\n", told && was_submitted);
	return 0;
}
