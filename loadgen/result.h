/* SPDX-License-Identifier: MIT
 * The result of a run: what the verdict judges and the reports print.
 */
#ifndef TENK_LOADGEN_RESULT_H
#define TENK_LOADGEN_RESULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loadgen/host.h"
#include "loadgen/options.h"
#include "loadgen/record.h"
#include "loadgen/slice.h"
#include "loadgen/target.h"
#include "loadgen/way.h"

/* One interval of the series; times since the window began. */
struct interval {
	uint64_t start_ns, end_ns;
	uint64_t replies;  /* right replies received in it */
	uint64_t failures; /* requests that failed in it */
	/* Of the response times of requests that were answered in it; HIST_INFINITE possible. */
	uint64_t p50_ns, p90_ns, p99_ns, max_ns;
};

struct turns;

/* Of one target; or, with several, one of each and one of all, which holds the others. */
struct result {
	const struct options *options;
	const struct target *target;
	const char *url;
	struct host_facts host;
	struct host_counters disturbance; /* change over the measured window */
	struct way *way;                  /* NULL without --way */
	struct record *total;             /* the workers' records, added up */
	struct interval *intervals;
	size_t interval_count;
	uint64_t started_realtime_ns; /* CLOCK_REALTIME at the beginning of the window */
	double warmup_s;              /* from the load's beginning to the window's */
	bool warm;                    /* in it all connections had --warmup-passes */
	double window_s;              /* length of the window; less than --duration if cut short */
	double busiest_worker;        /* its CPU time without pacing / window, 0..1 */
	double most_starved;    /* the worker that waited longest for a CPU: that / window, 0..1 */
	double most_absent;     /* the worker that did nothing for longest: that / window, 0..1 */
	uint64_t workers_ended; /* workers whose record is final */
	bool interrupted;
	bool measured;          /* the window began */
	struct result *targets; /* of all only: those of the targets */
	size_t target_count;    /* 0 with one target */
	struct turns *turns;    /* NULL with one target */
	unsigned int number;    /* of a target: its place in the order of the URLs */
};

/* dst += src, except for phase and messages: the first message is kept. */
void record_add(struct record *dst, const struct record *src);

/* Jain's fairness index over the active connections, (sum x)^2 / (n sum x^2); 0 if none. */
double result_jain(const struct result *r);

/*
 * With one URL and --server-cpu: what changed between the edges of the window. All 0 and not known
 * where the window did not begin.
 */
struct slice_change result_server(const struct result *r);

/* Requests of the window, sent and unsent; failed ones; right replies per second. */
uint64_t result_intended(const struct result *r);
uint64_t result_failed(const struct tally *t);
double result_offered_rps(const struct result *r);
double result_achieved_rps(const struct result *r);

/* Is the window as long as asked for, to a thousandth? In turns: was every slice measured? */
bool result_window_as_asked(const struct result *r);

/* Did the run go its whole way: not interrupted, the window as asked, all workers' records final? */
bool result_complete(const struct result *r);

bool result_open_loop(const struct result *r);

#endif
