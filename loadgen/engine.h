/* SPDX-License-Identifier: MIT
 * An engine moves the bytes of a session: one file and one row in engine.c each. It decides
 * nothing. What happened it tells by the traffic_… calls below, which may call back into its
 * connect, send and drop from there.
 */
#ifndef TENK_LOADGEN_ENGINE_H
#define TENK_LOADGEN_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loadgen/lane.h"
#include "loadgen/target.h"

enum { TRAFFIC_BUFFER = 65536 }; /* bytes */

/* All that an engine sees of its session: the connections, and memory to move bytes through. */
struct traffic {
	void *engine_data;
	struct lane *lanes;
	uint32_t lane_count;
	size_t room_bytes; /* most bytes outstanding on a lane; 0: they stay where they are */
	char *buffer;      /* TRAFFIC_BUFFER bytes, for what is received */
	char *scratch;     /* as many, for what is sent */
	struct endpoint server;
	bool stamps;         /* receive with the kernel's stamps; see stamps.h */
	bool departures;     /* and read those of what was sent */
	uint64_t arrived_ns; /* the stamp of the bytes told of last; 0: it has none */
};

struct engine {
	const char *name;
	/* Set up t->engine_data. NULL, or why this machine cannot run the engine. */
	const char *(*open)(struct traffic *t);
	void (*close)(struct traffic *t);
	/* Begin to connect c->fd, a bound non-blocking socket. 0, or an errno; it keeps the fd. */
	int (*connect)(struct traffic *t, struct lane *c);
	/* Send c->unsent_bytes, now or as soon as the socket takes them. */
	void (*send)(struct traffic *t, struct lane *c);
	/* Close c->fd; nothing is reported for it any more. */
	void (*drop)(struct traffic *t, struct lane *c);
	/* Report what happened; if nothing did, wait for it at most timeout_ns (0: do not wait). */
	void (*wait)(struct traffic *t, uint64_t timeout_ns);
};

/* --- what an engine tells, and asks ------------------------------------------------------- */

/* The connection is established. */
void traffic_connected(struct traffic *t, struct lane *c);

/* It could not be: `error` is an errno. */
void traffic_unconnected(struct traffic *t, struct lane *c, int error);

/* Bytes came, stamped t->arrived_ns. False if the connection was closed because of them. */
bool traffic_received(struct traffic *t, struct lane *c, const char *data, size_t length);

/* What was sent last left at this stamp; 0: not known. */
void traffic_departed(struct traffic *t, const struct lane *c, uint64_t stamp_ns);

/* The server closed its side. */
void traffic_eof(struct traffic *t, struct lane *c);

/* recv failed with errno `error`, or send failed. */
void traffic_recv_failed(struct traffic *t, struct lane *c, int error);
void traffic_send_failed(struct traffic *t, struct lane *c);

/* The next bytes to send of c->unsent_bytes; in the result or, with them, in scratch. */
const char *traffic_produce(const struct traffic *t, const struct lane *c, char *scratch,
			    size_t scratch_bytes, size_t *length);

/* `bytes` of c->unsent_bytes went out. */
void traffic_sent(struct traffic *t, struct lane *c, size_t bytes);

/* --- the engines -------------------------------------------------------------------------- */

/* All of them; the last is NULL. The first is the default. */
extern const struct engine *const engines[];

/* The engine of that name, or NULL. */
const struct engine *engine_find(const char *name);

extern const struct engine engine_epoll;
extern const struct engine engine_uring;

#endif
