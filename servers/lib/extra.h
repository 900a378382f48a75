/* SPDX-License-Identifier: MIT
 * A known cost on top of a model's own: the server with --extra-ns is the control of a comparison,
 * which has to find that cost at its size.
 */
#ifndef TENK_EXTRA_H
#define TENK_EXTRA_H

#include "servers/lib/proto.h"

/* The most that can be added, in ns of CPU per request. */
#define EXTRA_NS_MAX 1000000

/*
 * `inner`, with about `ns` (1 to EXTRA_NS_MAX) nanoseconds of CPU more for each request it answers.
 * It takes up to 50 ms of CPU to find out how. A server without the option speaks `inner` itself
 * and pays nothing.
 *
 * To be called once, before the first connection and the first thread.
 */
const struct proto *extra_proto(const struct proto *inner, int ns);

/*
 * What a request really costs more, in ns of CPU, as measured among the requests so far, those of
 * all threads and child processes; where these were too few, as measured by extra_proto(), in a
 * row. 0 where extra_proto() was not called.
 */
double extra_ns(void);

#endif
