// SPDX-License-Identifier: MIT
#include "servers/lib/conn.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/die.h"
#include "servers/lib/lifecycle.h"
#include "servers/lib/proto.h"
#include "servers/lib/stats.h"

#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN /* built with -fsanitize=thread */
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN /* built with -fsanitize=thread */
#endif
#endif

enum {
	POOL_MAX = 64,      /* blocks a thread keeps for reuse */
	TURN_CALLS = 32,    /* calls of one conn_turn() before others get theirs */
	LINGER_MAX = 65536, /* bytes passed over after the last reply */
};

struct conn {
	int fd;
	uint8_t op;     /* enum conn_op: what it waits for */
	bool lingering; /* the last reply is out and the socket shut down: reading to its end */
	struct dialogue dialogue;
	struct buffer in, out; /* .data is NULL while there is nothing to hold */
	char mine[];           /* the model's */
};
_Static_assert(offsetof(struct conn, mine) % _Alignof(max_align_t) == 0, "conn_mine()");

static const struct proto *protocol;
static uint32_t block_size;
static size_t model_size;

/* Where one byte goes when there is no memory for a block; its peer is then given up. */
static __thread char nowhere;

/* --- blocks: a list per thread, so that none is allocated per request ----------------------- */

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

/* --- slots ---------------------------------------------------------------------------------- */

/* Slots taken: connections open, accepted, or being accepted. */
static int slots_taken;

/*
 * Every open connection, by descriptor. Some models keep the only other pointer to a connection in
 * the kernel (epoll's data, io_uring's user_data), where no leak checker or debugger sees it.
 * A number has one owner at a time, but only the kernel orders its owners: hence __atomic_….
 */
static struct conn **conns;
static int n_conns;   /* length of the table */
static int conns_end; /* no connection had this descriptor or a higher one so far */

/* Stands in the table for an accepted socket that is not a connection yet. */
static struct conn accepted;

bool conn_slot_take(int most)
{
	if (__atomic_fetch_add(&slots_taken, 1, __ATOMIC_RELAXED) < most)
		return true;
	conn_slot_give();
	return false;
}

void conn_slot_give(void)
{
	__atomic_fetch_sub(&slots_taken, 1, __ATOMIC_RELAXED);
}

void conn_slot_use(int fd)
{
	/* Sees what the last owner of this number did to what belongs to the number. */
	(void)__atomic_exchange_n(&conns[fd], &accepted, __ATOMIC_ACQUIRE);
}

void conn_slot_clear(int fd)
{
	if (__atomic_load_n(&conns[fd], __ATOMIC_RELAXED) == &accepted) {
		__atomic_store_n(&conns[fd], NULL, __ATOMIC_RELAXED);
		conn_slot_give();
	}
}

int conn_count(void)
{
	return __atomic_load_n(&slots_taken, __ATOMIC_RELAXED);
}

