/* SPDX-License-Identifier: MIT
 * Opening a ring of io_uring: what all models that use one do alike.
 *
 * The flags that make a model, its requests and its loop are in its own file. Here is what it says
 * when the machine has no such ring. Only for models with "tenk-needs: liburing".
 */
#ifndef TENK_RING_H
#define TENK_RING_H

#include <liburing.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RING_ENTRIES 1024 /* requests collected before they must be handed over */

/*
 * For setup(): open `ring` as `how` says (IORING_SETUP_ flags, and for SQPOLL its CPU and idle
 * time), with exactly these flags: a model that went on with fewer would be another model. There is
 * room for `completions` results, or as many as the kernel allows; what does not fit the kernel
 * keeps, and hands out later (IORING_FEAT_NODROP). Ends the program with status 1 when it cannot be
 * had.
 */
void ring_open(struct io_uring *ring, struct io_uring_params how, unsigned completions);

/*
 * For probe(): can this machine have such a ring? Ends the program with EXIT_UNSUPPORTED and the
 * reason if not; `linux_version` is the first that knows the flags, as "6.1". Leaves nothing open.
 * Returns what the kernel's rings can do, IORING_FEAT_….
 */
unsigned ring_probe(struct io_uring_params how, const char *linux_version);

#ifdef __cplusplus
}
#endif

#endif
