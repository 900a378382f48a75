// SPDX-License-Identifier: MIT
#include "loadgen/window.h"

void window_plan(struct window *w, uint64_t from_ns, uint64_t length_ns)
{
	w->from_ns = from_ns;
	w->length_ns = length_ns;
	w->edge_ns = from_ns;
}

void window_open(struct window *w, uint64_t now_ns)
{
	w->from_ns = now_ns;
	w->length_ns = UINT64_MAX / 2;
	w->before_ns = w->integral_ns;
}

void window_close(struct window *w, uint64_t now_ns)
{
	w->length_ns = now_ns - w->from_ns;
	w->within_ns = w->integral_ns - w->before_ns;
}

uint64_t window_inflight(const struct window *w)
{
	return w->edge_ns == UINT64_MAX ? w->within_ns : w->integral_ns - w->before_ns;
}
