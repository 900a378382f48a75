// SPDX-License-Identifier: MIT
#include "servers/lib/kept.h"

#include <stdlib.h>
#include <string.h>

struct kept_chunk {
	struct kept_chunk *next;
	size_t start, end; /* what is left of `bytes` */
	char bytes[];
};

bool kept_add(struct kept *k, const char *data, size_t len)
{
	struct kept_chunk *chunk = malloc(sizeof(*chunk) + len);

	if (!chunk)
		return false;
	*chunk = (struct kept_chunk){.end = len};
	memcpy(chunk->bytes, data, len);
	if (k->first)
		k->last->next = chunk;
	else
		k->first = chunk;
	k->last = chunk;
	return true;
}

static void drop_first(struct kept *k)
{
	struct kept_chunk *chunk = k->first;

	k->first = chunk->next;
	free(chunk);
}

void kept_feed(struct kept *k, struct conn *c)
{
	while (k->first && conn_next(c) == OP_RECV) {
		struct kept_chunk *chunk = k->first;

		chunk->start +=
			conn_feed(c, chunk->bytes + chunk->start, chunk->end - chunk->start);
		if (chunk->start == chunk->end)
			drop_first(k);
	}
}

void kept_drop(struct kept *k)
{
	while (k->first)
		drop_first(k);
}
