// SPDX-License-Identifier: MIT
/*
 * io_uring_poll: readiness, told through the ring (Linux 5.1, 2019).
 *
 * As epoll_lt.c, with io_uring in the place of epoll. A request asks "tell me when this socket is
 * readable" (IORING_OP_POLL_ADD); receiving and sending are plain system calls that need not wait.
 * So it tells two things apart that io_uring_defer.c brings together: how the program talks to the
 * kernel, two rings instead of calls, and who moves the bytes. `diff servers/epoll_lt.c
 * servers/io_uring_poll.c` is the first of them.
 *
 * What to look for: a request is over with its result, and is made again after each turn. It asks
 * about the state, not about a change, so what we did not read is told again: level-triggered. With
 * epoll, to ask for something else costs a system call; here it is an entry in the ring, which goes
 * along with the next wait. An idle connection holds no buffer, as in every readiness model.
 *
 * Limits: descriptors.
 * Needs:  Linux 6.1, for the flags of io_uring_defer.c.
 * tenk-needs: liburing>=2.3
 * tenk-package: liburing-dev
 * Try:    build/servers/io_uring_poll -p 9000 &  strace -p $! &  nc 127.0.0.1 9000
 */
#include <errno.h>
#include <liburing.h>
#include <poll.h>

#include "common/die.h"
#include "servers/lib/conn.h"
#include "servers/lib/model.h"
#include "servers/lib/ring.h"
#include "servers/lib/stats.h"

#define LISTENER NULL /* in a result: the listening socket, which is no connection */

static const struct io_uring_params how = {.flags = IORING_SETUP_SINGLE_ISSUER |
						    IORING_SETUP_DEFER_TASKRUN};

static struct io_uring ring;
static bool watched; /* the listening socket */

/* Ask to be told, once, when `fd` is ready for one of `events`. */
static void watch(int fd, unsigned events, struct conn *c)
{
	struct io_uring_sqe *sqe;

	while (!(sqe = io_uring_get_sqe(&ring)))
		io_uring_submit(&ring); /* full: hand over what there is */
	io_uring_prep_poll_add(sqe, fd, events);
	io_uring_sqe_set_data(sqe, c);
}

static void accept_clients(const struct server *srv)
{
	for (int i = 0; i < srv->accept_batch && server_accepting(srv); i++) {
		int fd = server_accept(srv, SOCK_NONBLOCK);
		struct conn *c;

		if (fd < 0)
			return;
		c = conn_open(fd);
		if (c)
			watch(fd, POLLIN, c);
	}
}

static void serve(struct conn *c)
{
	enum conn_io io = conn_turn(c);

	if (io == IO_CLOSED)
		conn_close(c); /* nothing is asked about it any more */
	else
		watch(conn_fd(c), io == IO_OK ? POLLIN : POLLOUT, c);
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

		if (accepting && !watched) {
			watch(srv->listen_fd, POLLIN, LISTENER);
			watched = true;
		}
		if (ms < 0)
			res = io_uring_submit_and_wait(&ring, 1);
		else
			res = io_uring_submit_and_wait_timeout(&ring, &cqe, 1, &wait, NULL);
		if (res < 0 && res != -EINTR && res != -ETIME && res != -EAGAIN && res != -EBUSY)
			die_error(-res, "io_uring_enter", NULL);
		io_uring_for_each_cqe(&ring, head, cqe)
		{
			struct conn *c = io_uring_cqe_get_data(cqe);

			if (c == LISTENER) {
				watched = false;
				accept_clients(srv);
			} else {
				serve(c); /* also where the request failed: the call says how */
			}
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
	.name = "io_uring_poll",
	.summary = "as epoll_lt, with requests to be told of readiness in place of epoll",
	.family = "readiness",
	.needs = "liburing",
	.flags = USES_MAX_CONNS | USES_ACCEPT_BATCH,
	.probe = probe,
	.setup = setup,
	.run = run,
	.nonblocking = true,
};
