// SPDX-License-Identifier: MIT
#include "loadgen/client_stream.h"

#include <stdio.h>
#include <string.h>

enum { ECHO_HEADER = 8, ROT13_HEADER = 16 };

static uint64_t mix(uint64_t z)
{
	z = (z ^ (z >> 33)) * UINT64_C(0xff51afd7ed558ccd);
	z = (z ^ (z >> 33)) * UINT64_C(0xc4ceb9fe1a85ec53);
	return z ^ (z >> 33);
}

static unsigned char rot13(unsigned char c)
{
	if ((c >= 'a' && c <= 'm') || (c >= 'A' && c <= 'M'))
		return (unsigned char)(c + 13);
	if ((c >= 'n' && c <= 'z') || (c >= 'N' && c <= 'Z'))
		return (unsigned char)(c - 13);
	return c;
}

static void make_pattern(struct client_stream *stream)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

	for (size_t i = 0; i < STREAM_PATTERN; i++) {
		uint64_t r = mix(stream->seed * STREAM_PATTERN + i + 1);
		unsigned char c = (unsigned char)r;

		if (stream->rot13)
			c = (unsigned char)letters[r % (sizeof(letters) - 1)];
		stream->sent[i] = stream->sent[i + STREAM_PATTERN] = c;
		c = stream->rot13 ? rot13(c) : c;
		stream->due[i] = stream->due[i + STREAM_PATTERN] = c;
	}
}

void stream_init(struct client_stream *stream, bool rot13_lines, size_t bytes, bool verify,
		 uint64_t seed)
{
	memset(stream, 0, sizeof(*stream));
	stream->rot13 = rot13_lines;
	stream->verify = verify;
	stream->bytes = bytes;
	stream->seed = seed;
	make_pattern(stream);
}

/* The head of an echo or rot13 request: both numbers, lowest digits first and in turns. */
static size_t stream_header(const struct client_stream *stream, uint32_t id, uint32_t number,
			    unsigned char head[ROT13_HEADER])
{
	if (!stream->rot13) {
		for (int i = 0; i < 4; i++) {
			head[2 * i] = (unsigned char)(number >> 8 * i);
			head[2 * i + 1] = (unsigned char)(id >> 8 * i);
		}
		return ECHO_HEADER;
	}
	for (int i = 0; i < 8; i++) {
		head[2 * i] = (unsigned char)('a' + (number >> 4 * i & 15));
		head[2 * i + 1] = (unsigned char)('a' + (id >> 4 * i & 15));
	}
	return ROT13_HEADER;
}

/* Where in the pattern the slice of this request begins. */
static size_t stream_slice(const struct client_stream *stream, uint32_t id, uint32_t number)
{
	return mix(stream->seed ^ ((uint64_t)id << 32 | number)) % STREAM_PATTERN;
}

/* Bytes offset..offset+length of one message, at least one, of either table. */
static void stream_fill(const struct client_stream *stream, const unsigned char *table, uint32_t id,
			uint32_t number, size_t offset, unsigned char *out, size_t length)
{
	unsigned char head[ROT13_HEADER];
	size_t head_bytes = stream_header(stream, id, number, head), start, n;
	bool back = table == stream->due && stream->rot13;
	unsigned char *end = out + length, *last = out + (length - 1);

	if (offset < head_bytes) {
		n = smaller(head_bytes - offset, length);
		for (size_t i = 0; i < n; i++)
			out[i] = back ? rot13(head[offset + i]) : head[offset + i];
		out += n;
		offset += n;
	}
	start = stream_slice(stream, id, number);
	while (out < end) {
		size_t at = (start + offset) % STREAM_PATTERN;

		n = smaller((size_t)(end - out), 2 * STREAM_PATTERN - at);
		memcpy(out, table + at, n);
		out += n;
		offset += n;
	}
	if (stream->rot13 && offset == stream->bytes)
		*last = '\n';
}

