/* SPDX-License-Identifier: MIT
 * The client's side of HTTP/1.x: the requests that ask.h makes; of a reply the status line and the
 * framing (Content-Length, chunked, or until close) are checked, not the body.
 */
#ifndef TENK_LOADGEN_CLIENT_HTTP_H
#define TENK_LOADGEN_CLIENT_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loadgen/ask.h"
#include "loadgen/reply.h"
#include "loadgen/target.h"

enum {
	HTTP_TEMPLATE = 1024,  /* longest reply head that is recognised without parsing, bytes */
	HTTP_HEAD_MAX = 65536, /* longest reply head, bytes; beyond it is garbage */
};

struct client_http {
	const struct http_ask *ask;
	struct ask_request *requests; /* the different ones */
	size_t count;
	uint64_t seed;
	bool any_head; /* some request's reply has no body */
	/* The head of the latest ordinary reply: the next one is most likely the same. */
	size_t template_bytes;
	uint64_t template_body;
	char template[HTTP_TEMPLATE];
};

/* Prepare the requests. False when memory is out. http_free() frees what it allocated. */
bool http_init(struct client_http *http, const struct target *target, uint64_t seed);
void http_free(struct client_http *http);

/* Request `number` of connection `id`. */
const struct ask_request *http_request_of(const struct client_http *http, uint32_t id,
					  uint32_t number);

/* The class of that request, where its file names classes (ask->class_count). */
size_t http_class_of(const struct client_http *http, uint32_t id, uint32_t number);

/* The bytes of it from `offset` on, at most `max`; *length says how many. */
const char *http_produce(const struct client_http *http, uint32_t id, uint32_t number,
			 size_t offset, size_t max, size_t *length);

/*
 * Where any_head is set: http_expect() says to which request the reply belongs, http_parse() is
 * http_feed() without a look at the reply before.
 */
enum reply_result http_parse(struct client_http *http, struct reply *reply, const char *data,
			     size_t length, size_t *used);
void http_expect(const struct client_http *http, struct reply *reply, uint32_t id, uint32_t number);

/* As client_feed() and client_eof() in client.h. */
enum reply_result http_feed(struct client_http *http, struct reply *reply, const char *data,
			    size_t length, size_t *used);
enum reply_result http_eof(struct reply *reply);

/* True once the reply said that the server closes after it ("Connection: close", HTTP/1.0). */
bool http_closes(const struct reply *reply);

#endif
