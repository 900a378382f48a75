/* SPDX-License-Identifier: MIT
 * The client's side of HTTP/1.x: always the same request; of a reply the status line and the
 * framing (Content-Length, chunked, or until close) are checked, not the body.
 */
#ifndef TENK_LOADGEN_CLIENT_HTTP_H
#define TENK_LOADGEN_CLIENT_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loadgen/reply.h"
#include "loadgen/target.h"

enum {
	HTTP_TEMPLATE = 1024,  /* longest reply head that is recognised without parsing, bytes */
	HTTP_HEAD_MAX = 65536, /* longest reply head, bytes; beyond it is garbage */
};

struct client_http {
	char *requests; /* as many as are pipelined, in a row */
	size_t request_bytes, requests_bytes;
	/* The head of the latest ordinary reply: the next one is most likely the same. */
	size_t template_bytes;
	uint64_t template_body;
	char template[HTTP_TEMPLATE];
};

/* Prepare `pipeline` requests. False when memory is out. http_free() frees what it allocated. */
bool http_init(struct client_http *http, const struct target *target, size_t pipeline);
void http_free(struct client_http *http);

/* The next bytes to send, at most `max`, from byte `offset` of a request on; *length says how many. */
const char *http_produce(const struct client_http *http, size_t offset, size_t max, size_t *length);

/* As client_feed() and client_eof() in client.h. */
enum reply_result http_feed(struct client_http *http, struct reply *reply, const char *data,
			    size_t length, size_t *used);
enum reply_result http_eof(struct reply *reply);

/* True once the reply said that the server closes after it ("Connection: close", HTTP/1.0). */
bool http_closes(const struct reply *reply);

#endif
