// SPDX-License-Identifier: MIT
#include "loadgen/schedule.h"

#include "loadgen/random.h"

#define PASS_MOST_NS  3600e9 /* the longest slice anybody can ask for */
#define REST_LEAST_NS UINT64_C(100000)
#define REST_EACH_NS  UINT64_C(1000)
#define REST_BUSY_NS  UINT64_C(3000)
#define REST_MOST_NS  UINT64_C(100000000)

static uint64_t longer(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Fisher and Yates; the remainder of a 64-bit word is even to one part in 2^58. */
void schedule_order(uint64_t seed, uint64_t round, uint32_t n, uint32_t order[])
{
	uint64_t state = random_seed(seed, round + 1);

	for (uint32_t i = 0; i < n; i++)
		order[i] = i;
	for (uint32_t i = n; i > 1; i--) {
		uint32_t j = (uint32_t)(random_word(&state) % i), swap = order[i - 1];

		order[i - 1] = order[j];
		order[j] = swap;
	}
}

uint64_t schedule_pass_ns(uint64_t connections, uint64_t replies, uint64_t elapsed_ns)
{
	double pass_ns = replies ? (double)elapsed_ns * (double)connections / (double)replies : 0;

	return (uint64_t)(pass_ns < PASS_MOST_NS ? pass_ns : PASS_MOST_NS);
}

uint64_t schedule_rest_ns(uint64_t busy, uint64_t idle)
{
	uint64_t most = (REST_MOST_NS - REST_LEAST_NS) / 2;

	if (busy >= most / REST_BUSY_NS || idle >= most / REST_EACH_NS)
		return REST_MOST_NS;
	return REST_LEAST_NS + REST_BUSY_NS * busy + REST_EACH_NS * idle;
}

struct timing schedule_timing(const struct options *o, uint64_t pass_ns)
{
	uint64_t passes_ns = (uint64_t)o->slice_passes * pass_ns;
	struct timing t = {
		.settle_ns = longer(SETTLE_LEAST_NS, passes_ns / 2),
		.slice_ns = longer(SLICE_LEAST_NS, passes_ns),
	};

	if (o->settle_ns != DURATION_AUTO)
		t.settle_ns = (uint64_t)o->settle_ns;
	if (o->slice_ns != DURATION_AUTO)
		t.slice_ns = (uint64_t)o->slice_ns;
	return t;
}

uint32_t schedule_rounds(const struct options *o, struct timing timings[], size_t n)
{
	uint64_t round_ns = 0, all_ns = (uint64_t)o->duration_ns;
	double part;

	if (o->rounds)
		return (uint32_t)o->rounds;
	for (size_t i = 0; i < n; i++)
		round_ns += timings[i].slice_ns;
	if (round_ns <= all_ns)
		return (uint32_t)(all_ns / round_ns);
	part = (double)all_ns / (double)round_ns;
	for (size_t i = 0; i < n; i++) {
		if (o->slice_ns == DURATION_AUTO)
			timings[i].slice_ns = (uint64_t)((double)timings[i].slice_ns * part);
		if (o->settle_ns == DURATION_AUTO)
			timings[i].settle_ns = (uint64_t)((double)timings[i].settle_ns * part);
	}
	return 1;
}

uint32_t schedule_rounds_most(const struct options *o)
{
	uint64_t least = o->slice_ns == DURATION_AUTO ? SLICE_LEAST_NS : (uint64_t)o->slice_ns;

	if (o->rounds)
		return (uint32_t)o->rounds;
	return (uint32_t)((uint64_t)o->duration_ns / (least * o->urls.count)) + 1;
}

uint32_t schedule_cuts(const struct options *o, uint64_t pass_ns)
{
	uint64_t cuts = (uint64_t)o->duration_ns / schedule_timing(o, pass_ns).slice_ns;

	return cuts ? (uint32_t)cuts : 1;
}
