/* SPDX-License-Identifier: MIT
 * The reply a connection is in the middle of, and what can come of it.
 */
#ifndef TENK_LOADGEN_REPLY_H
#define TENK_LOADGEN_REPLY_H

#include <stddef.h>
#include <stdint.h>

enum { REPLY_LINE = 48 }; /* how much of a line of an http head is looked at, bytes */

enum reply_result {
	REPLY_MORE,     /* the reply is not complete */
	REPLY_DONE,     /* complete and right */
	REPLY_STATUS,   /* complete, but an http status other than 2xx and 3xx */
	REPLY_GARBAGE,  /* not this protocol; the connection is of no more use */
	REPLY_MISMATCH, /* not the bytes that were due; the connection is of no more use */
};

/* Where in a reply a connection is. All bytes zero: before the first byte. */
struct reply {
	uint64_t left;      /* http: body bytes to come; others: bytes of the reply seen */
	uint32_t head_seen; /* http: bytes of the head seen */
	uint16_t status;
	uint8_t state;
	uint8_t flags;
	uint8_t line_length; /* of the header line being read, cut to REPLY_LINE */
	char line[REPLY_LINE];
};

static inline size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

#endif
