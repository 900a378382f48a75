// SPDX-License-Identifier: MIT
/*
 * What is added is a counted number of steps, each of which needs the result of the one before. So
 * its time is that of the chain and nothing else: not of a clock that is read (under virtualisation
 * a reading may cost a microsecond or 20 ns), and hardly of a neighbour on the same core, because a
 * chain leaves most of the core unused.
 *
 * A processor runs code ahead while a chain is waited for. Without fences, a chain of 200 ns seemed
 * a fifth cheaper when called many times in a row than between recv(2) and send(2). With a fence
 * before and after, both say the same, so what is measured here is what a request will pay.
 */
#include "servers/lib/extra.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>

#include "common/clock.h"

enum {
	BATCHES = 15,          /* of which the median counts */
	CALLS_MAX = 4000,      /* per batch */
	BATCH_NS = 1000000,    /* a batch takes about that long at most */
	TRIAL_STEPS = 1 << 18, /* to learn what a step takes: some 0.3 ms */
};

typedef unsigned answer_fn(struct dialogue *d, struct buffer *in, struct buffer *out);

static answer_fn *answer_inner;
static uint64_t steps; /* per request */

static inline void fence(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__asm__ volatile("lfence" ::: "memory");
#elif defined(__aarch64__)
	__asm__ volatile("isb" ::: "memory");
#endif
}

static void spin(uint64_t n)
{
	uint64_t x = n;

	fence();
	while (n--) {
		x = x * 6364136223846793005U + 1;
		__asm__ volatile("" : "+r"(x)); /* every step is taken, one after the other */
	}
	fence();
}

static unsigned answer(struct dialogue *d, struct buffer *in, struct buffer *out)
{
	unsigned answered = answer_inner(d, in, out);

	for (unsigned i = 0; i < answered; i++)
		spin(steps);
	return answered;
}

/* --- calibration ---------------------------------------------------------------------------- */

/* Answers one request for free. */
static unsigned answer_nothing(struct dialogue *d, struct buffer *in, struct buffer *out)
{
	(void)d;
	(void)in;
	(void)out;
	return 1;
}

static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* CPU time of one call, in ns. Called through a pointer, as a connection calls its protocol. */
static double time_call(answer_fn *called, int calls)
{
	answer_fn *volatile call = called;
	uint64_t start = cpu_ns();

	for (int i = 0; i < calls; i++)
		call(NULL, NULL, NULL);
	return (double)(cpu_ns() - start) / calls;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double values[static BATCHES])
{
	qsort(values, BATCHES, sizeof(*values), by_size);
	return values[BATCHES / 2];
}

/* The ns that one step takes. */
static double time_step(void)
{
	double batches[BATCHES];

	for (int i = 0; i < BATCHES; i++) {
		uint64_t start = cpu_ns();

		spin(TRIAL_STEPS);
		batches[i] = (double)(cpu_ns() - start) / TRIAL_STEPS;
	}
	return median(batches);
}

/* What answer() costs more than the protocol it wraps, in ns. */
static double time_extra(int ns)
{
	int calls = BATCH_NS / ns < CALLS_MAX ? BATCH_NS / ns : CALLS_MAX;
	double batches[BATCHES];

	for (int i = 0; i < BATCHES; i++) {
		double bare = time_call(answer_nothing, CALLS_MAX);

		batches[i] = time_call(answer, calls) - bare;
	}
	return median(batches);
}

const struct proto *extra_proto(const struct proto *inner, int ns, double *measured_ns)
{
	static struct proto with_extra;
	double fixed;

	assert(ns >= 1 && ns <= EXTRA_NS_MAX);
	with_extra = *inner;
	with_extra.answer = answer;
	answer_inner = answer_nothing;
	/* The call and the fences cost something too: the steps are for what is left of `ns`. */
	steps = 0;
	fixed = time_extra(1);
	steps = ns > fixed ? (uint64_t)((ns - fixed) / time_step() + 0.5) : 0;
	*measured_ns = time_extra(ns);
	answer_inner = inner->answer;
	return &with_extra;
}
