/* SPDX-License-Identifier: MIT
 * The process around a model: its listening sockets, when to accept and when to stop.
 */
#ifndef TENK_SERVER_H
#define TENK_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A worker with a listening socket of its own has a copy with another listen_fd. */
struct server {
	int listen_fd;    /* blocking or not, as model.nonblocking asked */
	int max_conns;    /* -c: at most this many connections at a time, of all workers together */
	int workers;      /* -w */
	int accept_batch; /* --accept-batch: accepts per wake-up, at least 1 */
	int backlog;      /* --backlog: clients that may wait for accept(2), per listening socket */
};

/* --- accepting ------------------------------------------------------------------------------ */

/* What server_accept() returns instead of a descriptor. */
enum {
	/* nobody is waiting (listening socket without O_NONBLOCK: never) */
	ACCEPT_EMPTY = -1,
	/* no slot, descriptor or memory left; server_accepting() is false, for a while or until a
	 * connection ends */
	ACCEPT_FULL = -2,
	/* SIGTERM came, or the listening socket is gone */
	ACCEPT_STOPPED = -3,
};

/*
 * accept4(2) one connection; `flags` is SOCK_NONBLOCK or 0, whatever the listening socket is.
 * Returns its descriptor or ACCEPT_…; errors that concern one client only (ECONNABORTED and the
 * network errors of accept(2)) are passed over.
 *
 * It takes one of the max_conns slots, before it accepts: with any number of threads there are
 * never more connections than that. conn_open() fills the slot, conn_close() frees it. One that is
 * not to be opened here goes to server_turn_away().
 */
int server_accept(const struct server *srv, int flags);

/* The same for a blocking listening socket: waits for a client, and for a slot and a descriptor to
 * be free. */
int server_accept_wait(const struct server *srv, int flags);

/*
 * What accept(2)'s result `res` (a descriptor or -errno) means, for models that do not call it
 * themselves: the descriptor, whose slot is taken now, or ACCEPT_…. Such a model asks for one
 * connection at a time, or for no more than there are slots.
 */
int server_accepted(const struct server *srv, int res);

/* Close a socket that was accepted but is not served in this process, and free its slot. */
void server_turn_away(int fd);

/*
 * May the model accept now: fewer than max_conns are open, and no ACCEPT_FULL a moment ago. Ask it
 * once before each wait, and go by that answer: it depends on the time.
 */
bool server_accepting(const struct server *srv);

/*
 * How long the wait that follows may last, in ms: -1 (for ever) if `accepting`, which is what
 * server_accepting() said, else a moment. Nothing tells a process that somebody else freed a
 * descriptor, so it has to ask again.
 */
int server_wait_ms(bool accepting);

/*
 * One more listening socket on the address and port of srv->listen_fd, like it in everything. The
 * kernel deals the clients out to all of them (SO_REUSEPORT), and a client that waits in the
 * backlog of one is not given to another. SIGTERM shuts it down as well. For models with
 * LISTENS_AGAIN; dies when it cannot be had.
 */
int server_listen_again(const struct server *srv);

/* --- stopping ------------------------------------------------------------------------------- */

/*
 * SIGTERM or SIGINT came. Its handler has shut the listening sockets down, which wakes every wait
 * for one of them.
 */
bool server_stopping(void);

/*
 * Let the handler shut the socket `fd` down too: for a thread that waits for that and for no
 * listening socket. It must stay open from then on.
 */
void server_stop_also(int fd);

/* Return when SIGTERM comes: for a main thread that leaves all the work to others. */
void server_wait_stop(const struct server *srv);

/*
 * The calling process is about to serve `fd` with blocking calls: let SIGTERM shut it down too, so
 * that none of them can sleep through the signal. -1 when it is served, before it is closed.
 */
void server_serving(int fd);

/*
 * After fork(2), in the child: die with the parent. SIGTERM shuts `fd` down and nothing else: the
 * connection it serves, or a listening socket of its own; -1 for none. The parent's listening
 * sockets are left alone: to shut one down would shut it down for all. When the parent does so, the
 * child stops too, as soon as it accepts.
 */
void server_child(int fd, int parent_pid);

#ifdef __cplusplus
}
#endif

#endif
