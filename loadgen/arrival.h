/* SPDX-License-Identifier: MIT
 * The open loop's arrival process: when each request is due, in nanoseconds after the process
 * began.
 *
 * One aggregate process per run, a pure function of kind, rate and seed: it knows no clock, no
 * connection and no server, so a slow server cannot slow it down. Workers share it by each walking
 * the whole of it and taking every n-th arrival: the union is the same whatever their number.
 */
#ifndef TENK_LOADGEN_ARRIVAL_H
#define TENK_LOADGEN_ARRIVAL_H

#include <stddef.h>
#include <stdint.h>

#include "loadgen/options.h"

/* Past every arrival: the trace is over. */
#define ARRIVAL_NEVER UINT64_MAX

struct arrival {
	enum arrival_kind kind;
	double mean_gap_ns;
	uint64_t random[4]; /* xoshiro256++ */
	uint64_t index;     /* of the next arrival in the aggregate process */
	double at_ns;       /* Poisson: time of the latest arrival */
	const uint64_t *trace_ns;
	size_t trace_length;
	unsigned int share, shares;
};

/*
 * A process of rate_rps > 0 arrivals per second. Fixed: arrival i is due at i / rate. Poisson: gaps
 * are independent and exponential with mean 1 / rate; the first gap precedes the first arrival.
 */
void arrival_init(struct arrival *a, enum arrival_kind kind, double rate_rps, uint64_t seed);

/* A process that repeats rising times, borrowed from the caller. */
void arrival_init_trace(struct arrival *a, const uint64_t *times_ns, size_t length);

/* Take only the arrivals whose number modulo `shares` is `share`. Call before arrival_next(). */
void arrival_share(struct arrival *a, unsigned int share, unsigned int shares);

/* The next arrival; ARRIVAL_NEVER after the last one of a trace. */
uint64_t arrival_next(struct arrival *a);

/*
 * How many of the arrivals that arrival_next() would give from now on are due in
 * from_ns <= time < until_ns. The process must not be used afterwards.
 *
 * Fixed arrivals are computed, a trace's are looked up. Poisson arrivals must be drawn: at most
 * `most_draws` are, of the aggregate process. If that does not reach until_ns, the rest is given by
 * its expectation, time left / mean gap / shares, whose standard deviation is its square root;
 * *estimated says how many of the result that are, else 0.
 */
uint64_t arrival_count(struct arrival *a, uint64_t from_ns, uint64_t until_ns, uint64_t most_draws,
		       uint64_t *estimated);

enum {
	TRACE_LINE = 4096,     /* longest line of a trace, bytes, its end included */
	TRACE_LINES = 1 << 26, /* most lines of a trace; their times take 512 MiB */
};

/*
 * Read arrival times from a file: one decimal number of seconds per line, not falling; empty lines
 * and lines from '#' on are skipped. At most TRACE_LINES lines are read, of less than TRACE_LINE
 * bytes each, so that a file without end is refused. Returns an array the caller frees, its length
 * in *length, or NULL and a reason in `reason`, in words that follow "... is not".
 */
uint64_t *arrival_read_trace(const char *path, size_t *length, char *reason, size_t reason_size);

#endif
