/* SPDX-License-Identifier: MIT
 * The client's side of echo and rot13: messages of one length that can be told from each other.
 *
 * A message is a pure function of (seed, connection, request number): it begins with both numbers
 * and goes on with a slice of a seeded pattern whose place they decide. So nothing needs to be
 * stored to compare the reply, and a byte that was dropped, repeated, reordered or meant for
 * another connection cannot be taken for the right one.
 */
#ifndef TENK_LOADGEN_CLIENT_STREAM_H
#define TENK_LOADGEN_CLIENT_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loadgen/reply.h"

enum { STREAM_PATTERN = 4096 }; /* period of the pattern, bytes; a power of two */

struct client_stream {
	bool rot13;
	bool verify;
	size_t bytes; /* of a message */
	uint64_t seed;
	/* Twice the period, so that a slice is in one piece; sent, and what must come back. */
	unsigned char sent[2 * STREAM_PATTERN], due[2 * STREAM_PATTERN];
};

/* Messages of `bytes` bytes (at least 1) for echo, or lines for rot13. */
void stream_init(struct client_stream *stream, bool rot13, size_t bytes, bool verify,
		 uint64_t seed);

/* As client_produce(), client_feed() and client_explain() in client.h. */
const char *stream_produce(const struct client_stream *stream, uint32_t id, uint32_t number,
			   size_t offset, size_t max, char *scratch, size_t scratch_bytes,
			   size_t *length);
enum reply_result stream_feed(const struct client_stream *stream, struct reply *reply, uint32_t id,
			      uint32_t number, const char *data, size_t length, size_t *used);
void stream_explain(const struct client_stream *stream, const struct reply *reply, uint32_t id,
		    uint32_t number, const char *data, size_t length, char *text, size_t size);

#endif
