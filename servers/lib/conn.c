// SPDX-License-Identifier: MIT
#include "servers/lib/conn.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/die.h"
#include "servers/lib/proto.h"
#include "servers/lib/stats.h"

enum {
	POOL_MAX = 64,      /* blocks a thread keeps for reuse */
	TURN_SENDS = 32,    /* sends of one conn_turn() before others get theirs */
	LINGER_MAX = 65536, /* bytes passed over after the last reply */
};

struct conn {
	int fd;
	bool flag;      /* the model's */
	bool lingering; /* the last reply is out and the socket shut down: reading to its end */
	char nowhere;   /* where one byte goes when there is no memory for a block */
	uint32_t lingered;
	struct session session;
	struct buffer in, out; /* .data is NULL while there is nothing to hold */
};

static const struct proto *protocol;
static uint32_t block_size;
static int open_conns;

/*
 * Every open connection, by descriptor. Some models keep the only other pointer to a connection in
 * the kernel (epoll's data, io_uring's user_data), where no leak checker or debugger sees it.
 * A number has one owner at a time, but only the kernel orders its owners: hence __atomic_….
 */
static struct conn **conns;

/* --- blocks: a list per thread, so that none is allocated per request --------------------------
 */

static __thread struct pool {
	char *blocks[POOL_MAX];
	unsigned n;
} pool;
static pthread_key_t empty_at_exit;
static __thread bool will_empty;

static void pool_empty(void *unused)
{
	(void)unused;
	while (pool.n)
		free(pool.blocks[--pool.n]);
}

static bool buffer_hold(struct buffer *b)
{
	if (b->data)
		return true;
	b->start = b->end = 0;
	b->size = block_size;
	b->data = pool.n ? pool.blocks[--pool.n] : malloc(block_size);
	return b->data;
}

static void buffer_let_go(struct buffer *b)
{
	if (!b->data)
		return;
	if (pool.n < POOL_MAX) {
		pool.blocks[pool.n++] = b->data;
		if (!will_empty) {
			will_empty = true;
			pthread_setspecific(empty_at_exit, &pool);
		}
	} else {
		free(b->data);
	}
	*b = (struct buffer){0};
}

/* --- connections --------------------------------------------------------------------------------
 */

void conn_init(const struct proto *proto, size_t buffer_bytes)
{
	struct rlimit fds;

	assert(buffer_bytes >= proto->min_buffer);
	protocol = proto;
	block_size = (uint32_t)buffer_bytes;
	if (getrlimit(RLIMIT_NOFILE, &fds))
		die_errno("getrlimit(RLIMIT_NOFILE)", NULL);
	conns = calloc(fds.rlim_cur, sizeof(struct conn *));
	if (!conns)
		die_errno("calloc", "lower the descriptor limit (ulimit -n)");
	if (pthread_key_create(&empty_at_exit, pool_empty))
		die_errno("pthread_key_create", NULL);
}

struct conn *conn_open(int fd)
{
	struct conn *c = calloc(1, sizeof(*c));

	if (!c) {
		close(fd);
		return NULL;
	}
	c->fd = fd;
	__atomic_store_n(&conns[fd], c, __ATOMIC_RELAXED);
	__atomic_fetch_add(&open_conns, 1, __ATOMIC_RELAXED);
	return c;
}

void conn_close(struct conn *c)
{
	int fd = c->fd;

	buffer_let_go(&c->in);
	buffer_let_go(&c->out);
	__atomic_store_n(&conns[fd], NULL, __ATOMIC_RELAXED);
	free(c);
	close(fd); /* last: from here on another thread may be given the same number */
	__atomic_fetch_sub(&open_conns, 1, __ATOMIC_RELAXED);
}

int conn_count(void)
{
	return __atomic_load_n(&open_conns, __ATOMIC_RELAXED);
}

int conn_fd(const struct conn *c)
{
	return c->fd;
}

bool conn_flag(const struct conn *c)
{
	return c->flag;
}

void conn_set_flag(struct conn *c, bool flag)
{
	c->flag = flag;
}

enum conn_op conn_next(const struct conn *c)
{
	return buffer_len(&c->out) ? OP_SEND : OP_RECV;
}

