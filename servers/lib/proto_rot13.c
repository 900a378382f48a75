// SPDX-License-Identifier: MIT
// rot13: each line is answered with its letters moved by 13, when its '\n' has arrived. The example
// of a protocol with framing: a server must remember half a line from one receive to the next.
#include "servers/lib/proto.h"

#include <string.h>

#include "common/wire.h"

static char rot13(char ch)
{
	if ((ch >= 'a' && ch <= 'm') || (ch >= 'A' && ch <= 'M'))
		return (char)(ch + 13);
	if ((ch >= 'n' && ch <= 'z') || (ch >= 'N' && ch <= 'Z'))
		return (char)(ch - 13);
	return ch;
}

static unsigned answer(struct dialogue *d, struct buffer *in, struct buffer *out)
{
	char *at = in->data + in->start;
	size_t left = buffer_len(in);
	unsigned lines = 0;
	size_t whole;
	char *end;

	/* Whole lines are turned where they stand; a line that is too long ends the connection. */
	while ((end = memchr(at, '\n', left)) && end - at <= ROT13_LINE_MAX) {
		left -= (size_t)(end + 1 - at);
		for (; at < end; at++)
			*at = rot13(*at);
		at++;
		lines++;
	}
	if (left > ROT13_LINE_MAX)
		d->closing = d->rude = true;
	whole = (size_t)(at - in->data) - in->start;
	if (left == 0) {
		buffer_swap(in, out);
	} else if (whole > 0) {
		memcpy(out->data + out->end, in->data + in->start, whole);
		out->end += (uint32_t)whole;
		in->start += (uint32_t)whole;
	}
	return lines;
}

const struct proto proto_rot13 = {
	.name = "rot13",
	.summary = "lines, each answered with its rot13",
	.min_buffer = ROT13_LINE_MAX + 1,
	.answer = answer,
};
