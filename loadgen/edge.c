// SPDX-License-Identifier: MIT
#include "loadgen/edge.h"

#include <time.h>

#include "common/clock.h"

enum { EDGE_TRIES = 3 };

#define EDGE_SKEW_NS (20 * NS_PER_US) /* an edge that took longer is read again */

void edge_sum_replies(const struct record *records, uint32_t workers, struct reading *r)
{
	r->replies = r->failures = 0;
	for (uint32_t i = 0; i < workers; i++) {
		const struct record *one = &records[i];

		r->replies += __atomic_load_n(&one->replies, __ATOMIC_RELAXED) -
			      __atomic_load_n(&one->bad_replies, __ATOMIC_RELAXED);
		r->failures += __atomic_load_n(&one->failures, __ATOMIC_RELAXED);
	}
}

/* The counters that must belong to the same moment. */
static struct reading look(const struct record *records, uint32_t workers,
			   const struct server_cpu *server)
{
	struct reading r = {.at_ns = clock_now_ns()};

	edge_sum_replies(records, workers, &r);
	r.server = server_cpu_read(server);
	r.skew_ns = clock_now_ns() - r.at_ns;
	return r;
}

struct reading edge_take(const struct record *records, uint32_t workers,
			 const struct server_cpu *server)
{
	struct reading best = look(records, workers, server), again;

	/* Maybe something else ran in between; or the clock of so many threads does take so long. */
	for (int tries = 1; best.skew_ns > EDGE_SKEW_NS && tries < EDGE_TRIES; tries++) {
		again = look(records, workers, server);
		if (again.skew_ns < best.skew_ns)
			best = again;
	}
	return best;
}

uint64_t edge_tick_ns(void)
{
	struct timespec tick = {0};

	/* The coarse clocks go on by one tick at a time, and so does the time of a running thread. */
	clock_getres(CLOCK_MONOTONIC_COARSE, &tick);
	return (uint64_t)tick.tv_sec * NS_PER_S + (uint64_t)tick.tv_nsec;
}
