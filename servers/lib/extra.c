// SPDX-License-Identifier: MIT
/*
 * What is added is a counted number of steps, each of which needs the result of the one before. So
 * its time is that of the chain and nothing else: not of a clock that is read (under virtualisation
 * a reading may cost a microsecond or 20 ns), and hardly of a neighbour on the same core, because a
 * chain leaves most of the core unused.
 *
 * A processor runs code ahead while a chain is waited for. Without fences, a chain of 200 ns seemed
 * a fifth cheaper when called many times in a row than between recv(2) and send(2). With a fence
 * before and after, both say nearly the same: between system calls some per cent more, when caches
 * are cold, and for interrupts that are charged to whoever runs. So the chain is measured a second
 * time, among the requests: one in EVERY is timed, and what the timing itself costs is added.
 */
#include "servers/lib/extra.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/die.h"

enum {
	BATCHES = 15,          /* of which the median counts */
	CALLS_MAX = 4000,      /* per batch */
	BATCH_NS = 1000000,    /* a batch takes about that long at most */
	TRIAL_STEPS = 1 << 18, /* to learn what a step takes: some 0.3 ms */
	EVERY = 256,           /* of so many requests, one is timed */
	SLOW = 2,              /* the clock's first readings for that */
	READINGS = 3,          /* and those after them */
	SAMPLES_LEAST = 30,    /* fewer say less than the calibration */
};

typedef unsigned answer_fn(struct dialogue *d, struct buffer *in, struct buffer *out);

static answer_fn *answer_inner;
static uint64_t steps; /* per request */
static bool sampling;  /* the calibration is over */
static double calibrated_ns, wrapper_ns;

/* What was timed among the requests, by all threads and child processes. */
static struct sampled {
	_Atomic uint64_t count, chain_ns, clock_ns, slow_ns;
} * sampled;

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

static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/*
 * The chain between two readings of the clock. The first readings after a request are slow ones:
 * taken for as quick as the others, they left a microsecond of each sample unknown.
 */
static void spin_timed(void)
{
	uint64_t first, second, before, start, end;

	first = cpu_ns();
	second = cpu_ns();
	before = cpu_ns();
	start = cpu_ns();
	spin(steps);
	end = cpu_ns();
	atomic_fetch_add_explicit(&sampled->slow_ns, second - first, memory_order_relaxed);
	atomic_fetch_add_explicit(&sampled->clock_ns, start - before, memory_order_relaxed);
	atomic_fetch_add_explicit(&sampled->chain_ns, end - start, memory_order_relaxed);
	atomic_fetch_add_explicit(&sampled->count, 1, memory_order_relaxed);
}

/* Whether this request is to be timed. Threads begin anywhere: many answer fewer than EVERY. */
static bool is_sample(void)
{
	static _Thread_local unsigned left;

	if (!sampling)
		return false;
	if (left == 0)
		left = 1 + (unsigned)gettid() % EVERY;
	if (--left > 0)
		return false;
	left = EVERY;
	return true;
}

static unsigned answer(struct dialogue *d, struct buffer *in, struct buffer *out)
{
	unsigned answered = answer_inner(d, in, out);

	for (unsigned i = 0; i < answered; i++) {
		if (is_sample())
			spin_timed();
		else
			spin(steps);
	}
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

/* The ns that a chain of `n` steps takes, called so many times. */
static double time_chain(uint64_t n, int calls)
{
	double batches[BATCHES];

	for (int i = 0; i < BATCHES; i++) {
		uint64_t start = cpu_ns();

		for (int k = 0; k < calls; k++)
			spin(n);
		batches[i] = (double)(cpu_ns() - start) / calls;
	}
	return median(batches);
}

static int calls_of(int ns)
{
	return BATCH_NS / ns < CALLS_MAX ? BATCH_NS / ns : CALLS_MAX;
}

/* What answer() costs more than the protocol it wraps, in ns. */
static double time_extra(int ns)
{
	double batches[BATCHES];
	int calls = calls_of(ns);

	for (int i = 0; i < BATCHES; i++) {
		double bare = time_call(answer_nothing, CALLS_MAX);

		batches[i] = time_call(answer, calls) - bare;
	}
	return median(batches);
}

const struct proto *extra_proto(const struct proto *inner, int ns)
{
	static struct proto with_extra;
	double fixed, chain;

	assert(ns >= 1 && ns <= EXTRA_NS_MAX);
	if (!sampled)
		sampled = mmap(NULL, sizeof(*sampled), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (sampled == MAP_FAILED)
		die_errno("mmap", "free some memory");
	*sampled = (struct sampled){0};
	sampling = false;
	with_extra = *inner;
	with_extra.answer = answer;
	answer_inner = answer_nothing;
	/* The call and the fences cost something too: the steps are for what is left of `ns`. */
	steps = 0;
	fixed = time_extra(1);
	steps = ns > fixed ? (uint64_t)((ns - fixed) / (time_chain(TRIAL_STEPS, 1) / TRIAL_STEPS) +
					0.5)
			   : 0;
	calibrated_ns = time_extra(ns);
	chain = time_chain(steps, calls_of(ns));
	wrapper_ns = calibrated_ns > chain ? calibrated_ns - chain : 0;
	answer_inner = inner->answer;
	sampling = true;
	return &with_extra;
}

double extra_ns(void)
{
	uint64_t count = sampled ? atomic_load(&sampled->count) : 0;
	double slow, clock, chain;

	if (count < SAMPLES_LEAST)
		return calibrated_ns;
	slow = (double)atomic_load(&sampled->slow_ns) / (double)count;
	clock = (double)atomic_load(&sampled->clock_ns) / (double)count;
	chain = (double)atomic_load(&sampled->chain_ns) / (double)count - clock;
	return wrapper_ns + chain + (SLOW * slow + READINGS * clock) / EVERY;
}
