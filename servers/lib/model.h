/* SPDX-License-Identifier: MIT
 * What a server model is: one .c or .cc file in servers/ with one symbol that is not static,
 * `model`.
 *
 * The shared code in servers/lib is called by the model and never calls back into a loop of its
 * own: the waiting system call and everything decided around it stay in the model's file.
 */
#ifndef TENK_MODEL_H
#define TENK_MODEL_H

#include <stdbool.h>
#include <stddef.h>

#include "servers/lib/server.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
	/* Which of the common options a model heeds. An option it does not heed is refused. */
	USES_MAX_CONNS = 1,    /* -c: it stops accepting at srv->max_conns */
	USES_WORKERS = 2,      /* -w: it starts srv->workers threads or processes */
	USES_ACCEPT_BATCH = 4, /* --accept-batch: it accepts at most that many per wake-up */

	LISTENS_AGAIN = 8,      /* it calls server_listen_again() */
	CONN_PER_WORKER = 16,   /* a worker serves one connection at a time */
	CONNS_IN_CHILDREN = 32, /* connections take no descriptor of the first process */
	BUSY_POLLS = 64,        /* it keeps a CPU busy while it waits, and means to */
	LIBRARY_ABORTS = 128,   /* its library ends the process where it cannot watch a socket */
};

/* For model.workers: as many as there are CPUs. */
#define ONE_PER_CPU (-1)

/* How many connections can be served at the same time, and what that comes from. */
struct limit {
	int conns;
	const char *reason;
};

/* An option of the model's own, of whole numbers: --NAME=N. */
struct model_option {
	const char *name; /* without the dashes; NULL ends the list */
	const char *unit; /* what --help calls the number, as "BYTES" */
	const char *help; /* what it does, and the default */
	long least, most; /* inclusive; others are refused */
	long *value;      /* where it goes, before probe(); holds the default */
};

/* (C++ wants the members that are given in this order.) */
struct model {
	const char *name;    /* the file's stem, the binary's name, the legend entry */
	const char *summary; /* one line */
	const char *family;  /* blocking, readiness, completion, hybrid, coroutine or library */
	const char *needs;   /* what the machine must offer beyond POSIX, or NULL */
	unsigned flags;      /* of the enum above */
	int workers;         /* default of -w, or ONE_PER_CPU; 0 without USES_WORKERS */
	size_t conn_bytes;   /* of its own in each connection: conn_mine() */

	/*
	 * Its limits beyond the descriptors; 0 where there is none. What they come to on this
	 * machine is the limit of -c, and in --describe.
	 */
	struct limit most;     /* the same on every machine */
	size_t bytes_per_task; /* it takes a thread or process for each connection: that big */
	/* Descriptors that each worker takes for itself. With CONNS_IN_CHILDREN each worker is a
	 * process with a limit of its own. */
	int fds_per_worker;

	/*
	 * Can this machine run it? Ends the program with EXIT_UNSUPPORTED and the reason if not;
	 * may lower *limit. NULL: it can. It is called for --describe too, and leaves nothing open.
	 */
	void (*probe)(struct limit *limit);

	/*
	 * All that may fail before the first client: queues, tables, threads. Called once, with the
	 * listening socket open and before the ready line is printed: a server that says it is
	 * ready is. NULL: there is nothing to set up.
	 */
	void (*setup)(const struct server *srv);
	/* Serve until server_stopping(). Called once, after setup(), by the same thread. */
	void (*run)(const struct server *srv);
	/* The listening socket it wants: true for O_NONBLOCK. */
	bool nonblocking;
	const struct model_option *options; /* of its own, at most 8; or NULL */
};

extern const struct model model;

#ifdef __cplusplus
}
#endif

#endif
