/* SPDX-License-Identifier: MIT
 * A protocol: turns received bytes into bytes to send. It does no I/O.
 */
#ifndef TENK_PROTO_H
#define TENK_PROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes start..end of a block of `size`. */
struct buffer {
	char *data;
	uint32_t size, start, end;
};

static inline size_t buffer_len(const struct buffer *b)
{
	return b->end - b->start;
}

static inline size_t buffer_room(const struct buffer *b)
{
	return b->size - b->end;
}

/* What a protocol remembers of a connection between two calls. All zero at first. */
struct session {
	uint64_t body_left;  /* http: bytes of the current reply's body not yet put out */
	uint32_t skip_left;  /* http: bytes of the current request's body not yet passed over */
	uint32_t body_phase; /* http: where in HTTP_BYTES_PATTERN the body goes on */
	bool closing;        /* nothing more will be answered: close when the output is sent */
	bool rude;           /* and the client may still be sending: close so that it hears why */
};

struct proto {
	const char *name;
	const char *summary;
	size_t min_buffer; /* the smallest buffer it can work with, in bytes */

	/*
	 * Answer what stands in `in`: consume from in->start, append at out->end. Stops when it
	 * needs more input or has no room for output; called again when either has changed. `out`
	 * is empty at the call. It may exchange the two blocks, to answer in place. Returns how
	 * many requests it answered.
	 *
	 * With room for output and a full `in` it always makes progress or sets closing, so a
	 * connection can never be stuck.
	 */
	unsigned (*answer)(struct session *s, struct buffer *in, struct buffer *out);
};

extern const struct proto proto_echo, proto_http, proto_rot13;

/* By name; NULL if there is none. */
const struct proto *proto_find(const char *name);

/* All of them, NULL at the end. */
extern const struct proto *const protos[];

static inline void buffer_swap(struct buffer *a, struct buffer *b)
{
	struct buffer t = *a;

	*a = *b;
	*b = t;
}

#endif
