/* SPDX-License-Identifier: MIT
 * What a server model is: one .c file in servers/ with one symbol that is not static, `model`.
 *
 * The shared code in servers/lib is called by the model and never calls back into a loop of its
 * own: the waiting system call and everything decided around it stay in the model's file.
 */
#ifndef TENK_MODEL_H
#define TENK_MODEL_H

#include "servers/lib/server.h"

/* Which of the common options a model heeds. An option it does not heed is refused. */
enum {
	USES_MAX_CONNS = 1,    /* -c: it stops accepting at srv->max_conns */
	USES_WORKERS = 2,      /* -w: it starts srv->workers threads or processes */
	USES_ACCEPT_BATCH = 4, /* --accept-batch: it accepts at most that many per wake-up */
};

struct model {
	const char *name;    /* the file's stem, the binary's name, the legend entry */
	const char *summary; /* one line */
	const char *family;  /* blocking, readiness or completion */
	const char *needs;   /* what the machine must offer beyond POSIX, or NULL */
	unsigned flags;      /* USES_… */
	int workers;         /* default of -w; 0 without USES_WORKERS */

	/*
	 * How many connections it can serve at the same time on this machine, given at most
	 * `fds` descriptors for them (and srv->workers workers, for USES_WORKERS). Sets *reason to
	 * what the limit comes from. NULL: the descriptors are the limit.
	 */
	int (*limit)(int fds, int workers, const char **reason);

	/* Serve until server_stopping(). Called once, with the listening socket open. */
	void (*run)(const struct server *srv);
	/* The listening socket run() wants: true for O_NONBLOCK. */
	bool nonblocking;
};

extern const struct model model;

#endif
