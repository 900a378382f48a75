/* SPDX-License-Identifier: MIT
 * What main() tells server.c once; models have no business here.
 */
#ifndef TENK_LIFECYCLE_H
#define TENK_LIFECYCLE_H

#include <stdbool.h>

/* Catch SIGTERM and SIGINT (they shut `listen_fd` down), ignore SIGPIPE. */
void server_catch_signals(int listen_fd, bool nonblocking);

#endif
