/* SPDX-License-Identifier: MIT
 * A queue of connection numbers, first in, first out. Each is in it at most once, so a ring of as
 * many places as there are connections cannot overflow.
 */
#ifndef TENK_LOADGEN_RING_H
#define TENK_LOADGEN_RING_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

struct ring {
	uint32_t *items; /* `size` of them; the owner frees them */
	uint32_t size, head, length;
};

/* An empty ring of `size` (at least 1) places. False when memory is out. */
static inline bool ring_init(struct ring *r, uint32_t size)
{
	*r = (struct ring){.items = calloc(size, sizeof(*r->items)), .size = size};
	return r->items;
}

/* There must be a free place. */
static inline void ring_push(struct ring *r, uint32_t item)
{
	uint32_t at = r->head + r->length++;

	r->items[at < r->size ? at : at - r->size] = item;
}

/* The oldest item. The ring must not be empty. */
static inline uint32_t ring_pop(struct ring *r)
{
	uint32_t item = r->items[r->head];

	r->head = r->head + 1 < r->size ? r->head + 1 : 0;
	r->length--;
	return item;
}

#endif
