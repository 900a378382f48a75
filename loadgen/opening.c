// SPDX-License-Identifier: MIT
#include "loadgen/opening.h"

#include "common/clock.h"

#define BACKOFF_FIRST_NS NS_PER_MS
#define BACKOFF_LAST_NS  (250 * NS_PER_MS)
#define BEHIND_MOST_NS   (10 * NS_PER_MS) /* later than this is not made up for in a burst */

void opening_set_rate(struct opening *o, double rate_rps, unsigned int workers)
{
	o->gap_ns = rate_rps > 0 ? (uint64_t)(1e9 / rate_rps * workers) : 0;
}

bool opening_take(struct opening *o, uint64_t now_ns, uint32_t *item)
{
	if (!o->queue.length || now_ns < o->at_ns)
		return false;
	*item = ring_pop(&o->queue);
	o->at_ns += o->gap_ns;
	if (o->at_ns + BEHIND_MOST_NS < now_ns)
		o->at_ns = now_ns;
	return true;
}

void opening_back_off(struct opening *o, uint64_t now_ns)
{
	if (now_ns < o->at_ns)
		return;
	o->backoff_ns = o->backoff_ns ? 2 * o->backoff_ns : BACKOFF_FIRST_NS;
	if (o->backoff_ns > BACKOFF_LAST_NS)
		o->backoff_ns = BACKOFF_LAST_NS;
	o->at_ns = now_ns + o->backoff_ns;
}
