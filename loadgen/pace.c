// SPDX-License-Identifier: MIT
#include "loadgen/pace.h"

#include "common/clock.h"

#define LEAD_FIRST_NS (200 * NS_PER_US)
#define LEAD_LEAST_NS (50 * NS_PER_US)
#define LEAD_MOST_NS  NS_PER_MS

void pace_init(struct pace *p, enum pace_kind kind)
{
	*p = (struct pace){.kind = kind, .lead_ns = LEAD_FIRST_NS};
}

uint64_t pace_until(const struct pace *p, uint64_t due_ns, uint64_t now_ns, bool *spin)
{
	uint64_t lead_ns = p->kind == PACE_HYBRID ? p->lead_ns : 0;

	*spin = p->kind == PACE_SPIN || due_ns - now_ns <= lead_ns;
	return *spin ? now_ns : due_ns - lead_ns;
}

void pace_learn(struct pace *p, uint64_t late_ns)
{
	uint64_t want_ns = late_ns + late_ns / 2;

	if (want_ns > LEAD_MOST_NS)
		want_ns = LEAD_MOST_NS;
	p->lead_ns -= p->lead_ns / 64; /* forgets what has not happened for a while */
	if (p->lead_ns < want_ns)
		p->lead_ns = want_ns;
	if (p->lead_ns < LEAD_LEAST_NS)
		p->lead_ns = LEAD_LEAST_NS;
}
