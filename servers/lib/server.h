/* SPDX-License-Identifier: MIT
 * The process around a model: its listening socket, when to accept and when to stop.
 */
#ifndef TENK_SERVER_H
#define TENK_SERVER_H

#include <stdbool.h>
#include <stddef.h>

struct server {
	int listen_fd;    /* blocking or not, as model.nonblocking asked */
	int max_conns;    /* -c: at most this many connections at a time */
	int workers;      /* -w */
	int accept_batch; /* --accept-batch: accepts per wake-up, at least 1 */
};

/* What server_accept() returns instead of a descriptor. */
enum {
	ACCEPT_EMPTY = -1, /* nobody is waiting (listening socket without O_NONBLOCK: never) */
	ACCEPT_FULL =
		-2, /* no descriptor or memory left; server_accepting() is false for a while */
	ACCEPT_STOPPED = -3, /* SIGTERM came, or the listening socket is gone */
};

/*
 * accept4(2) one connection, as a blocking or nonblocking socket like the listening one. Returns
 * its descriptor or ACCEPT_…; errors that concern one client only (ECONNABORTED and the network
 * errors of accept(2)) are passed over.
 */
int server_accept(const struct server *srv);

/* The same for a blocking listening socket: waits for a client, and for a descriptor to be free. */
int server_accept_wait(const struct server *srv);

/*
 * What accept(2)'s result `res` (a descriptor or -errno) means, for models that do not call it
 * themselves: the descriptor made ready for use, or ACCEPT_….
 */
int server_accepted(const struct server *srv, int res);

/* May the model accept now: fewer than max_conns are open, and no ACCEPT_FULL a moment ago. */
bool server_accepting(const struct server *srv);

/*
 * How long the model's next wait may last, in ms: -1 (for ever) while server_accepting(), else a
 * moment. Nothing tells a process that somebody else freed a descriptor, so it has to ask again.
 */
int server_wait_ms(const struct server *srv);

/* SIGTERM or SIGINT came. Its handler has shut the listening socket down, which wakes every wait.
 */
bool server_stopping(void);

/* Return when SIGTERM comes: for a main thread that leaves all the work to others. */
void server_wait_stop(const struct server *srv);

/*
 * The calling process is about to serve `fd` with blocking calls: let SIGTERM shut it down too, so
 * that none of them can sleep through the signal. -1 when it is served, before it is closed.
 */
void server_serving(int fd);

/*
 * After fork(2), in a child that serves the connection `fd`: die with the parent; SIGTERM shuts
 * `fd` down and leaves the listening socket, which is the parent's, alone.
 */
void server_child(int fd, int parent_pid);

/*
 * A limit() for models that need a thread or process for each connection: what the kernel, the
 * control group, ulimit and available memory allow, at most `most`.
 */
int server_task_limit(int most, size_t bytes_per_task, const char **reason);

#endif
