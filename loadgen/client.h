/* SPDX-License-Identifier: MIT
 * The client's side of the protocols, without I/O: which bytes a request is, and whether the
 * bytes that came back are its reply.
 *
 * One struct client serves all connections of a worker; each connection has a struct reply for the
 * reply it is in the middle of.
 */
#ifndef TENK_LOADGEN_CLIENT_H
#define TENK_LOADGEN_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loadgen/client_http.h"
#include "loadgen/client_stream.h"
#include "loadgen/reply.h"
#include "loadgen/target.h"

struct client {
	enum protocol protocol;
	bool plain_http;      /* http, and every reply has a body if its head says so */
	size_t request_bytes; /* of every request; 0: they differ */
	char *row;            /* where all are the same: as many as are pipelined, in a row */
	size_t row_bytes;
	struct client_http http;
	struct client_stream stream;
};

/*
 * Prepare requests for the target: of size_bytes each for echo and rot13, `pipeline` of them at
 * once for http. Returns false when memory is out. client_free() frees what it allocated.
 */
bool client_init(struct client *client, const struct target *target, size_t size_bytes,
		 size_t pipeline, bool verify, uint64_t seed);
void client_free(struct client *client);

/* Are requests made in the caller's memory (scratch), and not where the client keeps them? */
bool client_composes(const struct client *client);

/* The length of request `number` of connection `id`. */
static inline size_t client_request_bytes(const struct client *client, uint32_t id, uint32_t number)
{
	if (__builtin_expect(client->request_bytes != 0, 1))
		return client->request_bytes;
	return http_request_of(&client->http, id, number)->length;
}

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
