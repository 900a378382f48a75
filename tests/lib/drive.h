/* SPDX-License-Identifier: MIT
 * Drives a protocol without a connection: receives a stream in pieces, collects what it answers.
 *
 * Both blocks are allocated at their exact size, so that a sanitizer sees one byte too many.
 */
#ifndef TENK_TESTS_DRIVE_H
#define TENK_TESTS_DRIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "servers/lib/proto.h"

/* Bytes that grow. */
struct text {
	char *data;
	size_t len, size;
};

static inline void text_add(struct text *t, const char *data, size_t len)
{
	if (t->size - t->len < len) {
		t->size = 2 * t->size + len + 64;
		t->data = realloc(t->data, t->size);
		if (!t->data)
			abort();
	}
	if (len)
		memcpy(t->data + t->len, data, len);
	t->len += len;
}

static inline void text_free(struct text *t)
{
	free(t->data);
	*t = (struct text){0};
}

struct drive {
	const struct proto *proto;
	struct dialogue dialogue;
	struct buffer in, out;
	struct text said;       /* everything it answered */
	unsigned long requests; /* what answer() returned, summed */
	const char *complaint;  /* it broke a promise of proto.h; NULL: none */
};

static inline void drive_open(struct drive *d, const struct proto *proto, size_t buffer_bytes)
{
	*d = (struct drive){.proto = proto};
	d->in = (struct buffer){.data = malloc(buffer_bytes), .size = (uint32_t)buffer_bytes};
	d->out = (struct buffer){.data = malloc(buffer_bytes), .size = (uint32_t)buffer_bytes};
	if (!d->in.data || !d->out.data)
		abort();
}

static inline void drive_close(struct drive *d)
{
	free(d->in.data);
	free(d->out.data);
	text_free(&d->said);
}

/* Answer until it needs more input. */
static inline void drive_answer(struct drive *d)
{
	while (!d->complaint &&
	       (d->dialogue.body_left || (buffer_len(&d->in) && !d->dialogue.closing))) {
		size_t before = buffer_len(&d->in);

		d->requests += d->proto->answer(&d->dialogue, &d->in, &d->out);
		if (d->in.end > d->in.size || d->in.start > d->in.end || d->out.end > d->out.size ||
		    d->out.start > d->out.end)
			d->complaint = "a buffer's bounds are broken";
		else if (!buffer_len(&d->out) && d->dialogue.body_left)
			d->complaint = "it owes a body and puts nothing out";
		else if (!buffer_len(&d->out) && before == d->in.size &&
			 buffer_len(&d->in) == before && !d->dialogue.closing)
			d->complaint = "stuck: a full buffer, no output, not closing";
		if (!buffer_len(&d->out))
			break;
		text_add(&d->said, d->out.data + d->out.start, buffer_len(&d->out));
		d->out.start = d->out.end = 0;
	}
}

/* Receive at most `len` bytes, as many as there is room for. Returns how many it took. */
static inline size_t drive_feed(struct drive *d, const char *data, size_t len)
{
	if (d->complaint || d->dialogue.closing)
		return len; /* nobody listens any more */
	if (d->in.start == d->in.end)
		d->in.start = d->in.end = 0;
	if (d->in.start > 0) {
		memmove(d->in.data, d->in.data + d->in.start, buffer_len(&d->in));
		d->in.end -= d->in.start;
		d->in.start = 0;
	}
	if (len > buffer_room(&d->in))
		len = buffer_room(&d->in);
	memcpy(d->in.data + d->in.end, data, len);
	d->in.end += (uint32_t)len;
	drive_answer(d);
	return len;
}

/* Receive all of it, in pieces of at most `piece` bytes. */
static inline void drive_stream(struct drive *d, const char *data, size_t len, size_t piece)
{
	while (len > 0) {
		size_t n = drive_feed(d, data, len < piece ? len : piece);

		data += n;
		len -= n;
	}
}

#endif
