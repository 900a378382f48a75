/* SPDX-License-Identifier: MIT
 * A connection: a protocol's state, its buffers and its one pending operation.
 *
 * A connection waits for exactly one thing at a time, so closing it is always safe; and one that
 * still owes a reply does not read, so a client that does not read cannot make the server hold more
 * than two buffers for it. A connection that waits to receive and has no part of a request holds no
 * buffer at all, unless a pending operation of a completion model or a blocked recv(2) needs one.
 * Each thread keeps up to 64 buffers that were let go, for the next requests.
 *
 * No function here waits, except that conn_step() and conn_turn() block on a blocking socket, and
 * for as long as a disk takes where a file is read.
 * A connection is used by one thread at a time; conn_hand_over() passes it on.
 */
#ifndef TENK_CONN_H
#define TENK_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a connection waits for. Readiness models need not care: conn_step() does it, whatever it is.
 */
enum conn_op {
	OP_RECV,     /* bytes of the client */
	OP_SEND,     /* to send what it owes */
	OP_READ,     /* bytes of a file, for the reply: pread(2) from where conn_file() says */
	OP_SHUTDOWN, /* shutdown(2) with SHUT_WR: the last reply is out. Any result will do. */
	OP_CLOSE,    /* to be closed: conn_close(); or close it your own way, then conn_free() */
};

enum conn_io {
	IO_OK,     /* it moved on; conn_next() says what it waits for now */
	IO_AGAIN,  /* the socket was not ready: wait until it is, for what conn_next() says */
	IO_CLOSED, /* the peer is gone or done with: conn_close() it; conn_next() is OP_CLOSE */
};

struct conn;
struct proto;

/*
 * Before the first connection: the protocol spoken, the size of a buffer in bytes, and how many
 * bytes of its own the model has in each connection (conn_mine()).
 */
void conn_init(const struct proto *proto, size_t buffer_bytes, size_t model_bytes);

/* --- from accept to close ------------------------------------------------------------------- */

/* Take over an accepted socket. NULL (and `fd` closed) when there is no memory. */
struct conn *conn_open(int fd);

/* Close the socket and free everything. No operation may be pending on its buffer. */
void conn_close(struct conn *c);

/*
 * The same two for a socket that this process has no descriptor of, as io_uring's direct ones:
 * `slot` is its number in the model's own table, below the descriptor limit. When there is no
 * memory, conn_new() returns NULL, counts it no more, and leaves it open: closing it is the
 * model's. conn_free() closes nothing of it.
 */
struct conn *conn_new(int slot);
void conn_free(struct conn *c);

/* Connections of this process now: open, accepted, or about to be (see server_accept()). */
int conn_count(void);

int conn_fd(const struct conn *c);

/* The model's own bytes in this connection: all zero at first, aligned for anything. */
void *conn_mine(struct conn *c);

/* The open connection with that descriptor; NULL if there is none. */
struct conn *conn_of(int fd);

/*
 * All open connections: start with *at = 0 and call until it returns NULL. Each call returns the
 * one with the lowest descriptor from *at on, and moves *at past it. The one returned may be
 * closed; no other thread may open or close any meanwhile.
 */
struct conn *conn_each(int *at);

/* --- the pending operation ------------------------------------------------------------------ */

/* What it waits for. */
enum conn_op conn_next(const struct conn *c);

/*
 * The bytes that operation is about: for OP_RECV and OP_READ where to put up to *len bytes, for
 * OP_SEND the *len bytes to send. *len > 0. The address holds until the matching conn_done(). For
 * the other operations NULL and 0.
 */
char *conn_buf(struct conn *c, size_t *len);

/* For OP_READ: the file, and the offset in it to read from. Both hold until conn_done(). */
void conn_file(const struct conn *c, int *fd, off_t *offset);

/*
 * The operation ended: `res` is the number of bytes moved (0 for end of file, or for an operation
 * that moves none), or -errno. -EAGAIN gives IO_AGAIN; -EINTR changes nothing and gives IO_OK.
 */
enum conn_io conn_done(struct conn *c, ssize_t res);

/*
 * Bytes of the client that the model (or its library) has received already, `len` > 0: instead of
 * conn_buf() and conn_done(). Returns how many were taken, from the front. It may be fewer than
 * `len`, and is 0 while conn_next() is not OP_RECV: what is left must be offered again, once the
 * reply is out. conn_next() says what follows, OP_CLOSE included.
 */
size_t conn_feed(struct conn *c, const char *data, size_t len);

/* Do it now: one recv(2), send(2), pread(2) or shutdown(2), then conn_done(). */
enum conn_io conn_step(struct conn *c);

/*
 * For level-triggered models, once per event: one recv(2), then all that answers it; or, if it was
 * not waiting to receive, what is left of that. At most a few dozen calls, so that one connection
 * cannot keep the others waiting. IO_AGAIN: wait for writing; the socket's send buffer is full, or
 * others shall have their turn.
 */
enum conn_io conn_turn(struct conn *c);

/* --- from thread to thread ------------------------------------------------------------------ */

/*
 * A connection may go to another thread through the kernel: one thread arms epoll or submits a
 * request, another one gets the event. The memory model of C knows nothing of that way. So the
 * first thread publishes what it wrote, conn_hand_over(), before the call that lets the other one
 * have it; and does not touch it afterwards. It returns the descriptor, which is what to give the
 * kernel.
 */
int conn_hand_over(struct conn *c);

/* The other thread's side: the connection with descriptor `fd`, as conn_hand_over() left it. */
struct conn *conn_take_over(int fd);

#ifdef __cplusplus
}
#endif

#endif
