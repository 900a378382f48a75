// SPDX-License-Identifier: MIT
#include "loadgen/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loadgen/client_memcached.h"
#include "loadgen/client_redis.h"

enum { ROW_BYTES = 1 << 20 };

/* As many requests in a row as are pipelined, but not more memory than one send takes. */
static bool make_row(struct client *client, const char *one, size_t length, size_t pipeline)
{
	size_t most = ROW_BYTES / length ? ROW_BYTES / length : 1;
	size_t n = smaller(pipeline, most);

	client->request_bytes = length;
	client->row_bytes = length * n;
	client->row = malloc(client->row_bytes);
	for (size_t i = 0; client->row && i < n; i++)
		memcpy(client->row + i * length, one, length);
	return client->row;
}

static bool init_http(struct client *client, const struct target *target, size_t pipeline,
		      uint64_t seed)
{
	const struct ask_request *first;

	if (!http_init(&client->http, target, seed))
		return false;
	client->plain_http = !client->http.any_head;
	first = http_request_of(&client->http, 0, 0);
	return client->http.count > 1 || make_row(client, first->bytes, first->length, pipeline);
}

bool client_init(struct client *client, const struct target *target, size_t size_bytes,
		 size_t pipeline, bool verify, uint64_t seed)
{
	char one[512];

	memset(client, 0, sizeof(*client));
	client->protocol = target->protocol;
	switch (target->protocol) {
	case PROTOCOL_HTTP:
		return init_http(client, target, pipeline, seed);
	case PROTOCOL_MEMCACHED:
		return make_row(client, one, memcached_request(target, one, sizeof(one)), pipeline);
	case PROTOCOL_REDIS:
		return make_row(client, one, redis_request(target, one, sizeof(one)), pipeline);
	case PROTOCOL_ECHO:
	case PROTOCOL_ROT13:
	case PROTOCOLS:
		break;
	}
	stream_init(&client->stream, target->protocol == PROTOCOL_ROT13, size_bytes, verify, seed);
	client->request_bytes = size_bytes;
	return true;
}

void client_free(struct client *client)
{
	http_free(&client->http);
	free(client->row);
	client->row = NULL;
}

bool client_composes(const struct client *client)
{
	return client->protocol == PROTOCOL_ECHO || client->protocol == PROTOCOL_ROT13;
}

const char *client_produce(const struct client *client, uint32_t id, uint32_t number, size_t offset,
			   size_t max, char *scratch, size_t scratch_bytes, size_t *length)
{
	if (client->row) {
		*length = smaller(max, client->row_bytes - offset);
		return client->row + offset;
	}
	if (client->protocol == PROTOCOL_HTTP)
		return http_produce(&client->http, id, number, offset, max, length);
	return stream_produce(&client->stream, id, number, offset, max, scratch, scratch_bytes,
			      length);
}

/* What is not measured to the last instruction. Apart, so that the way of the others is short. */
static __attribute__((noinline)) enum reply_result other_feed(struct client *client,
							      struct reply *reply, uint32_t id,
							      uint32_t number, const char *data,
							      size_t length, size_t *used)
{
	if (client->protocol == PROTOCOL_HTTP) {
		http_expect(&client->http, reply, id, number);
		return http_parse(&client->http, reply, data, length, used);
	}
	if (client->protocol == PROTOCOL_MEMCACHED)
		return memcached_feed(reply, data, length, used);
	return redis_feed(reply, data, length, used);
}

enum reply_result client_feed(struct client *client, struct reply *reply, uint32_t id,
			      uint32_t number, const char *data, size_t length, size_t *used)
{
	if (client->plain_http)
		return http_feed(&client->http, reply, data, length, used);
	if (client_composes(client))
		return stream_feed(&client->stream, reply, id, number, data, length, used);
	return other_feed(client, reply, id, number, data, length, used);
}

/* The others' replies have no state that means "until close". */
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
	if (client_composes(client))
		stream_explain(&client->stream, reply, id, number, data, length, text, size);
	else
		snprintf(text, size, "connection %u, reply %u: not a well-formed %s reply", id,
			 number,
			 client->protocol == PROTOCOL_HTTP ? "HTTP/1.x"
							   : protocol_name(client->protocol));
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
