/* SPDX-License-Identifier: MIT
 * One worker's share of a run: its connections, what each does next, and what is recorded.
 *
 * The session knows when a request is due and what its outcome means; it leaves the moving of bytes
 * to its engine and their meaning to client.h. It runs in one process and one thread and shares
 * nothing but its struct record. What it keeps is in session_state.h.
 *
 * Times are nanoseconds of CLOCK_MONOTONIC. The clock is read once for each recv(2) that brought
 * bytes, straight after it; replies that came in one recv share that time, since that is when they
 * arrived here. In a closed loop the next request is sent within that turn and takes the same time
 * as its start (so its lag is 0 by definition, and its service time is if anything too long). In an
 * open loop the clock is read again before each send.
 */
#ifndef TENK_LOADGEN_SESSION_H
#define TENK_LOADGEN_SESSION_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loadgen/arrival.h"
#include "loadgen/options.h"
#include "loadgen/record.h"
#include "loadgen/target.h"

struct session;
struct way;

/* What a worker is to do. Everything is borrowed and must outlive session_run(). */
struct session_setup {
	const struct options *options;
	const struct target *target;
	struct endpoint server;
	const uint32_t *sources;
	size_t source_count;
	const char *url;
	uint64_t seed;       /* of this target's arrivals and bytes */
	unsigned int worker; /* 0 .. options->workers - 1 */
	const uint64_t *trace_ns;
	size_t trace_length;
	struct control *control;
	struct record *record;  /* of the first worker: those of the others follow */
	struct way *way;        /* NULL without --way */
	struct turns *turns;    /* NULL unless there are several targets */
	uint32_t turn_target;   /* with turns: the number of this one */
	const char *server_cpu; /* see server_cpu.h; NULL: none */
};

/*
 * Open this worker's connections, wait for control->start_ns, load the server, and leave the result
 * in the record, with phase WORKER_DONE or WORKER_FAILED.
 */
void session_run(const struct session_setup *setup);

/* How many connections of a population worker number `worker` of `workers` has. */
uint32_t session_share(int64_t connections, unsigned int worker, unsigned int workers);

/* --- for turns.c: a run in slices --------------------------------------------------------- */

/* One turn of the loop: wait for the sockets, but not beyond next_edge_ns, and do what is due. */
void session_turn(struct session *s);

/* The run was ended, or the server has gone. */
bool session_is_over(const struct session *s);

/* The server refuses connections and none is up. */
bool session_is_deserted(const struct session *s);

/* An arrival process of this session's kind and rate, over all workers of the target. */
void session_init_arrivals(const struct session *s, struct arrival *a, uint64_t seed);

/*
 * Begin to send, arrivals since begin_ns; open what is closed. `number` makes one turn's arrivals
 * differ from another's. No window is open yet.
 */
void session_begin_turn(struct session *s, uint64_t begin_ns, uint32_t number);

/*
 * The measured window of this turn begins, and ends; nothing is sent from then on. Requests due in
 * it are counted and recorded as those of a whole run are. Closing does nothing if none is open.
 */
void session_open_window(struct session *s);
void session_close_window(struct session *s);

/*
 * Wait until what was sent is answered, at most --timeout, and count what was not. Slow connections
 * are not waited for: they rest until the next turn, and their requests count as unanswered.
 */
void session_end_turn(struct session *s);

#endif
