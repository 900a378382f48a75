/* SPDX-License-Identifier: MIT
 * An engine moves the bytes of a session: one file and one row in engine.c each. It decides
 * nothing; what happened it tells the session (session_connected() and so on in session.h), which
 * may call back into connect, send and drop from there.
 */
#ifndef TENK_LOADGEN_ENGINE_H
#define TENK_LOADGEN_ENGINE_H

#include <stdint.h>

struct session;
struct conn;

struct engine {
	const char *name;
	/* Set up session->engine_data. NULL, or why this machine cannot run the engine. */
	const char *(*open)(struct session *s);
	void (*close)(struct session *s);
	/* Begin to connect c->fd, a bound non-blocking socket. 0, or an errno; it keeps the fd. */
	int (*connect)(struct session *s, struct conn *c);
	/* Send c->unsent_bytes, now or as soon as the socket takes them. */
	void (*send)(struct session *s, struct conn *c);
	/* Close c->fd; nothing is reported for it any more. */
	void (*drop)(struct session *s, struct conn *c);
	/* Report what happened; if nothing did, wait for it at most timeout_ns (0: do not wait). */
	void (*wait)(struct session *s, uint64_t timeout_ns);
};

/* All of them; the last is NULL. The first is the default. */
extern const struct engine *const engines[];

/* The engine of that name, or NULL. */
const struct engine *engine_find(const char *name);

extern const struct engine engine_epoll;
extern const struct engine engine_uring;

#endif
