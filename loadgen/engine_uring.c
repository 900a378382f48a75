// SPDX-License-Identifier: MIT
/*
 * The io_uring engine: completion instead of readiness. Each connection has one multishot receive
 * (Linux 6.0) that stays armed and takes its buffers from a ring shared by all; sends and connects
 * are gathered and handed over together, so that a request costs a fraction of a system call.
 *
 * A send is stamped when it is prepared, which is up to SUBMIT_BATCH preparations before the kernel
 * sees it: service times are by that much too long, never too short.
 *
 * Stamps of the kernel (stamps.h) need recvmsg instead of recv; its multishot kind puts a head and
 * the control data before the bytes, in the same buffer.
 *
 * Two things to know about closing. An armed receive holds its socket open, so close(2) alone would
 * send no FIN: the operation is cancelled as well. And an operation names its descriptor by number
 * when it is submitted, not when it is prepared, so everything prepared is submitted before a
 * descriptor is closed: else it could hit the next socket of that number.
 */
#include "loadgen/engine.h"

#include <errno.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "loadgen/stamps.h"

enum {
	ENTRIES = 1024,      /* of the submission queue */
	COMPLETIONS = 16384, /* of the completion queue */
	SUBMIT_BATCH = 32,   /* prepared operations that are handed over without waiting */
	BUFFER_BYTES = 4096, /* of one receive buffer */
	BUFFERS_LEAST = 64,  /* number of receive buffers: the connections, rounded up */
	BUFFERS_MOST = 8192,
	GROUP = 0,
	HUGE_PAGE = 2 << 20, /* bytes */
	SEND_MOST = 65536,   /* bytes of one send operation */
	INDEX_BITS = 28,
};

enum op { OP_CONNECT, OP_RECV, OP_SEND, OP_IGNORED };

/* What the engine knows of a connection, by the same index. */
struct link {
	bool sending;
	bool receiving;
	char *data; /* echo, rot13: what is being sent must stay where it is */
};

struct uring {
	struct io_uring ring;
	struct io_uring_buf_ring *free; /* ring of free receive buffers */
	char *buffers;
	unsigned int buffer_count;
	bool multishot;
	struct msghdr shape; /* of what a receive with stamps brings: no name, one stamp */
	struct link *links;
	char *send_space;
	unsigned int prepared; /* since the last submission */
};

static char reason[128];

static uint64_t tag(const struct traffic *t, const struct lane *c, enum op op)
{
	return (uint64_t)c->generation << 32 | (uint64_t)op << INDEX_BITS |
	       (uint64_t)(c - t->lanes);
}

static struct link *link_of(const struct traffic *t, const struct lane *c)
{
	return &((struct uring *)t->engine_data)->links[c - t->lanes];
}

static void submit(struct uring *u)
{
	u->prepared = 0;
	io_uring_submit(&u->ring);
}

static struct io_uring_sqe *next_sqe(struct uring *u)
{
	struct io_uring_sqe *sqe;

	if (u->prepared >= SUBMIT_BATCH)
		submit(u);
	while (!(sqe = io_uring_get_sqe(&u->ring)))
		submit(u);
	u->prepared++;
	return sqe;
}

/* --- set-up ------------------------------------------------------------------------------- */

/* The flags that spare interrupts and locks need Linux 6.1, 5.19, or nothing. */
static int init_ring(struct uring *u)
{
	static const unsigned int flags[] = {
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN,
		IORING_SETUP_COOP_TASKRUN,
		0,
	};
	int error = -EINVAL;

	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags) && error == -EINVAL; i++) {
		struct io_uring_params params = {
			.flags = flags[i] | IORING_SETUP_CQSIZE,
			.cq_entries = COMPLETIONS,
		};

		error = io_uring_queue_init_params(ENTRIES, &u->ring, &params);
		if (error == 0 && !(params.features & IORING_FEAT_EXT_ARG)) {
			io_uring_queue_exit(&u->ring);
			return -ENOSYS;
		}
	}
	return error;
}

/* Rings of that kind are as old as the multishot recvmsg, or younger. */
static bool knows_recvmsg(const struct uring *u)
{
	return u->ring.flags & IORING_SETUP_SINGLE_ISSUER;
}

