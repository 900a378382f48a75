/* SPDX-License-Identifier: MIT
 * How to be on time for an arrival: sleep until shortly before it, then spin. Knows no clock.
 */
#ifndef TENK_LOADGEN_PACE_H
#define TENK_LOADGEN_PACE_H

#include <stdbool.h>
#include <stdint.h>

#include "loadgen/options.h"

struct pace {
	enum pace_kind kind;
	uint64_t lead_ns; /* how long before an arrival sleeping ends and spinning begins */
};

void pace_init(struct pace *p, enum pace_kind kind);

/*
 * Until when to sleep for an arrival at due_ns > now_ns; now_ns, with *spin set, if it is so near
 * that one should spin.
 */
uint64_t pace_until(const struct pace *p, uint64_t due_ns, uint64_t now_ns, bool *spin);

/*
 * A sleep was ended by its time-out, `late_ns` after it. How late that is depends on the machine
 * and its idle states, so it is learnt: spinning begins early enough for the worst of the latest
 * wake-ups, and between 50 us and 1 ms before the arrival.
 */
void pace_learn(struct pace *p, uint64_t late_ns);

#endif
