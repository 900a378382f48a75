// SPDX-License-Identifier: MIT
/*
 * io_uring_multishot: completion, one request and many results (Linux 6.0, 2022).
 *
 * As io_uring_multishot_accept.c, but we ask only once for bytes as well: one receive request per
 * connection brings all that its client sends. The kernel takes a buffer when bytes arrive, from a
 * ring of buffers that all connections share (provided buffers). So an idle connection holds no
 * buffer, which is what a completion model otherwise has to pay.
 *
 * What to look for: a result says with IORING_CQE_F_MORE that its request goes on. Without it the
 * request is over and must be made again: the shared buffers ran out (ENOBUFS), or the kernel had
 * other reasons. Bytes come whether we want them or not. When a connection still owes a reply we
 * copy what came, so that the shared buffer goes back at once, and cancel its receive, so that no
 * more comes. The kernel may have filled 32 buffers for it before we can say so: that is why a
 * shared buffer is smaller than one of --buffer. A connection may only be closed when its last
 * result is in. And the bytes are copied once more: from the shared buffer to the connection's.
 *
 * Limits: descriptors. One accept request takes all that wait in the backlog, so when fewer slots
 *         than that are left (-c), we ask for one client at a time.
 * Needs:  Linux 6.1.
 * tenk-needs: liburing>=2.3
 * tenk-package: liburing-dev
 * Try:    build/servers/io_uring_multishot -p 9000 &  strace -p $! &  nc 127.0.0.1 9000
 */
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/die.h"
#include "servers/lib/conn.h"
#include "servers/lib/kept.h"
#include "servers/lib/model.h"
#include "servers/lib/ring.h"
#include "servers/lib/stats.h"

#define BUFFERS 1024 /* shared by all connections; a power of two */
#define BUFFER  4096 /* bytes of each */
#define GROUP   1    /* the name of our ring of buffers in requests */
#define RENEW   128  /* clients that one accept request brings */

/* Whose result it is: the connection's address and, in its lowest bits, which request. */
enum kind {
	RECEIVE, /* the one that goes on */
	OTHER,   /* send, read or shutdown: what conn_next() says, one at a time */
	ACCEPT,  /* no connection */
	CANCEL,  /* no connection; nobody waits for its result */
	KINDS,
};

/* What we keep in each connection. */
struct mine {
	bool receiving;   /* its receive request goes on */
	bool cancelling;  /* and we asked for its end */
	bool busy;        /* another request is pending */
	bool at_end;      /* nothing more will come from the client */
	bool closing;     /* to be closed as soon as no request is pending */
	struct kept kept; /* bytes that came while it owed a reply */
};

static const struct io_uring_params how = {.flags = IORING_SETUP_SINGLE_ISSUER |
						    IORING_SETUP_DEFER_TASKRUN};

static struct io_uring ring;
static struct io_uring_buf_ring *free_buffers;
static char *buffers; /* number `i` is at i * BUFFER */
static bool accept_pending, accept_goes_on, accept_cancelled;
static int accept_brought;

static struct io_uring_sqe *next_sqe(void)
{
	struct io_uring_sqe *sqe;

	while (!(sqe = io_uring_get_sqe(&ring)))
		io_uring_submit(&ring); /* full: hand over what there is */
	return sqe;
}

static __u64 tag(struct conn *c, enum kind kind)
{
	return (__u64)(uintptr_t)c | kind;
}

static void cancel(__u64 request)
{
	struct io_uring_sqe *sqe = next_sqe();

	io_uring_prep_cancel64(sqe, request, 0);
	sqe->user_data = tag(NULL, CANCEL);
}

/* --- buffers -------------------------------------------------------------------------------- */

static void give_buffer(unsigned i)
{
	io_uring_buf_ring_add(free_buffers, buffers + (size_t)i * BUFFER, BUFFER, (unsigned short)i,
			      io_uring_buf_ring_mask(BUFFERS), 0);
	io_uring_buf_ring_advance(free_buffers, 1);
}

/* --- connections ---------------------------------------------------------------------------- */

