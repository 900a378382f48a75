/* SPDX-License-Identifier: MIT
 * The client's side of the three protocols, without I/O: which bytes a request is, and whether the
 * bytes that came back are its reply.
 *
 * An echo or rot13 request is a pure function of (seed, connection, request number): it begins with
 * both numbers and goes on with a slice of a seeded pattern whose place they decide. So nothing
 * needs to be stored to compare the reply, and a byte that was dropped, repeated, reordered or
 * meant for another connection cannot be taken for the right one. An http request is always the
 * same; of its reply the status and the framing are checked, not the body.
 *
 * One struct client serves all connections of a worker; each connection has a struct reply for the
 * reply it is in the middle of.
 */
#ifndef TENK_LOADGEN_CLIENT_H
#define TENK_LOADGEN_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loadgen/target.h"

enum {
	CLIENT_PATTERN = 4096,   /* period of the pattern, bytes; a power of two */
	CLIENT_TEMPLATE = 1024,  /* longest reply head that is recognised without parsing */
	CLIENT_LINE = 48,        /* how much of a reply's header line is looked at */
	CLIENT_HEAD_MAX = 65536, /* longest reply head, bytes; beyond it is garbage */
};

/* What client_feed() made of the bytes. */
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
	uint8_t line_length; /* of the header line being read, cut to CLIENT_LINE */
	char line[CLIENT_LINE];
};

struct client {
	enum protocol protocol;
	bool verify;
	size_t request_bytes;
	char *requests; /* http: `pipeline` requests in a row */
	size_t requests_bytes;
	uint64_t seed;
	/* The head of the latest ordinary reply: the next one is most likely the same. */
	size_t template_bytes;
	uint64_t template_body;
	char template[CLIENT_TEMPLATE];
	/* Twice the period, so that a slice is in one piece; sent, and what must come back. */
	unsigned char sent[2 * CLIENT_PATTERN], due[2 * CLIENT_PATTERN];
};

/*
 * Prepare requests for the target: of size_bytes each for echo and rot13, `pipeline` of them at
 * once for http. Returns false when memory is out. client_free() frees what it allocated.
 */
bool client_init(struct client *client, const struct target *target, size_t size_bytes,
		 size_t pipeline, bool verify, uint64_t seed);
void client_free(struct client *client);

/*
 * The next bytes to send on connection `id`: from byte `offset` of request number `number` on, at
 * most `max`, possibly running on into the requests after it. They are in the result or in scratch
 * (of at least scratch_bytes); *length says how many, at least 1 where max is.
 */
const char *client_produce(const struct client *client, uint32_t id, uint32_t number, size_t offset,
			   size_t max, char *scratch, size_t scratch_bytes, size_t *length);

/*
 * Take in bytes received while request `number` of connection `id` is the oldest unanswered one.
 * *used says how many belong to its reply; after REPLY_DONE and REPLY_STATUS *reply is ready for
 * the next one.
 */
enum reply_result client_feed(struct client *client, struct reply *reply, uint32_t id,
			      uint32_t number, const char *data, size_t length, size_t *used);

/* The peer closed: REPLY_DONE if that is how this reply ends, else REPLY_MORE. */
enum reply_result client_eof(struct reply *reply);

/* True once the reply said that the server closes after it ("Connection: close", HTTP/1.0). */
bool reply_closes(const struct reply *reply);

/*
 * Say in words what is wrong with bytes that gave REPLY_MISMATCH or REPLY_GARBAGE, for the first of
 * a run to be reported: whose bytes they are, if that can be seen. Arguments as for client_feed(),
 * with *reply as it was before.
 */
void client_explain(const struct client *client, const struct reply *reply, uint32_t id,
		    uint32_t number, const char *data, size_t length, char *text, size_t size);

/* The same for bytes (at least one) that came when all `number` requests had been answered. */
void client_explain_extra(uint32_t id, uint32_t number, const char *data, size_t length, char *text,
			  size_t size);

#endif
