/* SPDX-License-Identifier: MIT
 * Where results go: found good before the run, written after it, and every failure told.
 */
#ifndef TENK_LOADGEN_OUTPUT_H
#define TENK_LOADGEN_OUTPUT_H

#include <stdbool.h>

#include "loadgen/result.h"
#include "loadgen/verdict.h"

/*
 * Make sure that descriptors 0, 1 and 2 are taken, so that no file or socket gets the number of a
 * standard stream that the caller had closed; and that writing to a pipe whose reader has gone
 * fails (EPIPE) instead of killing the process. Call first of all.
 */
void output_streams_init(void);

/*
 * Can everything be written that is asked for, each to a file of its own? Asked before the run and
 * without creating a file: a run that does not take place leaves none behind. Refuses (exit 2) a
 * path that cannot be written, a file that two outputs would share, whatever name each has for it,
 * and one that is the trace. Character devices (/dev/null, a terminal) may be shared.
 */
void output_check(const struct options *o);

/*
 * Remove what an earlier run left at --json, --hgrm and --way, so that where this one fails, nobody takes
 * the old results for its own. Only regular files; what cannot be removed is emptied.
 */
void output_forget(const struct options *o);

/*
 * Write the text, --json, --hgrm and --way. A failure is one line on standard error and does not keep the
 * others from being written. Returns true if there was none.
 */
bool output_write(const struct result *r, const struct verdict *v);

/* Flush standard output. False, with one line on standard error, if it could not be written. */
bool output_flush_stdout(void);

#endif
