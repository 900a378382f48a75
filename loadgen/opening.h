/* SPDX-License-Identifier: MIT
 * Which connections are to be opened, and when the next one: paced, and put off after failures.
 * Knows neither sockets nor the clock.
 */
#ifndef TENK_LOADGEN_OPENING_H
#define TENK_LOADGEN_OPENING_H

#include <stdbool.h>
#include <stdint.h>

#include "loadgen/ring.h"

struct opening {
	struct ring queue;
	uint64_t at_ns;      /* none before this */
	uint64_t backoff_ns; /* 0, or how long the last failure put off the next one */
	uint64_t gap_ns;     /* between two; 0: unpaced */
};

/* rate_rps connections per second over all `workers`; 0: unpaced. */
void opening_set_rate(struct opening *o, double rate_rps, unsigned int workers);

/* Take the next one off the queue if it is due at now_ns. */
bool opening_take(struct opening *o, uint64_t now_ns, uint32_t *item);

/*
 * Something failed that is likely to fail again: wait 1 ms before the next connect, twice as long
 * each time, at most 250 ms. Failures while waiting already count as one. Setting backoff_ns to 0
 * says that all is well again.
 */
void opening_back_off(struct opening *o, uint64_t now_ns);

#endif
