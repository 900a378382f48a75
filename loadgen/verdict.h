/* SPDX-License-Identifier: MIT
 * May a result be believed? A pure function of the result; the thresholds and why they are what
 * they are stand in docs/loadgen.md.
 */
#ifndef TENK_LOADGEN_VERDICT_H
#define TENK_LOADGEN_VERDICT_H

#include <stddef.h>

#include "loadgen/result.h"

/* In rising order of doubt; the worst reason decides. */
enum verdict_status { VERDICT_VALID, VERDICT_SUSPECT, VERDICT_VOID };

/* What the program exits with after a run. */
enum {
	EXIT_VALID = 0,
	EXIT_SUSPECT = 3,
	EXIT_VOID = 4,
	EXIT_INTERRUPTED = 130,
};

enum { VERDICT_REASONS = 19 };

struct reason {
	enum verdict_status status; /* what this reason alone makes the verdict */
	const char *code;           /* "client-limited", ... */
	char text[512]; /* one sentence with the numbers, and the remedy if there is one */
};

struct verdict {
	enum verdict_status status;
	size_t count;
	struct reason reasons[VERDICT_REASONS];
};

void verdict_reach(struct verdict *v, const struct result *r);

/*
 * Several targets: what is wrong with any of them, each kind once, with the URL of the first, and
 * what is wrong with the machine. A target's own is verdict_reach() of its result.
 */
void verdict_reach_all(struct verdict *v, const struct result *all);

/* "valid", "suspect" or "void". */
const char *verdict_name(enum verdict_status status);

/* The exit status for a verdict; an interrupted run has one of its own. */
int verdict_exit_status(const struct verdict *v, const struct result *r);

#endif
