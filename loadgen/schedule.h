/* SPDX-License-Identifier: MIT
 * When several targets take turns: in which order, how long, how often. Pure functions.
 *
 * A pass is the time in which every connection has one request answered: connections / rate. What
 * a slice must average over (the order of the connections, caches, batches) comes round once a
 * pass, so slices and settling are counted in passes.
 */
#ifndef TENK_LOADGEN_SCHEDULE_H
#define TENK_LOADGEN_SCHEDULE_H

#include <stddef.h>
#include <stdint.h>

#include "loadgen/options.h"

/* In the warm-up, which learns the passes: to settle, and at most so many to measure. */
enum {
	WARM_SETTLE_PASSES = 5,
	WARM_SLICE_PASSES = 10,
};

#define SLICE_LEAST_NS  UINT64_C(50000000)
#define SETTLE_LEAST_NS UINT64_C(20000000)

/* How long one target's turn is: load for settle_ns, then measure for slice_ns. */
struct timing {
	uint64_t settle_ns, slice_ns;
};

/* The targets 0 .. n - 1 in the order of one round: a permutation, drawn from seed and round. */
void schedule_order(uint64_t seed, uint64_t round, uint32_t n, uint32_t order[]);

/* The pass of `connections` that had `replies` in elapsed_ns, at most 1 h; 0 if there was no reply. */
uint64_t schedule_pass_ns(uint64_t connections, uint64_t replies, uint64_t elapsed_ns);

/*
 * How long after its last reply a server that waits is taken to be asleep, with so many busy and idle
 * connections: 0.1 ms, 3 us for each busy and 1 us for each idle one; at most 100 ms. The call of
 * poll(2) that finds nothing ready joins the wait queue of each before it sleeps: with 10,000 that
 * took 3.4 to 6.3 ms. A server of completions first asks for the next request of each that it has
 * answered.
 */
uint64_t schedule_rest_ns(uint64_t busy, uint64_t idle);

/*
 * A target's timing from the options and its pass; "auto" is max(50 ms, --slice-passes) for a slice
 * and max(20 ms, half of --slice-passes) to settle.
 */
struct timing schedule_timing(const struct options *o, uint64_t pass_ns);

/*
 * How many rounds the run has, at least 1: --rounds, or as many as --duration holds, which is the
 * sum of all slices of all targets. Where it does not hold a single round, "auto" slices and
 * settling times are shortened in proportion until it does.
 */
uint32_t schedule_rounds(const struct options *o, struct timing timings[], size_t n);

/* The most rounds that schedule_rounds() can say, whatever the passes. */
uint32_t schedule_rounds_most(const struct options *o);

/* Together: into how many slices of equal length the window is cut, from the longest pass. */
uint32_t schedule_cuts(const struct options *o, uint64_t pass_ns);

#endif
