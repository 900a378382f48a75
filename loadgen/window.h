/* SPDX-License-Identifier: MIT
 * The measured window, and the integral over it of the requests in flight. Knows no clock: times
 * are given to it, in nanoseconds, and never fall.
 *
 * Little's law needs the requests in flight without the help of the histograms, so the integral of
 * their number over time is kept, brought up to date before each change of the number.
 */
#ifndef TENK_LOADGEN_WINDOW_H
#define TENK_LOADGEN_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

struct window {
	uint64_t from_ns, length_ns; /* length 0: nothing is in it */
	uint64_t edge_ns;            /* of a planned window, the next one; UINT64_MAX: none */
	uint64_t integral_ns;        /* of the number in flight, since the beginning ... */
	uint64_t until_ns;           /* ... until then */
	uint64_t before_ns;          /* the integral when the window began */
	uint64_t within_ns;          /* once it has ended, the integral over the window */
};

static inline bool window_has(const struct window *w, uint64_t ns)
{
	return ns - w->from_ns < w->length_ns;
}

static inline uint64_t window_end(const struct window *w)
{
	return w->from_ns + w->length_ns;
}

/*
 * The next edge has been passed: what lies before it is known only now. Here, and not in window.c,
 * because a call from a request's path, even one that is hardly ever made, costs saved registers.
 */
static inline void window_pass_edge(struct window *w, uint64_t in_flight)
{
	uint64_t at_edge = w->integral_ns + in_flight * (w->edge_ns - w->until_ns);

	if (w->edge_ns == w->from_ns && w->length_ns) {
		w->before_ns = at_edge;
		w->edge_ns = window_end(w);
	} else {
		w->within_ns = at_edge - w->before_ns;
		w->edge_ns = UINT64_MAX;
	}
}

/* `in_flight` requests were in flight from the last time on until now_ns. */
static inline void window_account(struct window *w, uint64_t in_flight, uint64_t now_ns)
{
	while (__builtin_expect(now_ns >= w->edge_ns, 0)) {
		window_pass_edge(w, in_flight);
		/* Else the compiler holds for this path, in registers to be saved, what it saw. */
		__asm__ volatile("" ::: "memory");
	}
	w->integral_ns += in_flight * (now_ns - w->until_ns);
	w->until_ns = now_ns;
}

/* The window is to be from_ns … from_ns + length_ns, not before what has been accounted for. */
void window_plan(struct window *w, uint64_t from_ns, uint64_t length_ns);

/* Or it begins now, and ends now; account for the requests in flight first. */
void window_open(struct window *w, uint64_t now_ns);
void window_close(struct window *w, uint64_t now_ns);

/* The integral over the window; of a planned one that was cut short, so far. */
uint64_t window_inflight(const struct window *w);

#endif