static void *map(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void unmap(void *p, size_t bytes)
{
	if (p)
		munmap(p, bytes);
}

/* Each reply lands in another buffer; in huge pages, if there are any, they need few TLB entries. */
static char *allocate_buffers(unsigned int count)
{
	size_t bytes = (size_t)count * BUFFER_BYTES;
	char *p = aligned_alloc(HUGE_PAGE, (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE);

	if (p && bytes >= HUGE_PAGE)
		(void)madvise(p, bytes, MADV_HUGEPAGE);
	return p;
}

static void give_back(struct uring *u, unsigned int id)
{
	io_uring_buf_ring_add(u->free, u->buffers + (size_t)id * BUFFER_BYTES, BUFFER_BYTES,
			      (unsigned short)id, io_uring_buf_ring_mask(u->buffer_count), 0);
	io_uring_buf_ring_advance(u->free, 1);
}

static int init_buffers(struct uring *u, uint32_t connections)
{
	struct io_uring_buf_reg registration = {.bgid = GROUP};
	int error;

	u->buffer_count = BUFFERS_LEAST;
	while (u->buffer_count < connections && u->buffer_count < BUFFERS_MOST)
		u->buffer_count *= 2;
	u->free = map(u->buffer_count * sizeof(struct io_uring_buf));
	u->buffers = allocate_buffers(u->buffer_count);
	if (!u->free || !u->buffers)
		return -ENOMEM;
	registration.ring_addr = (uint64_t)(uintptr_t)u->free;
	registration.ring_entries = u->buffer_count;
	error = io_uring_register_buf_ring(&u->ring, &registration, 0);
	if (error)
		return error;
	io_uring_buf_ring_init(u->free);
	for (unsigned int i = 0; i < u->buffer_count; i++)
		give_back(u, i);
	return 0;
}

static size_t send_room(const struct traffic *t)
{
	return t->room_bytes < SEND_MOST ? t->room_bytes : SEND_MOST;
}

static bool init_links(struct uring *u, const struct traffic *t)
{
	size_t room = send_room(t);

	u->links = calloc(t->lane_count + 1, sizeof(*u->links));
	u->send_space = map(t->lane_count * room + 1);
	if (!u->links || !u->send_space)
		return false;
	for (uint32_t i = 0; i < t->lane_count; i++)
		u->links[i].data = u->send_space + i * room;
	return true;
}

static void uring_close(struct traffic *t)
{
	struct uring *u = t->engine_data;

	submit(u);
	io_uring_queue_exit(&u->ring);
	unmap(u->free, u->buffer_count * sizeof(struct io_uring_buf));
	free(u->buffers);
	unmap(u->send_space, t->lane_count * send_room(t) + 1);
	free(u->links);
	free(u);
	t->engine_data = NULL;
}

static const char *uring_open(struct traffic *t)
{
	struct uring *u = calloc(1, sizeof(*u));
	int error;

	if (!u)
		return "out of memory";
	error = init_ring(u);
	if (error) {
		free(u);
		snprintf(reason, sizeof(reason),
			 "io_uring is not usable here: %s; see kernel.io_uring_disabled, or use "
			 "--engine epoll",
			 strerror(-error));
		return reason;
	}
	t->engine_data = u;
	u->multishot = true;
	u->shape.msg_controllen = STAMPS_CONTROL;
	if (t->stamps && !knows_recvmsg(u)) {
		uring_close(t);
		return "--stamps kernel with io_uring needs Linux 6.1; use --engine epoll";
	}
	/* Spares looking the ring's descriptor up at each system call; without it, all is well too.
	 */
	(void)io_uring_register_ring_fd(&u->ring);
	error = init_buffers(u, t->lane_count);
	if (!error && !init_links(u, t))
		error = -ENOMEM;
	if (!error)
		return NULL;
	uring_close(t);
	snprintf(reason, sizeof(reason),
		 "io_uring: no ring of receive buffers (Linux 5.19): %s; use --engine epoll",
		 strerror(-error));
	return reason;
}

/* --- operations --------------------------------------------------------------------------- */

static void receive(struct traffic *t, struct lane *c)
{
	struct uring *u = t->engine_data;
	struct io_uring_sqe *sqe;

	if (lane_is_slow(c))
		return;
	sqe = next_sqe(u);
	if (t->stamps)
		io_uring_prep_recvmsg_multishot(sqe, c->fd, &u->shape, 0);
	else if (u->multishot)
		io_uring_prep_recv_multishot(sqe, c->fd, NULL, 0, 0);
	else
		io_uring_prep_recv(sqe, c->fd, NULL, BUFFER_BYTES, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = GROUP;
	io_uring_sqe_set_data64(sqe, tag(t, c, OP_RECV));
	link_of(t, c)->receiving = true;
}

static int uring_connect(struct traffic *t, struct lane *c)
{
	struct io_uring_sqe *sqe = next_sqe(t->engine_data);

	io_uring_prep_connect(sqe, c->fd, &t->server.any, t->server.length);
	io_uring_sqe_set_data64(sqe, tag(t, c, OP_CONNECT));
	return 0;
}

static void uring_send(struct traffic *t, struct lane *c)
{
	struct link *link = link_of(t, c);
	struct io_uring_sqe *sqe;
	const char *data;
	size_t length;

	if (link->sending || c->unsent_bytes == 0)
		return;
	data = traffic_produce(t, c, link->data, send_room(t), &length);
	sqe = next_sqe(t->engine_data);
	io_uring_prep_send(sqe, c->fd, data, length, MSG_NOSIGNAL);
	io_uring_sqe_set_data64(sqe, tag(t, c, OP_SEND));
	link->sending = true;
}

static void cancel(struct uring *u, uint64_t data)
{
	struct io_uring_sqe *sqe = next_sqe(u);

	io_uring_prep_cancel64(sqe, data, 0);
	io_uring_sqe_set_data64(sqe, (uint64_t)OP_IGNORED << INDEX_BITS);
}

/* c->generation is already that of the next socket. */
static void uring_drop(struct traffic *t, struct lane *c)
{
	struct uring *u = t->engine_data;
	struct link *link = link_of(t, c);
	uint64_t before = UINT64_C(1) << 32;

	submit(u);
	close(c->fd);
	if (link->receiving)
		cancel(u, tag(t, c, OP_RECV) - before);
	if (link->sending)
		cancel(u, tag(t, c, OP_SEND) - before);
	link->receiving = link->sending = false;
}

/* --- completions -------------------------------------------------------------------------- */

/* Of a receive with stamps: take the stamp, and return the bytes behind it and how many (*length). */
static const char *unwrap(struct traffic *t, char *buffer, int *length)
{
	struct uring *u = t->engine_data;
	struct io_uring_recvmsg_out *out = io_uring_recvmsg_validate(buffer, *length, &u->shape);
	struct msghdr control = {0};

	t->arrived_ns = 0;
	if (!out) { /* shorter than its own head: no bytes can be in it */
		*length = 0;
		return buffer;
	}
	control.msg_control = io_uring_recvmsg_cmsg_firsthdr(out, &u->shape);
	control.msg_controllen = control.msg_control ? out->controllen : 0;
	t->arrived_ns = stamps_find(&control);
	*length = (int)io_uring_recvmsg_payload_length(out, *length, &u->shape);
	return io_uring_recvmsg_payload(out, &u->shape);
}

static void received(struct traffic *t, struct lane *c, const struct io_uring_cqe *cqe)
{
	struct uring *u = t->engine_data;
	char *buffer = u->buffers + (size_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT) * BUFFER_BYTES;
	const char *data = buffer;
	uint32_t generation = c->generation;
	int length = cqe->res;

	if (!(cqe->flags & IORING_CQE_F_MORE))
		link_of(t, c)->receiving = false;
	if (t->stamps && length > 0)
		data = unwrap(t, buffer, &length);
	if (length > 0) {
		traffic_received(t, c, data, (size_t)length);
	} else if (length == 0) {
		traffic_eof(t, c);
	} else if (cqe->res == -EINVAL && u->multishot) {
		u->multishot = false; /* before Linux 6.0 */
	} else if (cqe->res != -ENOBUFS && cqe->res != -EINTR && cqe->res != -EAGAIN) {
		traffic_recv_failed(t, c, -cqe->res);
	}
	if (c->generation == generation && !link_of(t, c)->receiving)
		receive(t, c);
}

static void sent(struct traffic *t, struct lane *c, int res)
{
	link_of(t, c)->sending = false;
	if (res >= 0) {
		traffic_sent(t, c, (size_t)res);
	} else if (res != -EINTR && res != -EAGAIN) {
		traffic_send_failed(t, c);
		return;
	}
	uring_send(t, c);
}

static void connected(struct traffic *t, struct lane *c, int res)
{
	uint32_t generation = c->generation;

	if (res) {
		traffic_unconnected(t, c, -res);
		return;
	}
	traffic_connected(t, c);
	if (c->generation == generation)
		receive(t, c);
}

static void complete(struct traffic *t, const struct io_uring_cqe *cqe)
{
	uint64_t data = cqe->user_data;
	enum op op = (enum op)(data >> INDEX_BITS & 3);
	struct lane *c = &t->lanes[data & ((1u << INDEX_BITS) - 1)];

	/* Of a socket that was closed meanwhile only the buffer matters. */
	if (op != OP_IGNORED && c->generation == data >> 32) {
		if (op == OP_RECV)
			received(t, c, cqe);
		else if (op == OP_SEND)
			sent(t, c, cqe->res);
		else
			connected(t, c, cqe->res);
	}
	if (cqe->flags & IORING_CQE_F_BUFFER)
		give_back(t->engine_data, cqe->flags >> IORING_CQE_BUFFER_SHIFT);
}

static void uring_turn(struct traffic *t, uint64_t timeout_ns)
{
	struct uring *u = t->engine_data;
	struct __kernel_timespec timeout = {.tv_sec = (long long)(timeout_ns / NS_PER_S),
					    .tv_nsec = (long long)(timeout_ns % NS_PER_S)};
	struct io_uring_cqe *cqe;
	unsigned int head, n = 0;

	u->prepared = 0;
	if (timeout_ns)
		io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1, &timeout, NULL);
	else
		io_uring_submit_and_get_events(&u->ring);
	io_uring_for_each_cqe(&u->ring, head, cqe)
	{
		complete(t, cqe);
		n++;
	}
	io_uring_cq_advance(&u->ring, n);
}

const struct engine engine_uring = {
	.name = "io_uring",
	.open = uring_open,
	.close = uring_close,
	.connect = uring_connect,
	.send = uring_send,
	.drop = uring_drop,
	.wait = uring_turn,
};
