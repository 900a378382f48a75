/* SPDX-License-Identifier: MIT
 * Taking an edge: the replies of all workers of a target and its server's CPU clock, read at nearly
 * the same moment. Between two edges one divided by the other is the cost of a request.
 */
#ifndef TENK_LOADGEN_EDGE_H
#define TENK_LOADGEN_EDGE_H

#include <stdint.h>

#include "loadgen/record.h"
#include "loadgen/server_cpu.h"
#include "loadgen/slice.h"

/* Right replies and failures of `workers` records so far, into *r. */
void edge_sum_replies(const struct record *records, uint32_t workers, struct reading *r);

/*
 * The clock, the replies, the server's CPU time, and how long reading them took. If that was more
 * than 20 us it is done again, at most three times, and the shortest is kept. All else in it is 0.
 */
struct reading edge_take(const struct record *records, uint32_t workers,
			 const struct server_cpu *server);

/* The kernel's tick, in ns: so far behind the CPU clock of another process may be for each of its
 * threads that runs. */
uint64_t edge_tick_ns(void);

#endif
