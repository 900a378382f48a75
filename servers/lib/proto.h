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

#define DIALOGUE_SKIP_MAX ((1U << 29) - 1)

/*
 * What a protocol remembers of a connection between two calls. All zero at first. Small, because
 * an idle connection is little else.
 */
struct dialogue {
	uint64_t body_left;   /* http: bytes of the current reply's body not yet put out */
	uint64_t file_offset; /* where in file_fd the body goes on */
	union {
		uint32_t body_phase; /* http: where in HTTP_BYTES_PATTERN the body goes on */
		int file_fd;
	};
	unsigned skip_left : 29; /* bytes of the client to be passed over next */
	/* Set by the protocol: the body_left bytes to come are read from file_fd, from file_offset
	 * on, and put behind what it has put out. The connection does that, and closes file_fd. */
	bool from_file : 1;
	bool closing : 1; /* nothing more will be answered: close when the output is sent */
	bool rude : 1;    /* and the client may still be sending: close so that it hears why */
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
	unsigned (*answer)(struct dialogue *d, struct buffer *in, struct buffer *out);
};

extern const struct proto proto_echo, proto_http, proto_rot13;

/* By name; NULL if there is none. */
const struct proto *proto_find(const char *name);

/* All of them, NULL at the end. */
extern const struct proto *const protos[];

/*
 * Let http answer /file/NAME from the directory `path`: regular files in it and below, whatever
 * links lead outside. Dies with the reason if it cannot be opened. To be called once, before the
 * first connection; without it no such file is found.
 */
void http_serve_files(const char *path);

static inline void buffer_swap(struct buffer *a, struct buffer *b)
{
	struct buffer t = *a;

	*a = *b;
	*b = t;
}

#endif
