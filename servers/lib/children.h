/* SPDX-License-Identifier: MIT
 * A fixed pool of child processes, made before the first client comes.
 *
 * They and their parent are one server: it ends when one of them does. Going on with fewer than -w
 * said would be another server than the one that is measured, and on a socket of its own the lost
 * one's clients would wait for ever.
 */
#ifndef TENK_CHILDREN_H
#define TENK_CHILDREN_H

#include "servers/lib/server.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Fork srv->workers children. Returns -1 in the parent, and in each child its number, from 0: it
 * serves until server_stopping() and ends with children_leave(). SIGTERM wakes it from a wait for a
 * listening socket that its parent has too, for one given to server_stop_also(), and for the
 * connection given to server_serving(). It dies with its parent. Dies when fork(2) fails.
 */
int children_start(const struct server *srv);

/* In a child: what it counted stays, and it ends in good order. */
void children_leave(void) __attribute__((noreturn));

/*
 * In the parent: wait for SIGTERM, then end the children and reap them; those that have not gone
 * after a second are killed. Where a child ends before that, the others are ended too, and the
 * program ends with status 1 and a line that says what became of it.
 */
void children_wait(void);

#ifdef __cplusplus
}
#endif

#endif
