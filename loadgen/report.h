/* SPDX-License-Identifier: MIT
 * A result for people (wrk's text) and for programs (JSON, schema tenk.loadgen/2).
 */
#ifndef TENK_LOADGEN_REPORT_H
#define TENK_LOADGEN_REPORT_H

#include <stdbool.h>
#include <stdio.h>

#include "loadgen/result.h"
#include "loadgen/verdict.h"

#define REPORT_SCHEMA "tenk.loadgen/2"

/* The text, in the shape of wrk's; what people already parse keeps its place and name. */
void report_text(FILE *out, const struct result *r, const struct verdict *v);

/* The JSON; docs/loadgen.md describes every field. False, errno set, if the stream failed. */
bool report_json(FILE *out, const struct result *r, const struct verdict *v);

#endif