char *conn_buf(struct conn *c, size_t *len)
{
	if (conn_next(c) == OP_SEND) {
		*len = buffer_len(&c->out);
		return c->out.data + c->out.start;
	}
	if (!buffer_hold(&c->in)) {
		*len = sizeof(c->nowhere); /* conn_done() gives this peer up */
		return &c->nowhere;
	}
	if (c->in.start > 0) {
		memmove(c->in.data, c->in.data + c->in.start, buffer_len(&c->in));
		c->in.end -= c->in.start;
		c->in.start = 0;
	}
	*len = buffer_room(&c->in);
	assert(*len > 0); /* proto.h: a full buffer is always answered or closed */
	return c->in.data + c->in.end;
}

/*
 * The last reply is out. Closing now, with bytes of the client unread, would make the kernel send a
 * reset, which destroys what the client has not read yet (RFC 9112, 9.6). So say we are done, and
 * read on to the client's end.
 */
static enum conn_io linger(struct conn *c)
{
	c->lingering = true;
	buffer_let_go(&c->in);
	shutdown(c->fd, SHUT_WR);
	return IO_OK;
}

/* Have the protocol answer what has been received, until it owes a reply or needs more. */
static enum conn_io answer(struct conn *c)
{
	struct session *s = &c->session;

	if (c->lingering) {
		c->lingered += (uint32_t)buffer_len(&c->in);
		c->in.start = c->in.end = 0;
		if (c->lingered > LINGER_MAX)
			return IO_CLOSED;
	} else if (s->body_left || (buffer_len(&c->in) && !s->closing)) {
		if (!buffer_hold(&c->in) || !buffer_hold(&c->out))
			return IO_CLOSED;
		stats_add(&stats_mine()->requests, protocol->answer(s, &c->in, &c->out));
	}
	if (!buffer_len(&c->in))
		buffer_let_go(&c->in);
	if (buffer_len(&c->out))
		return IO_OK;
	buffer_let_go(&c->out);
	if (s->closing && !c->lingering)
		return s->rude ? linger(c) : IO_CLOSED;
	return IO_OK;
}

enum conn_io conn_done(struct conn *c, ssize_t res)
{
	struct stats *stats = stats_mine();

	if (res < 0) {
		if (conn_next(c) == OP_RECV && !buffer_len(&c->in))
			buffer_let_go(&c->in);
		if (res == -EINTR)
			return IO_OK;
		if (res != -EAGAIN)
			return IO_CLOSED;
		stats_add(&stats->eagain, 1);
		return IO_AGAIN;
	}
	if (conn_next(c) == OP_RECV) {
		if (res == 0 || !c->in.data)
			return IO_CLOSED; /* nothing is owed: it does not read while it owes */
		stats_add(&stats->bytes_in, (uint64_t)res);
		c->in.end += (uint32_t)res;
		return answer(c);
	}
	stats_add(&stats->bytes_out, (uint64_t)res);
	c->out.start += (uint32_t)res;
	if (buffer_len(&c->out))
		return IO_OK; /* a short send: the rest is next */
	c->out.start = c->out.end = 0;
	return answer(c);
}

enum conn_io conn_step(struct conn *c)
{
	size_t len;
	char *buf = conn_buf(c, &len);
	ssize_t res;

	if (conn_next(c) == OP_SEND)
		res = send(c->fd, buf, len, MSG_NOSIGNAL);
	else
		res = recv(c->fd, buf, len, 0);
	return conn_done(c, res < 0 ? -errno : res);
}

enum conn_io conn_turn(struct conn *c)
{
	enum conn_io io = IO_OK;

	if (conn_next(c) == OP_RECV) {
		io = conn_step(c);
		if (io == IO_AGAIN)
			return IO_OK; /* a false alarm: it waits for input as before */
	}
	for (int sends = 0; io == IO_OK && conn_next(c) == OP_SEND; sends++) {
		if (sends == TURN_SENDS)
			return IO_AGAIN; /* enough: the next wait finds it writable at once */
		io = conn_step(c);
	}
	return io;
}
