/* SPDX-License-Identifier: MIT
 * A slice: what one target did between two edges, each edge a reading of all counters at nearly
 * the same moment.
 */
#ifndef TENK_LOADGEN_SLICE_H
#define TENK_LOADGEN_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loadgen/hist.h"
#include "loadgen/server_cpu.h"

/* An edge. Counters since some beginning of their own; only differences mean something. */
struct reading {
	uint64_t at_ns;   /* CLOCK_MONOTONIC before the counters were read */
	uint64_t skew_ns; /* until replies and the server's clock had been read */
	uint64_t replies; /* right ones, all workers of the target, all populations */
	uint64_t failures;
	uint64_t sent, due; /* together only */
	struct cpu_time server;
	/* Read after skew_ns: of all workers of the target, and of the machine in 10 ms ticks. */
	uint64_t client_ns, spin_ns, delay_ns;
	uint64_t busy_ns, steal_ns;
};

/* Percentiles of response times, HIST_INFINITE possible; count 0: there were none. */
struct quantiles {
	uint64_t count, p50_ns, p90_ns, p99_ns, p99_9_ns, max_ns;
};

/*
 * The whole turn: from begin to all answered, when the server rests and its clock is therefore
 * exact. Replies as in an edge.
 */
struct whole {
	uint64_t replies;
	struct cpu_time server;
};

struct slice {
	uint32_t done; /* atomic: all of it has been written */
	uint32_t target, round;
	bool warmup;
	uint64_t begin_ns;   /* the first request was sent; turns */
	uint64_t drained_ns; /* the last reply was there */
	struct reading from, to;
	uint64_t sent;        /* requests due in the slice and sent */
	uint64_t due;         /* arrivals in the slice, sent or not */
	bool has_counts;      /* sent, due and latency were counted: not in a warm-up */
	bool idle_known;      /* the next two are */
	uint64_t idle_ns;     /* from this target's last drained_ns to begin_ns */
	uint64_t idle_cpu_ns; /* what its server used in it; valid with idle_cpu_known */
	bool idle_cpu_known;
	struct quantiles latency;
	size_t packed_at;          /* where turns keeps the encoded histogram behind `latency` */
	uint32_t packed;           /* how long that is; 0: there was no room for it */
	struct whole begun, ended; /* turns */
};

/* What of a slice is a difference of its two edges. */
struct slice_change {
	uint64_t wall_ns, replies, failures;
	struct cpu_time server;
	uint64_t skew_ns;   /* the longer of both */
	uint64_t client_ns; /* without spinning towards arrivals */
	uint64_t spin_ns, delay_ns;
	uint64_t busy_ns, steal_ns;
};

struct slice_change slice_change(const struct slice *s);

/* The change over the whole turn; not known together. */
struct whole slice_whole(const struct slice *s);

/* busy - known, and 0 where ticks make it negative. */
uint64_t slice_foreign_ns(uint64_t busy_ns, uint64_t client_ns, uint64_t server_ns);

struct quantiles slice_quantiles(const struct hist *h);

#endif
