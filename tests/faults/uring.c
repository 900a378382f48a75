// SPDX-License-Identifier: MIT
/*
 * LD_PRELOAD shim for programs that use liburing: requests fail, or move only a few bytes.
 *
 * strace sees io_uring_enter(2) and nothing of what goes through the rings. This looks at the
 * requests on their way into the kernel, and turns every second one of a kind into a request that
 * does nothing but fail as told (IORING_NOP_INJECT_RESULT, Linux 6.10), or makes its length small.
 *
 *   TENK_URING=accept|recv|send  which requests
 *   TENK_RESULT=-N               what every second one of them gives (an errno, negated)
 *   TENK_RESULT=short            or: none of them moves more than 7 bytes
 *   TENK_LOG=FILE                a byte is appended there for each request that is changed; without
 *                                it none is
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#ifndef IORING_NOP_INJECT_RESULT
#define IORING_NOP_INJECT_RESULT (1U << 0)
#endif

static bool is_wanted(const struct io_uring_sqe *sqe, const char *kind)
{
	switch (sqe->opcode) {
	case IORING_OP_ACCEPT:
		return strcmp(kind, "accept") == 0;
	case IORING_OP_RECV:
	case IORING_OP_RECVMSG:
	case IORING_OP_READ:
		return strcmp(kind, "recv") == 0;
	case IORING_OP_SEND:
	case IORING_OP_SENDMSG:
	case IORING_OP_SEND_ZC:
	case IORING_OP_WRITE:
		return strcmp(kind, "send") == 0;
	}
	return false;
}

/* A multishot receive: as much as there is, each time. */
static bool is_endless(const struct io_uring_sqe *sqe)
{
	return sqe->opcode == IORING_OP_RECV && sqe->ioprio & IORING_RECV_MULTISHOT && !sqe->len;
}

/* A multishot receive may have a length since Linux 6.17, and fails with one before that. */
static bool can_be_bounded(void)
{
	struct utsname system;
	int major = 0, minor = 0;

	return !uname(&system) && sscanf(system.release, "%d.%d", &major, &minor) == 2 &&
	       major * 1000 + minor >= 6017;
}

/* Append a byte to the log; false when the log is not there (any more). */
static bool logged(void)
{
	int fd = open(getenv("TENK_LOG"), O_WRONLY | O_APPEND | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, "x", 1) == 1;

	if (fd >= 0)
		close(fd);
	return done;
}

static void change(struct io_uring_sqe *sqe, const char *result)
{
	static unsigned turn;

	if (strcmp(result, "short") == 0) {
		unsigned most = 1 + turn++ * 3 % 7;

		if ((sqe->len > most || (is_endless(sqe) && can_be_bounded())) && logged())
			sqe->len = most;
	} else if (turn++ % 2 == 0 && logged()) {
		struct io_uring_sqe nop = {
			.opcode = IORING_OP_NOP,
			.fd = -1,
			.user_data = sqe->user_data,
			.rw_flags = IORING_NOP_INJECT_RESULT,
			.len = (unsigned)atoi(result),
		};

		*sqe = nop;
	}
}

static void tamper(struct io_uring *ring)
{
	const char *kind = getenv("TENK_URING"), *result = getenv("TENK_RESULT");
	struct io_uring_sq *sq = &ring->sq;

	if (!kind || !result)
		return;
	for (unsigned i = sq->sqe_head; i != sq->sqe_tail; i++) {
		struct io_uring_sqe *sqe = &sq->sqes[i & sq->ring_mask];

		if (is_wanted(sqe, kind))
			change(sqe, result);
	}
}

int io_uring_submit(struct io_uring *ring)
{
	int (*real)(struct io_uring *) = dlsym(RTLD_NEXT, "io_uring_submit");

	tamper(ring);
	return real(ring);
}

int io_uring_submit_and_wait(struct io_uring *ring, unsigned n)
{
	int (*real)(struct io_uring *, unsigned) = dlsym(RTLD_NEXT, "io_uring_submit_and_wait");

	tamper(ring);
	return real(ring, n);
}

int io_uring_submit_and_wait_timeout(struct io_uring *ring, struct io_uring_cqe **cqe, unsigned n,
				     struct __kernel_timespec *wait, sigset_t *mask)
{
	int (*real)(struct io_uring *, struct io_uring_cqe **, unsigned, struct __kernel_timespec *,
		    sigset_t *) = dlsym(RTLD_NEXT, "io_uring_submit_and_wait_timeout");

	tamper(ring);
	return real(ring, cqe, n, wait, mask);
}