/* Opening and closing are rare beside what is done in between: a shared counter does no harm. */
static void raise_end(int fd)
{
	int end = __atomic_load_n(&conns_end, __ATOMIC_RELAXED);

	while (fd >= end && !__atomic_compare_exchange_n(&conns_end, &end, fd + 1, true,
							 __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		continue;
}

struct conn *conn_of(int fd)
{
	struct conn *c = NULL;

	if (fd >= 0 && fd < n_conns)
		c = __atomic_load_n(&conns[fd], __ATOMIC_RELAXED);
	return c == &accepted ? NULL : c;
}

struct conn *conn_each(int *at)
{
	int end = __atomic_load_n(&conns_end, __ATOMIC_RELAXED);
	struct conn *c = NULL;

	while (!c && *at < end)
		c = conn_of((*at)++);
	return c;
}

/*
 * The table is where both threads look: what one wrote before it stored the pointer is seen by the
 * one that loads it.
 */
int conn_hand_over(struct conn *c)
{
	int fd = c->fd;

	__atomic_store_n(&conns[fd], c, __ATOMIC_RELEASE);
	return fd;
}

struct conn *conn_take_over(int fd)
{
	return __atomic_load_n(&conns[fd], __ATOMIC_ACQUIRE);
}

#ifdef UNDER_TSAN
/*
 * A thread that arms a connection (EPOLL_CTL_MOD) passes it on in the middle of that call, and the
 * other one may close it before the call returns. The kernel has done with it by then. But
 * ThreadSanitizer takes the whole call for a use of the descriptor, and so the close(2) for a race.
 * To it this is some call that it knows nothing of. What conn_hand_over() orders it still sees.
 */
int epoll_ctl(int ep, int op, int fd, struct epoll_event *event)
{
	return (int)syscall(SYS_epoll_ctl, ep, op, fd, event);
}
#endif

/* --- connections ---------------------------------------------------------------------------- */

void conn_init(const struct proto *proto, size_t buffer_bytes, size_t model_bytes)
{
	struct rlimit fds;
	int error;

	assert(buffer_bytes >= proto->min_buffer);
	protocol = proto;
	block_size = (uint32_t)buffer_bytes;
	model_size = model_bytes;
	if (getrlimit(RLIMIT_NOFILE, &fds))
		die_errno("getrlimit(RLIMIT_NOFILE)", NULL);
	n_conns = fds.rlim_cur < INT_MAX ? (int)fds.rlim_cur : INT_MAX;
	conns = calloc((size_t)n_conns, sizeof(struct conn *));
	if (!conns)
		die_errno("calloc", "lower the descriptor limit (ulimit -n)");
	error = pthread_key_create(&empty_at_exit, pool_empty);
	if (error)
		die_error(error, "pthread_key_create", NULL);
}

struct conn *conn_new(int slot)
{
	struct conn *c = calloc(1, sizeof(*c) + model_size);

	if (!c) {
		conn_slot_clear(slot);
		return NULL;
	}
	c->fd = slot;
	if (__atomic_load_n(&conns[slot], __ATOMIC_RELAXED) != &accepted)
		conn_slot_take(INT_MAX); /* it did not come from server_accept() */
	__atomic_store_n(&conns[slot], c, __ATOMIC_RELAXED);
	raise_end(slot);
	return c;
}

struct conn *conn_open(int fd)
{
	struct conn *c = conn_new(fd);

	if (!c)
		close(fd);
	return c;
}

static void end_file(struct dialogue *d)
{
	close(d->file_fd);
	d->from_file = false;
}

void conn_free(struct conn *c)
{
	if (c->dialogue.from_file)
		end_file(&c->dialogue);
	buffer_let_go(&c->in);
	buffer_let_go(&c->out);
	__atomic_store_n(&conns[c->fd], NULL, __ATOMIC_RELEASE);
	free(c);
	conn_slot_give();
}

void conn_close(struct conn *c)
{
	int fd = c->fd;

	conn_free(c);
	close(fd); /* last: from here on another thread may be given the same number */
}

int conn_fd(const struct conn *c)
{
	return c->fd;
}

void *conn_mine(struct conn *c)
{
	return c->mine;
}

/* --- the pending operation ------------------------------------------------------------------ */

enum conn_op conn_next(const struct conn *c)
{
	return (enum conn_op)c->op;
}

/* For what is not about the socket's bytes. */
static char *other_buf(struct conn *c, size_t *len)
{
	*len = 0;
	if (c->op != OP_READ)
		return NULL;
	*len = buffer_room(&c->out);
	if (*len > c->dialogue.body_left)
		*len = c->dialogue.body_left;
	return c->out.data + c->out.end;
}

char *conn_buf(struct conn *c, size_t *len)
{
	if (c->op == OP_SEND) {
		*len = buffer_len(&c->out);
		return c->out.data + c->out.start;
	}
	if (c->op != OP_RECV)
		return other_buf(c, len);
	if (!buffer_hold(&c->in)) {
		*len = sizeof(nowhere); /* conn_done() gives this peer up */
		return &nowhere;
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

void conn_file(const struct conn *c, int *fd, off_t *offset)
{
	assert(c->op == OP_READ);
	*fd = c->dialogue.file_fd;
	*offset = (off_t)c->dialogue.file_offset;
}

static enum conn_io closed(struct conn *c)
{
	c->op = OP_CLOSE;
	return IO_CLOSED;
}

/*
 * The last reply is out. Closing now, with bytes of the client unread, would make the kernel send a
 * reset, which destroys what the client has not read yet (RFC 9112, 9.6). So say we are done, and
 * read on to the client's end.
 */
static enum conn_io linger(struct conn *c)
{
	c->lingering = true;
	c->dialogue.skip_left = LINGER_MAX;
	buffer_let_go(&c->in);
	c->op = OP_SHUTDOWN;
	return IO_OK;
}

/* Bytes after the last reply are passed over, but not without end. */
static bool pass_over(struct conn *c)
{
	size_t n = buffer_len(&c->in);

	c->in.start = c->in.end = 0;
	if (n > c->dialogue.skip_left)
		return false;
	c->dialogue.skip_left = (c->dialogue.skip_left - (uint32_t)n) & DIALOGUE_SKIP_MAX;
	return true;
}

/* Have the protocol answer what has been received, until it owes a reply or needs more. */
static enum conn_io answer(struct conn *c, struct stats *stats)
{
	struct dialogue *d = &c->dialogue;

	if (c->lingering) {
		if (!pass_over(c))
			return closed(c);
	} else if (d->body_left || (buffer_len(&c->in) && !d->closing)) {
		if (!buffer_hold(&c->in) || !buffer_hold(&c->out))
			return closed(c);
		if (!d->from_file)
			stats_add(&stats->requests, protocol->answer(d, &c->in, &c->out));
	}
	if (!buffer_len(&c->in))
		buffer_let_go(&c->in);
	if (d->from_file && buffer_room(&c->out)) {
		c->op = OP_READ;
		return IO_OK;
	}
	if (buffer_len(&c->out)) {
		c->op = OP_SEND;
		return IO_OK;
	}
	buffer_let_go(&c->out);
	if (d->closing && !c->lingering)
		return d->rude ? linger(c) : closed(c);
	c->op = OP_RECV;
	return IO_OK;
}

/* An operation failed with `error`, an errno. */
static enum conn_io failed(struct conn *c, int error)
{
	if (c->op == OP_SHUTDOWN) {
		c->op = OP_RECV; /* a peer that is gone shows there too */
		return IO_OK;
	}
	if (c->op == OP_RECV && !buffer_len(&c->in))
		buffer_let_go(&c->in);
	if (error == EINTR)
		return IO_OK;
	/* A file is always ready: there is nothing to wait for. */
	if (error != EAGAIN || c->op == OP_READ)
		return closed(c);
	stats_add(&stats_mine()->eagain, 1);
	return IO_AGAIN;
}

/* `n` bytes of a file stand behind what is to be sent. */
static enum conn_io have_read(struct conn *c, size_t n)
{
	struct dialogue *d = &c->dialogue;

	if (n == 0)
		return closed(c); /* it became shorter than the length that was promised */
	c->out.end += (uint32_t)n;
	d->file_offset += n;
	d->body_left -= n;
	if (!d->body_left)
		end_file(d);
	c->op = OP_SEND;
	return IO_OK;
}

enum conn_io conn_done(struct conn *c, ssize_t res)
{
	struct stats *stats;

	if (res < 0)
		return failed(c, (int)-res);
	stats = stats_mine();
	if (c->op == OP_RECV) {
		if (res == 0 || !c->in.data)
			return closed(c); /* nothing is owed: it does not read while it owes */
		stats_add(&stats->bytes_in, (uint64_t)res);
		c->in.end += (uint32_t)res;
		return answer(c, stats);
	}
	if (c->op == OP_SEND) {
		stats_add(&stats->bytes_out, (uint64_t)res);
		c->out.start += (uint32_t)res;
		if (buffer_len(&c->out))
			return IO_OK; /* a short send: the rest is next */
		c->out.start = c->out.end = 0;
		return answer(c, stats);
	}
	if (c->op == OP_READ)
		return have_read(c, (size_t)res);
	if (c->op == OP_CLOSE)
		return IO_CLOSED;
	c->op = OP_RECV; /* it is shut down */
	return IO_OK;
}

size_t conn_feed(struct conn *c, const char *data, size_t len)
{
	size_t room;
	char *buf;

	assert(len > 0);
	if (c->op != OP_RECV)
		return 0;
	buf = conn_buf(c, &room);
	if (len > room)
		len = room;
	memcpy(buf, data, len);
	conn_done(c, (ssize_t)len);
	return len;
}

/* What is not about the socket's bytes. */
static ssize_t do_other(struct conn *c, char *buf, size_t len)
{
	if (c->op == OP_READ)
		return pread(c->dialogue.file_fd, buf, len, (off_t)c->dialogue.file_offset);
	if (c->op == OP_SHUTDOWN)
		return shutdown(c->fd, SHUT_WR);
	return 0;
}

enum conn_io conn_step(struct conn *c)
{
	size_t len;
	char *buf = conn_buf(c, &len);
	ssize_t res;

	if (c->op == OP_RECV)
		res = recv(c->fd, buf, len, 0);
	else if (c->op == OP_SEND)
		res = send(c->fd, buf, len, MSG_NOSIGNAL);
	else
		res = do_other(c, buf, len);
	return conn_done(c, res < 0 ? -errno : res);
}

enum conn_io conn_turn(struct conn *c)
{
	enum conn_io io = IO_OK;

	if (c->op == OP_RECV) {
		io = conn_step(c);
		if (io == IO_AGAIN)
			return IO_OK; /* a false alarm: it waits for input as before */
	}
	for (int calls = 0; io == IO_OK && c->op != OP_RECV; calls++) {
		if (calls == TURN_CALLS)
			return IO_AGAIN; /* enough: the next wait finds it writable at once */
		io = conn_step(c);
	}
	return io;
}
