/* SPDX-License-Identifier: MIT
 * Bytes that came while the connection still owed a reply: for models to which the kernel hands
 * bytes unasked, in buffers that must go back at once.
 */
#ifndef TENK_KEPT_H
#define TENK_KEPT_H

#include <stdbool.h>
#include <stddef.h>

#include "servers/lib/conn.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Oldest first. All zero: none. */
struct kept {
	struct kept_chunk *first, *last;
};

/* Copy `len` > 0 bytes to the end. False, and nothing kept, when there is no memory for them. */
bool kept_add(struct kept *k, const char *data, size_t len);

/* Give the connection what was kept for it, oldest first, as much as it takes (conn_feed()). */
void kept_feed(struct kept *k, struct conn *c);

/* Forget all: the connection is to be closed. */
void kept_drop(struct kept *k);

#ifdef __cplusplus
}
#endif

#endif
