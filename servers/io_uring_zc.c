// SPDX-License-Identifier: MIT
/*
 * io_uring_zc: completion, sends that copy nothing (Linux 6.0, 2022).
 *
 * As io_uring_direct.c, but replies go out with IORING_OP_SEND_ZC. A send otherwise copies the
 * bytes into the socket's buffer and is done. A zero-copy send lets the network card take them from
 * ours, so that has to stay as it is until the card, or a later retransmission, needs it no more.
 * So there are two results: how much was taken on (IORING_CQE_F_MORE), and that the buffer is ours
 * again (IORING_CQE_F_NOTIF).
 *
 * What to look for: the reply's buffer is in use for a round trip longer, and every send costs a
 * second result and the pinning of its pages. That pays for replies of many kilobytes, through a
 * card that can gather them. It does not pay for small ones; and on the loopback device nothing is
 * spared, because the receiver may not be lent our memory: the kernel copies there after all.
 *
 * Beware of replies longer than the buffer (--buffer). The next part waits until the first is out
 * of the buffer, and in TCP that is when the client has acknowledged it. A client that asks and is
 * answered in turn delays that by 40 ms, in the hope of sending it with its next request. It is not
 * Nagle's algorithm: --nodelay is on. A server for long replies needs a second buffer to send from,
 * or one as long as the reply. To see it, compare the second and third time on one connection, here
 * 44 to 48 ms, with those under --buffer 131072, here 1 to 10 ms:
 *         u=127.0.0.1:9000/bytes/65536   (build/servers/io_uring_zc -P http -p 9000)
 *         curl -s -o /dev/null -o /dev/null -o /dev/null -w '%{time_total}\n' $u $u $u
 *
 * Limits: the ring's table, as in io_uring_direct.c. Pages in flight count as locked memory (ulimit
 *         -l), except for root; beyond that limit a connection goes on with sends that copy.
 *         A hundred clients with windows of 2 KB that stalled within a reply of 1 MB were then
 *         seen to get 2 KB per retransmission timeout, where io_uring_direct goes on at full speed.
 * Needs:  Linux 6.1.
 * tenk-needs: liburing>=2.3
 * tenk-package: liburing-dev
 * Try:    build/servers/io_uring_zc -p 9000 &  nc -N 127.0.0.1 9000 < README.md
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
#define SPARE   16   /* places in the table beyond -c: for what is refused and not closed yet */

/* Whose result it is: the connection's address and, in its lowest bits, which request. */
enum kind {
	RECEIVE, /* the one that goes on */
	OTHER,   /* send, read, shutdown or close: what conn_next() says, one at a time */
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
	bool gone;        /* its close is pending, its last request */
	bool copies;      /* no more memory may be locked: it sends as others do */
	int sent;         /* result of its send, whose buffer is still the kernel's */
	struct kept kept; /* bytes that came while it owed a reply */
};

static const struct io_uring_params how = {.flags = IORING_SETUP_SINGLE_ISSUER |
						    IORING_SETUP_DEFER_TASKRUN};