/* Ask for all that the client will send. */
static void submit_receive(struct conn *c, struct mine *m)
{
	struct io_uring_sqe *sqe = next_sqe();

	io_uring_prep_recv_multishot(sqe, conn_fd(c), NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = GROUP;
	sqe->user_data = tag(c, RECEIVE);
	m->receiving = true;
	m->cancelling = false;
}

/* Ask for what else the connection waits for. */
static void submit(struct conn *c, struct mine *m)
{
	struct io_uring_sqe *sqe = next_sqe();
	off_t offset;
	size_t len;
	char *buf = conn_buf(c, &len);
	int file;

	if (conn_next(c) == OP_SEND) {
		io_uring_prep_send(sqe, conn_fd(c), buf, len, MSG_NOSIGNAL);
	} else if (conn_next(c) == OP_READ) {
		conn_file(c, &file, &offset);
		io_uring_prep_read(sqe, file, buf, (unsigned)len, (__u64)offset);
	} else {
		io_uring_prep_shutdown(sqe, conn_fd(c), SHUT_WR);
	}
	sqe->user_data = tag(c, OTHER);
	m->busy = true;
}

static void stop_receiving(struct conn *c, struct mine *m)
{
	if (m->receiving && !m->cancelling)
		cancel(tag(c, RECEIVE));
	m->cancelling = m->receiving;
}

/* Close it when its last result is in: until then the kernel has its address. */
static void close_soon(struct conn *c, struct mine *m)
{
	m->closing = true;
	stop_receiving(c, m);
	if (m->receiving || m->busy)
		return;
	kept_drop(&m->kept);
	conn_close(c);
}

/* Something has happened to it: see to what it waits for now. */
static void go_on(struct conn *c, struct mine *m)
{
	if (!m->closing)
		kept_feed(&m->kept, c);
	if (!m->closing && m->at_end && conn_next(c) == OP_RECV)
		conn_done(c, 0);
	if (m->closing || conn_next(c) == OP_CLOSE)
		close_soon(c, m);
	else if (conn_next(c) != OP_RECV && !m->busy)
		submit(c, m);
	else if (conn_next(c) == OP_RECV && !m->receiving)
		submit_receive(c, m);
}

static void received(struct conn *c, const struct io_uring_cqe *cqe)
{
	struct mine *m = conn_mine(c);

	if (!(cqe->flags & IORING_CQE_F_MORE))
		m->receiving = false;
	if (cqe->flags & IORING_CQE_F_BUFFER) {
		unsigned i = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
		const char *data = buffers + (size_t)i * BUFFER;
		size_t n, len = cqe->res > 0 ? (size_t)cqe->res : 0;

		while (!m->closing && !m->kept.first && len && (n = conn_feed(c, data, len))) {
			data += n;
			len -= n;
		}
		if (!m->closing && len && conn_next(c) != OP_CLOSE) {
			if (!kept_add(&m->kept, data, len))
				m->closing = true;
			stop_receiving(c, m);
		}
		give_buffer(i);
	}
	/*
	 * Ended by us, or for want of a buffer, or to be tried again: go_on() makes it anew, and
	 * the buffers of all results at hand are free again by the time it is handed over.
	 */
	if (cqe->res == 0 || (cqe->res < 0 && cqe->res != -ECANCELED && cqe->res != -ENOBUFS &&
			      cqe->res != -EINTR && cqe->res != -EAGAIN))
		m->at_end = true;
	go_on(c, m);
}

static void completed(struct conn *c, int res)
{
	struct mine *m = conn_mine(c);

	m->busy = false;
	if (!m->closing)
		conn_done(c, res);
	go_on(c, m);
}

/* --- accepting ------------------------------------------------------------------------------ */

/*
 * An accept request goes by the descriptor limit of the time it was made (io_accept_prep in the
 * kernel), so one that went on for ever would never hear of another.
 */
static void submit_accept(const struct server *srv, bool accepting)
{
	bool roomy = srv->max_conns - conn_count() > srv->backlog;

	if (accept_pending) {
		if (accept_goes_on && (!roomy || accept_brought >= RENEW) && !accept_cancelled) {
			cancel(tag(NULL, ACCEPT));
			accept_cancelled = true;
		}
		return;
	}
	if (accepting) {
		struct io_uring_sqe *sqe = next_sqe();

		if (roomy)
			io_uring_prep_multishot_accept(sqe, srv->listen_fd, NULL, NULL,
						       SOCK_CLOEXEC);
		else
			io_uring_prep_accept(sqe, srv->listen_fd, NULL, NULL, SOCK_CLOEXEC);
		sqe->user_data = tag(NULL, ACCEPT);
		accept_pending = true;
		accept_goes_on = roomy;
		accept_cancelled = false;
		accept_brought = 0;
	}
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
		go_on(c, conn_mine(c));
}

/* --- the ring ------------------------------------------------------------------------------- */

static void set_up_buffers(void)
{
	struct io_uring_buf_reg reg = {.ring_entries = BUFFERS, .bgid = GROUP};
	size_t page = (size_t)sysconf(_SC_PAGESIZE), size = BUFFERS * sizeof(struct io_uring_buf);
	int res;

	/* Touched now: their memory is the server's, not counted as that of its first clients. */
	buffers = mmap(NULL, (size_t)BUFFERS * BUFFER, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	free_buffers = aligned_alloc(page, (size + page - 1) / page * page);
	if (buffers == MAP_FAILED || !free_buffers)
		die_errno("mmap", NULL);
	reg.ring_addr = (__u64)(uintptr_t)free_buffers;
	res = io_uring_register_buf_ring(&ring, &reg, 0);
	if (res)
		die_error(-res, "io_uring_register_buf_ring", NULL);
	io_uring_buf_ring_init(free_buffers);
	for (unsigned i = 0; i < BUFFERS; i++)
		give_buffer(i);
}

static void tear_down(void)
{
	io_uring_queue_exit(&ring); /* with the buffers' registration */
	free(free_buffers);
	munmap(buffers, (size_t)BUFFERS * BUFFER);
}

static void setup(const struct server *srv)
{
	/* A connection may have several results at a time. What does not fit, the kernel keeps. */
	ring_open(&ring, how, (unsigned)srv->max_conns + RING_ENTRIES + BUFFERS);
	set_up_buffers();
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
			struct conn *c = (struct conn *)(cqe->user_data & ~(__u64)(KINDS - 1));

			switch ((enum kind)(cqe->user_data & (KINDS - 1))) {
			case RECEIVE:
				received(c, cqe);
				break;
			case OTHER:
				completed(c, cqe->res);
				break;
			case ACCEPT:
				accepted(srv, cqe);
				break;
			default: /* CANCEL: what it was about has a result of its own */
				break;
			}
			n++;
		}
		io_uring_cq_advance(&ring, n);
		stats_waited((int)n);
	}
	tear_down();
}

static void probe(struct limit *limit)
{
	(void)limit;
	ring_probe(how, "6.1");
}

const struct model model = {
	.name = "io_uring_multishot",
	.summary = "one request brings many results: multishot accept and receive, shared buffers",
	.family = "completion",
	.needs = "liburing",
	.flags = USES_MAX_CONNS,
	.conn_bytes = sizeof(struct mine),
	.probe = probe,
	.setup = setup,
	.run = run,
};
