/* SPDX-License-Identifier: MIT
 * Counters, one set per thread or forked child, summed at the end.
 *
 * They live in memory shared with forked children. Each set has one writer, so adding is a plain
 * load and store: no lock, no locked instruction on the hot path.
 */
#ifndef TENK_STATS_H
#define TENK_STATS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct stats {
	uint64_t connections; /* accepted */
	uint64_t requests;    /* answered; for echo, receives answered */
	uint64_t bytes_in;
	uint64_t bytes_out;
	uint64_t waits;  /* returns of the model's waiting call; 0 where recv(2) is the wait */
	uint64_t events; /* events or completions those calls returned */
	uint64_t eagain; /* recv(2) or send(2) tried in vain */
};

/* Before any thread or child: room for `writers` threads and children at a time. */
void stats_init(int writers);

/* The calling thread's set. Claimed at the first call, given back when the thread ends. */
struct stats *stats_mine(void);

/* Give the set back: for a forked child, before it exits. What it counted stays in the sum. */
void stats_leave(void);

/* The waiting call returned `events` (negative: none). */
void stats_waited(int events);

/* The sum over all sets, those of ended threads and children included. */
struct stats stats_sum(void);

/*
 * What each of n workers counted, largest first: requests[] and connections[], sorted on their own.
 * Where fewer counted any, the rest are 0; where more did (a worker's place was taken by another),
 * the smallest are left out. It is a count of workers only where these live as long as the server.
 */
void stats_by_worker(int n, uint64_t *requests, uint64_t *connections);

static inline void stats_add(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

#ifdef __cplusplus
}
#endif

#endif