static struct io_uring ring;
static struct io_uring_buf_ring *free_buffers;
static char *buffers; /* number `i` is at i * BUFFER */
static bool accept_pending, accept_goes_on, accept_cancelled;

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
	sqe->flags |= IOSQE_BUFFER_SELECT | IOSQE_FIXED_FILE;
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
		if (m->copies)
			io_uring_prep_send(sqe, conn_fd(c), buf, len, MSG_NOSIGNAL);
		else
			io_uring_prep_send_zc(sqe, conn_fd(c), buf, len, MSG_NOSIGNAL, 0);
		sqe->flags |= IOSQE_FIXED_FILE;
	} else if (conn_next(c) == OP_READ) {
		conn_file(c, &file, &offset);
		io_uring_prep_read(sqe, file, buf, (unsigned)len, (__u64)offset);
	} else {
		io_uring_prep_shutdown(sqe, conn_fd(c), SHUT_WR);
		sqe->flags |= IOSQE_FIXED_FILE;
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

/* Have the socket in that place of the table closed. */
static void submit_close(int place, __u64 user_data)
{
	struct io_uring_sqe *sqe = next_sqe();

	io_uring_prep_close_direct(sqe, (unsigned)place);
	sqe->user_data = user_data;
}

/* Close it when its last result is in: until then the kernel has its address. */
static void close_soon(struct conn *c, struct mine *m)
{
	m->closing = true;
	stop_receiving(c, m);
	if (m->receiving || m->busy)
		return;
	kept_drop(&m->kept);
	submit_close(conn_fd(c), tag(c, OTHER));
	m->busy = m->gone = true;
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

static void completed(struct conn *c, const struct io_uring_cqe *cqe)
{
	struct mine *m = conn_mine(c);
	int res = cqe->res;

	if (cqe->flags & IORING_CQE_F_MORE) {
		m->sent = res;
		return; /* busy until the buffer is ours again */
	}
	if (cqe->flags & IORING_CQE_F_NOTIF)
		res = m->sent;
	if (m->gone) {
		conn_free(c);
		return;
	}
	m->busy = false;
	if (res == -ENOMEM && conn_next(c) == OP_SEND && !m->copies)
		m->copies = true; /* go_on() makes it anew */
	else if (!m->closing)
		conn_done(c, res);
	go_on(c, m);
}

/* --- accepting ------------------------------------------------------------------------------ */

static void submit_accept(const struct server *srv, bool accepting)
{
	bool roomy = srv->max_conns - conn_count() > srv->backlog;

	if (accept_pending) {
		if (accept_goes_on && !roomy && !accept_cancelled) {
			cancel(tag(NULL, ACCEPT));
			accept_cancelled = true;
		}
		return;
	}
	if (accepting) {
		struct io_uring_sqe *sqe = next_sqe();

		if (roomy)
			io_uring_prep_multishot_accept_direct(sqe, srv->listen_fd, NULL, NULL, 0);
		else /* any place that is free; liburing 2.3 adds one, later ones know the name */
			io_uring_prep_accept_direct(sqe, srv->listen_fd, NULL, NULL, 0,
						    IORING_FILE_INDEX_ALLOC - 1);
		sqe->user_data = tag(NULL, ACCEPT);
		accept_pending = true;
		accept_goes_on = roomy;
		accept_cancelled = false;
	}
}

static void accepted(const struct server *srv, const struct io_uring_cqe *cqe)
{
	struct conn *c;
	int place;

	if (!(cqe->flags & IORING_CQE_F_MORE))
		accept_pending = false;
	if (cqe->res == -ECANCELED)
		return;
	place = server_accepted(srv, cqe->res);
	if (place < 0)
		return;
	c = conn_new(place);
	if (c)
		go_on(c, conn_mine(c));
	else
		submit_close(place, tag(NULL, CANCEL));
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
	int res;

	/* A connection may have several results at a time. What does not fit, the kernel keeps. */
	ring_open(&ring, how, (unsigned)srv->max_conns + RING_ENTRIES + BUFFERS);
	set_up_buffers();
	res = io_uring_register_files_sparse(&ring, (unsigned)srv->max_conns + SPARE);
	if (res)
		die_error(-res, "io_uring_register_files", "ask for fewer connections (-c)");
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
				completed(c, cqe);
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
	struct io_uring_probe *known;
	bool has_it;

	(void)limit;
	ring_probe(how, "6.1");
	known = io_uring_get_probe();
	has_it = known && io_uring_opcode_supported(known, IORING_OP_SEND_ZC);
	io_uring_free_probe(known);
	if (!has_it)
		die(EXIT_UNSUPPORTED, "io_uring: this kernel has no SEND_ZC; it needs Linux 6.0");
}

const struct model model = {
	.name = "io_uring_zc",
	.summary = "as io_uring_direct, and a send copies nothing: SEND_ZC, two results each",
	.family = "completion",
	.needs = "liburing",
	.flags = USES_MAX_CONNS,
	.conn_bytes = sizeof(struct mine),
	.most = {(1 << 20) - SPARE, "the largest table of direct descriptors"},
	.probe = probe,
	.setup = setup,
	.run = run,
};
