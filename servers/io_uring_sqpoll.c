// SPDX-License-Identifier: MIT
/*
 * io_uring_sqpoll: completion, a thread of the kernel takes our requests (Linux 5.1, 2019).
 *
 * As io_uring.c, but nobody has to tell the kernel of new requests. With IORING_SETUP_SQPOLL a
 * thread of the kernel watches the ring and carries out what it finds, on a CPU of its own if there
 * is one. We make a system call only to wait for results. The thread does all the work on requests,
 * so the flags of io_uring_coop.c and io_uring_defer.c, about when we do it, are refused with it.
 *
 * What to look for: that thread spins. It goes to sleep when it has found nothing for IDLE_MS, and
 * must then be woken by a system call; so under load a CPU is always busy, and an idle server costs
 * nothing. (The kernel's own default is a second.) The kernel counts that in its ticks: where there
 * are 250 in a second, a lone request keeps the thread spinning for 4 to 8 ms. Its CPU time is this
 * process's: it is the iou-sqp in top -H. Of several CPUs that we may use it gets the last one.
 * Where there is only one, it takes that from us just when we could go on, and from everybody else
 * who is there: beside epoll_lt on one CPU it used 7 times the CPU time per request. It pays with a
 * CPU to spare and nowhere else, and it is measured alone.
 *
 * Requests are single-shot. A multishot receive does not go well with it: the thread goes on
 * receiving while we look at results, and has received much by the time it finds our "stop".
 *
 * Limits: descriptors; one buffer per connection.
 * Needs:  Linux 5.11; a CPU to spare, to be of use.
 * tenk-needs: liburing
 * tenk-package: liburing-dev
 * Try:    build/servers/io_uring_sqpoll -p 9000 &  P=$!; nc 127.0.0.1 9000 &  top -H -p $P
 */
#include <errno.h>
#include <liburing.h>
#include <sched.h>

#include "common/die.h"
#include "servers/lib/conn.h"
#include "servers/lib/model.h"
#include "servers/lib/ring.h"
#include "servers/lib/stats.h"

#define IDLE_MS  1    /* without requests, until the kernel's thread goes to sleep */
#define LISTENER NULL /* in a result: the listening socket, which is no connection */

static struct io_uring_params how = {.flags = IORING_SETUP_SQPOLL, .sq_thread_idle = IDLE_MS};

static struct io_uring ring;
static bool accept_pending;

static struct io_uring_sqe *next_sqe(void)
{
	struct io_uring_sqe *sqe;

	while (!(sqe = io_uring_get_sqe(&ring))) {
		io_uring_submit(&ring); /* full: show what there is, wake the thread if it sleeps */
		io_uring_sqring_wait(&ring); /* until it has taken some */
	}
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

/*
 * Left to itself, the thread would run on any CPU, also where we may not. It gets the last one that
 * we may use; the scheduler finds another for us.
 */
static void choose_cpu(void)
{
	cpu_set_t cpus;

	if (sched_getaffinity(0, sizeof(cpus), &cpus))
		return; /* more CPUs than the set has room for */
	for (unsigned i = 0; i < CPU_SETSIZE; i++) {
		if (CPU_ISSET(i, &cpus))
			how.sq_thread_cpu = i;
	}
	how.flags |= IORING_SETUP_SQ_AFF;
}

static void setup(const struct server *srv)
{
	choose_cpu();
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
	ring_probe(how, "5.11");
}

const struct model model = {
	.name = "io_uring_sqpoll",
	.summary = "as io_uring, and a thread of the kernel takes the requests: SQPOLL",
	.family = "completion",
	.needs = "liburing",
	.flags = USES_MAX_CONNS | BUSY_POLLS,
	.probe = probe,
	.setup = setup,
	.run = run,
};
