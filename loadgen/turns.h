/* SPDX-License-Identifier: MIT
 * Several targets in one run: each has workers of its own, and here they learn whose turn it is.
 *
 * In turns: one target is loaded at a time. The turn lies in shared memory, one futex per target,
 * and goes from worker to worker; who does not have it sleeps in futex(2), without a timer. Its
 * first worker leads: it takes the edges, waits until all workers of the target have drained their
 * connections, and passes the turn on.
 * Together: all targets are loaded at once, and the first worker of each takes an edge whenever a
 * slice of the window is over.
 *
 * Nothing here is touched for a request: an edge reads the counters that workers keep anyway.
 */
#ifndef TENK_LOADGEN_TURNS_H
#define TENK_LOADGEN_TURNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loadgen/options.h"
#include "loadgen/record.h"
#include "loadgen/schedule.h"
#include "loadgen/slice.h"

struct session;

/* Together: how long after the window's beginning all passes are known. */
#define TURNS_CUT_NS UINT64_C(20000000)

/* Where the workers of one target wait. */
struct seat {
	_Alignas(64) uint32_t state; /* futex: number of its turn << 2 | enum turn_phase */
	uint32_t drained;            /* futex: workers that are done with this turn */
	uint64_t begin_ns;           /* when the turn was passed to it: arrivals begin here */
	uint64_t edge_ns;            /* when about the next edge is due */
	uint64_t pass_ns;            /* learnt in the warm-up; 0: not yet, or no reply */
	struct timing timing;        /* of its turns after the warm-up */
};

/* Shared by all processes of a run. Fields that change after the fork are accessed atomically. */
struct turns {
	const struct options *options;
	const struct record *records; /* `workers` of them for each target */
	uint32_t targets, workers;
	uint32_t connecting;  /* futex: this target's workers, and those before it, may connect */
	uint32_t over;        /* the last turn is over, or the run was ended */
	uint32_t holder;      /* turns: the target whose turn it is */
	uint32_t rounds;      /* turns: known once the warm-up is over */
	uint32_t cuts;        /* together: slices of the window; 0: not yet known */
	uint64_t start_ns;    /* the load begins */
	uint64_t deadline_ns; /* turns: the turn should be over by then */
	struct seat seats[TARGETS_MAX];
	size_t bytes, slice_most;
	uint8_t *packed;    /* encoded histograms of slices, one behind the other */
	size_t packed_used; /* atomic; may be more than packed_most, if there was no room for all */
	size_t packed_most;
	struct slice slices[];
};

/* A worker's place in it, and what its edges need. */
struct taker;

/* --- for the parent ----------------------------------------------------------------------- */

/* In a shared mapping, before the workers are forked. Dies if there is no memory. */
struct turns *turns_create(const struct options *o, const struct record *records);
void turns_free(struct turns *t);

/* Targets 0 .. target may open their connections. */
void turns_let_connect(struct turns *t, uint32_t target);

/* Give the first turn away. */
void turns_start(struct turns *t);

/* Together: TURNS_CUT_NS into the window, when the passes are known, say how it is cut. */
void turns_cut(struct turns *t);

/* End all turns and wake everybody; control->stop must have been set if it is to be at once. */
void turns_stop(struct turns *t);

/* Whose turn it is, and by when it should be over. */
uint32_t turns_holder(const struct turns *t);
uint64_t turns_deadline_ns(const struct turns *t);

/* The slices that were measured to their end, warm-up included: number i, or NULL; i < count. */
size_t turns_slice_count(const struct turns *t);
const struct slice *turns_slice(const struct turns *t, size_t i);

/* The response times of a slice as hist_encode() wrote them; NULL if there was no room to keep them. */
const uint8_t *turns_histogram(const struct turns *t, const struct slice *s);

/* Has every slice been measured that was planned? */
bool turns_all_done(const struct turns *t);

/* --- for a worker ------------------------------------------------------------------------- */

/* NULL if there is no memory. server_cpu: see server_cpu.h; NULL: none. */
struct taker *taker_create(struct turns *t, uint32_t target, uint32_t worker,
			   const char *server_cpu);
void taker_free(struct taker *k);

/* Sleep until this target may open its connections; its record shows that the worker is alive. */
void taker_await_connect(struct taker *k, struct record *record);

/* In turns: the whole course of the run, from the first turn to the last. */
void taker_run(struct taker *k, struct session *s);

/* Together: the load begins; s->next_edge_ns has come; the load has ended. */
void taker_start(struct taker *k, struct session *s);
void taker_edge(struct taker *k, struct session *s);
void taker_end(struct taker *k, struct session *s);

#endif
