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
 * Sets *measured_ns to what a request really costs more, as measured here on the calling thread. It
 * takes up to 50 ms of CPU. A server without the option speaks `inner` itself and pays nothing.
 *
 * To be called once, before the first connection.
 */
const struct proto *extra_proto(const struct proto *inner, int ns, double *measured_ns);

#endif
