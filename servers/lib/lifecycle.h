/* SPDX-License-Identifier: MIT
 * What the parts of servers/lib tell each other; models have no business here.
 */
#ifndef TENK_LIFECYCLE_H
#define TENK_LIFECYCLE_H

#include <stdbool.h>

#include "servers/lib/model.h"

/* --- main.c → listen.c ---------------------------------------------------------------------- */

struct listening {
	const char *address; /* numeric, IPv4 or IPv6 */
	int port;            /* 0: any */
	int backlog;
	bool nodelay;     /* TCP_NODELAY, which accepted sockets inherit on Linux */
	bool nonblocking; /* the listening socket itself */
	bool again;       /* server_listen_again() may be called */
};

/* Bind and listen, or die naming what is wrong. Sets *port to the port it got. */
int listen_on(const struct listening *how, int *port);

/* --- main.c → server.c, limits.c ------------------------------------------------------------ */

/* Catch SIGTERM and SIGINT (they shut `listen_fd` down), ignore SIGPIPE. */
void server_catch_signals(int listen_fd);

/*
 * How many connections the model can serve here at a time, with at most `fds` descriptors for
 * connections and workers, and `workers` workers. At least 1: where there is no room for one, or
 * the machine lacks what the model needs, the program ends with EXIT_UNSUPPORTED and the reason.
 */
struct limit limit_here(const struct model *m, int fds, int workers);

/*
 * Where the limit is that of each worker process: how many connections each of several can be
 * counted on for. 0 where more workers (-w) do not help. fds: descriptors of a process.
 */
int limit_each_worker(const struct model *m, int fds);

/* CPUs this process may run on, at least 1. */
int limit_cpus(void);

/* --- server.c → conn.c: one slot for each connection ---------------------------------------- */

/* Take a slot, unless `most` are taken. */
bool conn_slot_take(int most);

/* Give back a slot that no descriptor uses. */
void conn_slot_give(void);

/* The slot taken last by this thread is that of the accepted socket `fd`. */
void conn_slot_use(int fd);

/* Give back the slot of `fd`, if conn_new() did not fill it. */
void conn_slot_clear(int fd);

#endif
