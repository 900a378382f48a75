// SPDX-License-Identifier: MIT
#include "loadgen/client.h"

#include <stdio.h>
#include <string.h>

bool client_init(struct client *client, const struct target *target, size_t size_bytes,
		 size_t pipeline, bool verify, uint64_t seed)
{
	memset(client, 0, sizeof(*client));
	client->protocol = target->protocol;
	if (target->protocol == PROTOCOL_HTTP) {
		if (!http_init(&client->http, target, pipeline))
			return false;
		client->request_bytes = client->http.request_bytes;
		return true;
	}
	stream_init(&client->stream, target->protocol == PROTOCOL_ROT13, size_bytes, verify, seed);
	client->request_bytes = size_bytes;
	return true;
}

void client_free(struct client *client)
{
	http_free(&client->http);
}

const char *client_produce(const struct client *client, uint32_t id, uint32_t number, size_t offset,
			   size_t max, char *scratch, size_t scratch_bytes, size_t *length)
{
	if (client->protocol == PROTOCOL_HTTP)
		return http_produce(&client->http, offset, max, length);
	return stream_produce(&client->stream, id, number, offset, max, scratch, scratch_bytes,
			      length);
}

enum reply_result client_feed(struct client *client, struct reply *reply, uint32_t id,
			      uint32_t number, const char *data, size_t length, size_t *used)
{
	if (client->protocol == PROTOCOL_HTTP)
		return http_feed(&client->http, reply, data, length, used);
	return stream_feed(&client->stream, reply, id, number, data, length, used);
}

/* All of it is zero in the middle of an echo or rot13 reply, but for the bytes seen. */
enum reply_result client_eof(struct reply *reply)
{
	return http_eof(reply);
}

bool reply_closes(const struct reply *reply)
{
	return http_closes(reply);
}

void client_explain(const struct client *client, const struct reply *reply, uint32_t id,
		    uint32_t number, const char *data, size_t length, char *text, size_t size)
{
	if (client->protocol == PROTOCOL_HTTP)
		snprintf(text, size, "connection %u, reply %u: not a well-formed HTTP/1.x reply",
			 id, number);
	else
		stream_explain(&client->stream, reply, id, number, data, length, text, size);
}

void client_explain_extra(uint32_t id, uint32_t number, const char *data, size_t length, char *text,
			  size_t size)
{
	snprintf(
		text, size,
		"connection %u: %zu bytes or more that nobody asked for, the first 0x%02x, when %u "
		"requests had been answered",
		id, length, (unsigned char)*data, number);
}