const char *stream_produce(const struct client_stream *stream, uint32_t id, uint32_t number,
			   size_t offset, size_t max, char *scratch, size_t scratch_bytes,
			   size_t *length)
{
	size_t done = 0;

	max = smaller(max, scratch_bytes);
	while (done < max) {
		size_t n = smaller(max - done, stream->bytes - offset);

		stream_fill(stream, stream->sent, id, number, offset,
			    (unsigned char *)scratch + done, n);
		done += n;
		number++;
		offset = 0;
	}
	*length = done;
	return scratch;
}

/* Are `length` bytes those from `offset` on of the reply that is due? */
static bool stream_matches(const struct client_stream *stream, uint32_t id, uint32_t number,
			   size_t offset, const unsigned char *data, size_t length)
{
	unsigned char due[256];

	while (length) {
		size_t n = smaller(length, sizeof(due));

		/* Past the header the pattern can be compared where it lies. */
		if (!stream->rot13 && offset >= ECHO_HEADER) {
			size_t at = (stream_slice(stream, id, number) + offset) % STREAM_PATTERN;

			n = smaller(length, 2 * STREAM_PATTERN - at);
			if (memcmp(stream->due + at, data, n) != 0)
				return false;
		} else {
			stream_fill(stream, stream->due, id, number, offset, due, n);
			if (memcmp(due, data, n) != 0)
				return false;
		}
		data += n;
		offset += n;
		length -= n;
	}
	return true;
}

enum reply_result stream_feed(const struct client_stream *stream, struct reply *reply, uint32_t id,
			      uint32_t number, const char *data, size_t length, size_t *used)
{
	size_t seen = (size_t)reply->left, n = smaller(length, stream->bytes - seen);

	*used = n;
	if (stream->verify &&
	    !stream_matches(stream, id, number, seen, (const unsigned char *)data, n))
		return REPLY_MISMATCH;
	if (seen + n < stream->bytes) {
		reply->left = seen + n;
		return REPLY_MORE;
	}
	reply->left = 0;
	return REPLY_DONE;
}

/* Read connection and request number back from the head of a message that came in its place. */
static bool stream_decode(const struct client_stream *stream, const unsigned char *data,
			  size_t length, uint32_t *id, uint32_t *number)
{
	*id = *number = 0;
	if (!stream->rot13) {
		if (length < ECHO_HEADER || stream->bytes <= ECHO_HEADER)
			return false;
		for (int i = 0; i < 4; i++) {
			*number |= (uint32_t)data[2 * i] << 8 * i;
			*id |= (uint32_t)data[2 * i + 1] << 8 * i;
		}
	} else {
		if (length < ROT13_HEADER || stream->bytes <= ROT13_HEADER)
			return false;
		for (int i = 0; i < 8; i++) {
			*number |= (uint32_t)((rot13(data[2 * i]) - 'a') & 15) << 4 * i;
			*id |= (uint32_t)((rot13(data[2 * i + 1]) - 'a') & 15) << 4 * i;
		}
	}
	/* Believe the numbers only if the bytes after them fit. */
	return stream_matches(stream, *id, *number, 0, data, smaller(length, stream->bytes));
}

void stream_explain(const struct client_stream *stream, const struct reply *reply, uint32_t id,
		    uint32_t number, const char *data, size_t length, char *text, size_t size)
{
	const unsigned char *bytes = (const unsigned char *)data;
	size_t offset = (size_t)reply->left, n, i = 0;
	uint32_t other_id, other_number;
	unsigned char due = 0;

	if (offset == 0 && stream_decode(stream, bytes, length, &other_id, &other_number)) {
		snprintf(text, size,
			 "connection %u, request %u: got the reply to request %u of connection %u",
			 id, number, other_number, other_id);
		return;
	}
	n = smaller(length, stream->bytes - offset);
	for (; i < n; i++) {
		stream_fill(stream, stream->due, id, number, offset + i, &due, 1);
		if (due != bytes[i])
			break;
	}
	snprintf(text, size,
		 "connection %u, request %u: byte %zu of %zu is 0x%02x, should be 0x%02x", id,
		 number, offset + i, stream->bytes, i < n ? bytes[i] : 0, due);
}
