/* SPDX-License-Identifier: MIT
 * The worker processes: starting, watching and stopping them, and adding up what they recorded.
 */
#ifndef TENK_LOADGEN_POOL_H
#define TENK_LOADGEN_POOL_H

#include <stdbool.h>
#include <stddef.h>

#include "loadgen/result.h"
#include "loadgen/session.h"

/* What differs from target to target. */
struct pool_target {
	struct target target;
	struct endpoint server;
	const uint32_t *sources;
	size_t source_count;
};

struct pool {
	struct session_setup setup;        /* what is the same for all; the rest is filled in */
	const struct pool_target *targets; /* options->urls.count of them */
	const int *cpus;                   /* to pin workers to, in turn; NULL: not pinned */
	size_t cpu_count;
	bool progress; /* draw a progress line on standard error */
};

/*
 * Make the run. Fills *r, which the caller frees with pool_free(). Returns 0,
 * or the exit status after a failed set-up, with its message printed. No worker outlives the call,
 * nor the process should it be killed.
 */
int pool_run(struct pool *pool, struct result *r);
void pool_free(struct result *r);

#endif
