/* SPDX-License-Identifier: MIT
 * One connection of a worker, as long as the run: its socket may be closed and opened anew.
 */
#ifndef TENK_LOADGEN_LANE_H
#define TENK_LOADGEN_LANE_H

#include <stdbool.h>
#include <stdint.h>

#include "loadgen/record.h"
#include "loadgen/reply.h"

enum lane_state { LANE_CLOSED, LANE_CONNECTING, LANE_READY };

/* When a request was due, and when it was handed to the kernel. */
struct stamp {
	uint64_t intended_ns, sent_ns;
};

/* What a request and its reply touch is in the first 64 bytes. */
struct lane {
	_Alignas(64) struct stamp stamp; /* of its request, if there is only one at a time */
	int fd;
	uint32_t generation;   /* counts the sockets it has had: tells stale events */
	uint32_t asked;        /* requests begun */
	uint32_t answered;     /* requests over with; asked - answered are outstanding */
	uint32_t unsent_bytes; /* of the requests begun */
	uint32_t quota;        /* requests this socket may still make */
	uint32_t served;       /* right replies within the window */
	uint8_t state;         /* enum lane_state */
	uint8_t population;
	bool in_free; /* is in the list of free connections */
	bool in_open; /* is in the queue of those to be opened */
	struct reply reply;
	uint64_t moved_ns; /* slow ones: when bytes last moved */
};

/* True for the populations that the session itself reads and writes, slowly. */
static inline bool lane_is_slow(const struct lane *c)
{
	return c->population == POPULATION_SLOW_READERS || c->population == POPULATION_SLOW_WRITERS;
}

static inline uint32_t lane_outstanding(const struct lane *c)
{
	return c->asked - c->answered;
}

#endif
