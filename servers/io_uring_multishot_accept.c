// SPDX-License-Identifier: MIT
/*
 * io_uring_multishot_accept: completion, one accept request brings many clients (Linux 5.19, 2022).
 *
 * As io_uring_defer.c, but we ask for clients once. The request stays with the kernel and gives a
 * result for each client that comes; IORING_CQE_F_MORE in a result says that it goes on. Without
 * it the request is over, and is made again.
 *
 * What to look for: a request that goes on cannot be told "not now". When we must not accept, it
 * has to be cancelled, and what it brought until then has to be served. It pays where many clients
 * come and go; for those that stay it does nothing. io_uring_multishot.c, the next rung, does the
 * same to receiving.
 *
 * Limits: descriptors; one buffer per connection. One accept request takes all that wait in the
 *         backlog, so when fewer slots than that are left (-c), we ask for one client at a time.
 * Needs:  Linux 6.1.
 * tenk-needs: liburing>=2.3
 * tenk-package: liburing-dev
 * Try:    build/servers/io_uring_multishot_accept -p 9000 &  strace -p $! &  nc 127.0.0.1 9000
 */
#include <errno.h>
#include <liburing.h>

#include "common/die.h"
#include "servers/lib/conn.h"
#include "servers/lib/model.h"
#include "servers/lib/ring.h"
#include "servers/lib/stats.h"

#define LISTENER NULL    /* in a result: the listening socket, which is no connection */
#define CANCEL   (&ring) /* in a result: of a cancellation, for which nobody waits */
#define RENEW    128     /* clients that one accept request brings */

static const struct io_uring_params how = {.flags = IORING_SETUP_SINGLE_ISSUER |
						    IORING_SETUP_DEFER_TASKRUN};

static struct io_uring ring;
static bool accept_pending, accept_goes_on, accept_cancelled;
static int accept_brought;

static struct io_uring_sqe *next_sqe(void)
{
	struct io_uring_sqe *sqe;

	while (!(sqe = io_uring_get_sqe(&ring)))
		io_uring_submit(&ring); /* full: hand over what there is */
	return sqe;
}

/*
 * An accept request goes by the descriptor limit of the time it was made (io_accept_prep in the
 * kernel), so one that went on for ever would never hear of another.
 */
static void submit_accept(const struct server *srv, bool accepting)
{
	bool roomy = srv->max_conns - conn_count() > srv->backlog;
	struct io_uring_sqe *sqe;

	if (accept_pending) {
		if (accept_goes_on && (!roomy || accept_brought >= RENEW) && !accept_cancelled) {
			sqe = next_sqe();
			io_uring_prep_cancel(sqe, LISTENER, 0);
			io_uring_sqe_set_data(sqe, CANCEL);
			accept_cancelled = true;
		}
		return;
	}
	if (!accepting)
		return;
	sqe = next_sqe();
	if (roomy)
		io_uring_prep_multishot_accept(sqe, srv->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	else
		io_uring_prep_accept(sqe, srv->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	io_uring_sqe_set_data(sqe, LISTENER);
	accept_pending = true;
	accept_goes_on = roomy;
	accept_cancelled = false;
	accept_brought = 0;
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

static void accepted(const struct server *srv, const struct io_uring_cqe *cqe)
{
	struct conn *c;
	int fd;

	if (!(cqe->flags & IORING_CQE_F_MORE))
		accept_pending = false;
	if (cqe->res == -ECANCELED)
		return;
	fd = server_accepted(srv, cqe->res);
	if (fd < 0)
		return;
	accept_brought++;
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

		submit_accept(srv, accepting);
		if (ms < 0)
			res = io_uring_submit_and_wait(&ring, 1);
		else
			res = io_uring_submit_and_wait_timeout(&ring, &cqe, 1, &wait, NULL);
		if (res < 0 && res != -EINTR && res != -ETIME && res != -EAGAIN && res != -EBUSY)
			die_error(-res, "io_uring_enter", NULL);
		io_uring_for_each_cqe(&ring, head, cqe)
		{
			void *about = io_uring_cqe_get_data(cqe);

			if (about == LISTENER)
				accepted(srv, cqe);
			else if (about != CANCEL) /* what that was about has its own result */
				complete(about, cqe->res);
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
	.name = "io_uring_multishot_accept",
	.summary = "as io_uring_defer, and one accept request brings many clients",
	.family = "completion",
	.needs = "liburing",
	.flags = USES_MAX_CONNS,
	.probe = probe,
	.setup = setup,
	.run = run,
};
