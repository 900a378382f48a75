// SPDX-License-Identifier: MIT
/*
 * io_uring_defer: completion, results worked out when we ask for them (Linux 6.1, 2022).
 *
 * As io_uring_coop.c, with stronger flags. IORING_SETUP_SINGLE_ISSUER promises that one thread
 * alone hands over requests. Then IORING_SETUP_DEFER_TASKRUN can keep what is left of all requests,
 * the copying into their buffers, in one list, until that thread waits for results.
 *
 * What to look for: all that one wait returns was worked out at that moment, in one go. No other
 * system call does any of it, and nothing interrupts the answering of requests. That makes larger
 * portions, so fewer system calls and fewer switches; a single busy connection gains little.
 * `diff servers/io_uring_coop.c servers/io_uring_defer.c` is the flags and no more.
 *
 * Limits: descriptors; one buffer per connection.
 * Needs:  Linux 6.1.
 * tenk-needs: liburing>=2.3
 * tenk-package: liburing-dev
 * Try:    build/servers/io_uring_defer -p 9000 &  strace -p $! &  nc 127.0.0.1 9000
 */
#include <errno.h>
#include <liburing.h>

#include "common/die.h"
#include "servers/lib/conn.h"
#include "servers/lib/model.h"
#include "servers/lib/ring.h"
#include "servers/lib/stats.h"

#define LISTENER NULL /* in a result: the listening socket, which is no connection */

static const struct io_uring_params how = {.flags = IORING_SETUP_SINGLE_ISSUER |
						    IORING_SETUP_DEFER_TASKRUN};

static struct io_uring ring;
static bool accept_pending;

static struct io_uring_sqe *next_sqe(void)
{
	struct io_uring_sqe *sqe;

	while (!(sqe = io_uring_get_sqe(&ring)))
		io_uring_submit(&ring); /* full: hand over what there is */
	return sqe;
}

static void submit_accept(const struct server *srv)
{
	struct io_uring_sqe *sqe = next_sqe();

	io_uring_prep_accept(sqe, srv->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	io_uring_sqe_set_data(sqe, LISTENER);
	accept_pending = true;
}

/* Ask for what the connection waits for. */
static void submit(struct conn *c)
{
	struct io_uring_sqe *sqe = next_sqe();
	off_t offset;
	size_t len;
	char *buf = conn_buf(c, &len);
	int fd = conn_fd(c), file;

	switch (conn_next(c)) {
	case OP_RECV:
		io_uring_prep_recv(sqe, fd, buf, len, 0);
		break;
	case OP_SEND:
		io_uring_prep_send(sqe, fd, buf, len, MSG_NOSIGNAL);
		break;
	case OP_READ:
		conn_file(c, &file, &offset);
		io_uring_prep_read(sqe, file, buf, (unsigned)len, (__u64)offset);
		break;
	case OP_SHUTDOWN:
		io_uring_prep_shutdown(sqe, fd, SHUT_WR);
		break;
	case OP_CLOSE: /* never here: complete() closes it itself */
		io_uring_prep_nop(sqe);
		break;
	}
	io_uring_sqe_set_data(sqe, c);
}

static void accepted(const struct server *srv, int res)
{
	int fd = server_accepted(srv, res);
	struct conn *c;

	accept_pending = false;
	if (fd < 0)
		return;
	c = conn_open(fd);
	if (c)
		submit(c);
}

static void complete(struct conn *c, int res)
{
	if (conn_done(c, res) == IO_CLOSED)
		conn_close(c);
	else
		submit(c);
}

static void setup(const struct server *srv)
{
	/* Room for a result of every connection: the ring never overflows. */
	ring_open(&ring, how, (unsigned)srv->max_conns + RING_ENTRIES);
}

static void run(const struct server *srv)
{
	while (!server_stopping()) {
		bool accepting = server_accepting(srv);
		int ms = server_wait_ms(accepting);
		struct __kernel_timespec wait = {.tv_nsec = ms * 1000000LL};
		struct io_uring_cqe *cqe;
		unsigned head, n = 0;
		int res;

		if (!accept_pending && accepting)
			submit_accept(srv);
		if (ms < 0)
			res = io_uring_submit_and_wait(&ring, 1);
		else
			res = io_uring_submit_and_wait_timeout(&ring, &cqe, 1, &wait, NULL);
		if (res < 0 && res != -EINTR && res != -ETIME && res != -EAGAIN && res != -EBUSY)
			die_error(-res, "io_uring_enter", NULL);
		io_uring_for_each_cqe(&ring, head, cqe)
		{
			struct conn *c = io_uring_cqe_get_data(cqe);

			if (c == LISTENER)
				accepted(srv, cqe->res);
			else
				complete(c, cqe->res);
			n++;
		}
		io_uring_cq_advance(&ring, n);
		stats_waited((int)n);
	}
	io_uring_queue_exit(&ring);
}

static void probe(struct limit *limit)
{
	(void)limit;
	ring_probe(how, "6.1");
}

const struct model model = {
	.name = "io_uring_defer",
	.summary = "as io_uring, and results are worked out when asked for: DEFER_TASKRUN",
	.family = "completion",
	.needs = "liburing",
	.flags = USES_MAX_CONNS,
	.probe = probe,
	.setup = setup,
	.run = run,
};
