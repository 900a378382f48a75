// SPDX-License-Identifier: MIT
#include "loadgen/slice.h"

static struct cpu_time cpu_change(const struct cpu_time *from, const struct cpu_time *to)
{
	return (struct cpu_time){
		.known = from->known && to->known,
		.split = from->split && to->split,
		.total_ns = to->total_ns - from->total_ns,
		.user_ns = to->user_ns - from->user_ns,
		.system_ns = to->system_ns - from->system_ns,
	};
}

/* Counters of spinning and of CPU time are not read at the same instant. */
static uint64_t difference(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

struct slice_change slice_change(const struct slice *s)
{
	const struct reading *from = &s->from, *to = &s->to;
	uint64_t spin_ns = to->spin_ns - from->spin_ns;

	return (struct slice_change){
		.wall_ns = to->at_ns - from->at_ns,
		.replies = to->replies - from->replies,
		.failures = to->failures - from->failures,
		.server = cpu_change(&from->server, &to->server),
		.skew_ns = from->skew_ns > to->skew_ns ? from->skew_ns : to->skew_ns,
		.client_ns = difference(to->client_ns - from->client_ns, spin_ns),
		.spin_ns = spin_ns,
		.delay_ns = to->delay_ns - from->delay_ns,
		.busy_ns = to->busy_ns - from->busy_ns,
		.steal_ns = to->steal_ns - from->steal_ns,
	};
}

struct whole slice_whole(const struct slice *s)
{
	return (struct whole){
		.replies = s->ended.replies - s->begun.replies,
		.server = cpu_change(&s->begun.server, &s->ended.server),
	};
}

uint64_t slice_foreign_ns(uint64_t busy_ns, uint64_t client_ns, uint64_t server_ns)
{
	return difference(busy_ns, client_ns + server_ns);
}

struct quantiles slice_quantiles(const struct hist *h)
{
	return (struct quantiles){
		.count = hist_count(h),
		.p50_ns = hist_percentile(h, 50),
		.p90_ns = hist_percentile(h, 90),
		.p99_ns = hist_percentile(h, 99),
		.p99_9_ns = hist_percentile(h, 99.9),
		.max_ns = hist_max(h),
	};
}
