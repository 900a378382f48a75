/* SPDX-License-Identifier: MIT
 * A connection: a protocol's state, its buffers and its one pending operation.
 *
 * A connection waits for exactly one thing at a time, so closing it is always safe; and one that
 * still owes a reply does not read, so a client that does not read cannot make the server hold more
 * than two buffers for it. A connection that waits to receive and has no part of a request holds no
 * buffer at all, unless a pending operation of a completion model or a blocked recv(2) needs one.
 * Each thread keeps up to 64 buffers that were let go, for the next requests.
 *
 * No function here waits, except that conn_step() and conn_turn() block on a blocking socket.
 * A connection is used by one thread at a time.
 */
#ifndef TENK_CONN_H
#define TENK_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum conn_op {
	OP_RECV,
	OP_SEND,
};

enum conn_io {
	IO_OK,     /* it moved on; conn_next() says what it waits for now */
	IO_AGAIN,  /* the socket was not ready: wait until it is, for what conn_next() says */
	IO_CLOSED, /* the peer is gone or done with: conn_close() it */
};

struct conn;
struct proto;

/* Before the first conn_open(): the protocol spoken, and the size of a buffer in bytes. */
void conn_init(const struct proto *proto, size_t buffer_bytes);

/* Take over an accepted socket. NULL (and `fd` closed) when there is no memory. */
struct conn *conn_open(int fd);

/* Close the socket and free everything. No operation may be pending on its buffer. */
void conn_close(struct conn *c);

/* Connections open in this process now. */
int conn_count(void);

int conn_fd(const struct conn *c);

/* What it waits for. */
enum conn_op conn_next(const struct conn *c);

/*
 * The bytes that operation is about: for OP_RECV where to put up to *len bytes, for OP_SEND the
 * *len bytes to send. *len > 0. The address holds until the matching conn_done().
 */
char *conn_buf(struct conn *c, size_t *len);

/*
 * The operation ended: `res` is the number of bytes moved (0 for end of file), or -errno. -EAGAIN
 * gives IO_AGAIN; -EINTR changes nothing and gives IO_OK.
 */
enum conn_io conn_done(struct conn *c, ssize_t res);

/* Do it now: one recv(2) or send(2), then conn_done(). */
enum conn_io conn_step(struct conn *c);

/*
 * For level-triggered models, once per event: one recv(2), then the sends that answer it; or, if it
 * was waiting to send, the sends that are left. At most a few dozen sends, so that one connection
 * cannot keep the others waiting. IO_AGAIN: the socket's send buffer is full, wait for writing.
 */
enum conn_io conn_turn(struct conn *c);

/* One flag for the model's own use; false at first. */
bool conn_flag(const struct conn *c);
void conn_set_flag(struct conn *c, bool flag);

#endif
