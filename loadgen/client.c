// SPDX-License-Identifier: MIT
#include "loadgen/client.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum state {
	AT_START, /* before the first byte; must be 0 */
	IN_STATUS_LINE,
	IN_HEADER,
	IN_BODY,
	UNTIL_CLOSE,
	IN_CHUNK_SIZE,
	IN_CHUNK,
	AFTER_CHUNK,
	IN_TRAILER,
};

enum { CLOSES = 1, CHUNKED = 2, HAS_LENGTH = 4, CUT = 8 /* line[] is not the whole line */ };

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

static void make_pattern(struct client *client)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

	for (size_t i = 0; i < CLIENT_PATTERN; i++) {
		uint64_t r = mix(client->seed * CLIENT_PATTERN + i + 1);
		unsigned char c = (unsigned char)r;

		if (client->protocol == PROTOCOL_ROT13)
			c = (unsigned char)letters[r % (sizeof(letters) - 1)];
		client->sent[i] = client->sent[i + CLIENT_PATTERN] = c;
		c = client->protocol == PROTOCOL_ROT13 ? rot13(c) : c;
		client->due[i] = client->due[i + CLIENT_PATTERN] = c;
	}
}

static bool make_http(struct client *client, const struct target *target, size_t pipeline)
{
	char port[8] = "";
	char one[sizeof(target->path) + sizeof(target->host) + 64];
	int length;

	if (target->port != 80)
		snprintf(port, sizeof(port), ":%u", target->port);
	length = snprintf(one, sizeof(one), "GET %s HTTP/1.1\r\nHost: %s%s\r\n\r\n", target->path,
			  target->host, port);
	assert(length > 0 && (size_t)length < sizeof(one));
	client->request_bytes = (size_t)length;
	client->requests_bytes = client->request_bytes * pipeline;
	client->requests = malloc(client->requests_bytes);
	if (!client->requests)
		return false;
	for (size_t i = 0; i < pipeline; i++)
		memcpy(client->requests + i * client->request_bytes, one, client->request_bytes);
	return true;
}

bool client_init(struct client *client, const struct target *target, size_t size_bytes,
		 size_t pipeline, bool verify, uint64_t seed)
{
	memset(client, 0, sizeof(*client));
	client->protocol = target->protocol;
	client->verify = verify;
	client->seed = seed;
	client->request_bytes = size_bytes;
	make_pattern(client);
	return target->protocol != PROTOCOL_HTTP || make_http(client, target, pipeline);
}

void client_free(struct client *client)
{
	free(client->requests);
	client->requests = NULL;
}

/* The head of an echo or rot13 request: both numbers, lowest digits first and in turns. */
static size_t stream_header(const struct client *client, uint32_t id, uint32_t number,
			    unsigned char head[ROT13_HEADER])
{
	if (client->protocol == PROTOCOL_ECHO) {
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
static size_t stream_slice(const struct client *client, uint32_t id, uint32_t number)
{
	return mix(client->seed ^ ((uint64_t)id << 32 | number)) % CLIENT_PATTERN;
}

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Bytes offset..offset+length of one message, at least one, of either table. */
static void stream_fill(const struct client *client, const unsigned char *table, uint32_t id,
			uint32_t number, size_t offset, unsigned char *out, size_t length)
{
	unsigned char head[ROT13_HEADER];
	size_t head_bytes = stream_header(client, id, number, head), start, n;
	bool back = table == client->due && client->protocol == PROTOCOL_ROT13;
	unsigned char *end = out + length, *last = out + (length - 1);

	if (offset < head_bytes) {
		n = smaller(head_bytes - offset, length);
		for (size_t i = 0; i < n; i++)
			out[i] = back ? rot13(head[offset + i]) : head[offset + i];
		out += n;
		offset += n;
	}
	start = stream_slice(client, id, number);
	while (out < end) {
		size_t at = (start + offset) % CLIENT_PATTERN;

		n = smaller((size_t)(end - out), 2 * CLIENT_PATTERN - at);
		memcpy(out, table + at, n);
		out += n;
		offset += n;
	}
	if (client->protocol == PROTOCOL_ROT13 && offset == client->request_bytes)
		*last = '\n';
}

const char *client_produce(const struct client *client, uint32_t id, uint32_t number, size_t offset,
			   size_t max, char *scratch, size_t scratch_bytes, size_t *length)
{
	size_t done = 0;

	if (client->protocol == PROTOCOL_HTTP) {
		*length = smaller(max, client->requests_bytes - offset);
		return client->requests + offset;
	}
	max = smaller(max, scratch_bytes);
	while (done < max) {
		size_t n = smaller(max - done, client->request_bytes - offset);

		stream_fill(client, client->sent, id, number, offset,
			    (unsigned char *)scratch + done, n);
		done += n;
		number++;
		offset = 0;
	}
	*length = done;
	return scratch;
}

/* Are `length` bytes those from `offset` on of the reply that is due? */
static bool stream_matches(const struct client *client, uint32_t id, uint32_t number, size_t offset,
			   const unsigned char *data, size_t length)
{
	unsigned char due[256];

	while (length) {
		size_t n = smaller(length, sizeof(due));

		/* Past the header the pattern can be compared where it lies. */
		if (client->protocol == PROTOCOL_ECHO && offset >= ECHO_HEADER) {
			size_t at = (stream_slice(client, id, number) + offset) % CLIENT_PATTERN;

			n = smaller(length, 2 * CLIENT_PATTERN - at);
			if (memcmp(client->due + at, data, n) != 0)
				return false;
		} else {
			stream_fill(client, client->due, id, number, offset, due, n);
			if (memcmp(due, data, n) != 0)
				return false;
		}
		data += n;
		offset += n;
		length -= n;
	}
	return true;
}

static enum reply_result stream_feed(struct client *client, struct reply *reply, uint32_t id,
				     uint32_t number, const char *data, size_t length, size_t *used)
{
	size_t seen = (size_t)reply->left, n = smaller(length, client->request_bytes - seen);

	*used = n;
	if (client->verify &&
	    !stream_matches(client, id, number, seen, (const unsigned char *)data, n))
		return REPLY_MISMATCH;
	if (seen + n < client->request_bytes) {
		reply->left = seen + n;
		return REPLY_MORE;
	}
	reply->left = 0;
	return REPLY_DONE;
}

/* The reply is complete: make ready for the next, keeping only whether the server closes. */
static enum reply_result http_end(struct reply *reply)
{
	bool good = reply->status >= 200 && reply->status < 400;

	reply->state = AT_START;
	reply->flags &= CLOSES;
	reply->head_seen = 0;
	return good ? REPLY_DONE : REPLY_STATUS;
}

/* Does the line begin with `name`? If so, *value is what follows it and its blanks. */
static bool header_is(const char *line, const char *name, const char **value)
{
	size_t length = strlen(name);

	if (strncmp(line, name, length) != 0)
		return false;
	*value = line + length + strspn(line + length, " \t");
	return true;
}

static bool parse_digits(const char *text, unsigned int base, uint64_t *out)
{
	uint64_t value = 0;

	if (!isxdigit((unsigned char)*text))
		return false;
	for (; isxdigit((unsigned char)*text); text++) {
		unsigned int digit = (unsigned int)(*text <= '9' ? *text - '0' : *text - 'a' + 10);

		if (digit >= base || value >> 56)
			return false;
		value = value * base + digit;
	}
	text += strspn(text, " \t");
	*out = value;
	return *text == '\0' || (base == 16 && *text == ';');
}

static bool http_status_line(struct reply *reply)
{
	const char *line = reply->line;

	if (strncmp(line, "http/1.", 7) != 0 || (line[7] != '0' && line[7] != '1') ||
	    line[8] != ' ' || !isdigit((unsigned char)line[9]) ||
	    !isdigit((unsigned char)line[10]) || !isdigit((unsigned char)line[11]) ||
	    (line[12] != ' ' && line[12] != '\0'))
		return false;
	reply->status = (uint16_t)((line[9] - '0') * 100 + (line[10] - '0') * 10 + line[11] - '0');
	/* HTTP/1.0 closes unless it says keep-alive. */
	reply->flags = line[7] == '0' ? CLOSES : 0;
	reply->state = IN_HEADER;
	return reply->status >= 100 && reply->status < 600;
}

static bool http_header(struct reply *reply)
{
	const char *value;

	if (header_is(reply->line, "content-length:", &value)) {
		uint64_t length;

		if (reply->flags & CUT || !parse_digits(value, 10, &length))
			return false;
		/* The same again does no harm; two that differ are an attack, or a fault. */
		if (reply->flags & HAS_LENGTH && length != reply->left)
			return false;
		reply->flags |= HAS_LENGTH;
		reply->left = length;
		return true;
	}
	if (header_is(reply->line, "transfer-encoding:", &value) && strstr(value, "chunked"))
		reply->flags |= CHUNKED;
	if (header_is(reply->line, "connection:", &value)) {
		if (strstr(value, "close"))
			reply->flags |= CLOSES;
		else if (strstr(value, "keep-alive"))
			reply->flags &= (uint8_t)~CLOSES;
	}
	return true;
}

/* The head is complete: decide how the body is framed. */
static enum reply_result http_head_end(struct reply *reply)
{
	if (reply->status < 200) { /* an interim reply; the real one follows */
		reply->state = AT_START;
		return REPLY_MORE;
	}
	if (reply->status == 204 || reply->status == 304)
		return http_end(reply);
	if (reply->flags & CHUNKED) {
		reply->state = IN_CHUNK_SIZE;
		return REPLY_MORE;
	}
	if (!(reply->flags & HAS_LENGTH)) {
		reply->flags |= CLOSES;
		reply->state = UNTIL_CLOSE;
		return REPLY_MORE;
	}
	if (reply->left == 0)
		return http_end(reply);
	reply->state = IN_BODY;
	return REPLY_MORE;
}

/* A line of the head, of chunked framing or of the trailer is complete. */
static enum reply_result http_line(struct reply *reply)
{
	bool empty = reply->line_length == 0;

	switch ((enum state)reply->state) {
	case AT_START:
	case IN_STATUS_LINE:
		return http_status_line(reply) ? REPLY_MORE : REPLY_GARBAGE;
	case IN_HEADER:
		if (empty)
			return http_head_end(reply);
		return http_header(reply) ? REPLY_MORE : REPLY_GARBAGE;
	case IN_CHUNK_SIZE:
		if (!parse_digits(reply->line, 16, &reply->left))
			return REPLY_GARBAGE;
		if (reply->flags & CUT && !strchr(reply->line, ';')) /* digits are missing */
			return REPLY_GARBAGE;
		reply->state = reply->left ? IN_CHUNK : IN_TRAILER;
		return REPLY_MORE;
	case AFTER_CHUNK:
		reply->state = IN_CHUNK_SIZE;
		return empty ? REPLY_MORE : REPLY_GARBAGE;
	case IN_TRAILER:
		return empty ? http_end(reply) : REPLY_MORE;
	case IN_BODY:
	case UNTIL_CLOSE:
	case IN_CHUNK:
		break;
	}
	return REPLY_GARBAGE;
}

/* One byte of a line; keeps the beginning, in lower case and without the line end. */
static enum reply_result http_line_byte(struct reply *reply, char c)
{
	enum reply_result result;

	if (c == '\0') /* no line may hold it (RFC 9110, 5.5), and to us a line would end there */
		return REPLY_GARBAGE;
	if (c != '\n') {
		if (reply->line_length < CLIENT_LINE - 1)
			reply->line[reply->line_length++] = (char)tolower((unsigned char)c);
		else if (c != '\r')
			reply->flags |= CUT;
		return REPLY_MORE;
	}
	if (reply->line_length && reply->line[reply->line_length - 1] == '\r')
		reply->line_length--;
	reply->line[reply->line_length] = '\0';
	result = http_line(reply);
	reply->line_length = 0;
	reply->flags &= (uint8_t)~CUT;
	return result;
}

static bool in_body(const struct reply *reply)
{
	return reply->state == IN_BODY || reply->state == IN_CHUNK || reply->state == UNTIL_CLOSE;
}

/* Skip body bytes at data; returns how many, *result is set if the reply ends with them. */
static size_t http_body(struct reply *reply, size_t length, enum reply_result *result)
{
	size_t n;

	if (reply->state == UNTIL_CLOSE)
		return length;
	n = reply->left < length ? (size_t)reply->left : length;
	reply->left -= n;
	if (reply->left == 0) {
		if (reply->state == IN_BODY)
			*result = http_end(reply);
		else
			reply->state = AFTER_CHUNK;
	}
	return n;
}

/* The head of an ordinary reply was at `data` in one piece: remember it for http_fast(). */
static void http_remember(struct client *client, const struct reply *reply, const char *data,
			  size_t head)
{
	if (head > CLIENT_TEMPLATE || (reply->flags & (CLOSES | CHUNKED)) || reply->status < 200 ||
	    reply->status >= 300 || !(reply->flags & HAS_LENGTH) || reply->state != IN_BODY)
		return;
	memcpy(client->template, data, head);
	client->template_bytes = head;
	client->template_body = reply->left;
}

static enum reply_result http_parse(struct client *client, struct reply *reply, const char *data,
				    size_t length, size_t *used)
{
	bool whole = reply->state == AT_START && reply->head_seen == 0;
	enum reply_result result = REPLY_MORE;
	size_t i = 0;

	if (reply->state == AT_START)
		reply->state = IN_STATUS_LINE;
	while (i < length && result == REPLY_MORE) {
		if (in_body(reply)) {
			i += http_body(reply, length - i, &result);
			continue;
		}
		if (++reply->head_seen > CLIENT_HEAD_MAX) {
			result = REPLY_GARBAGE;
			break;
		}
		result = http_line_byte(reply, data[i++]);
		if (whole && reply->state == IN_BODY) {
			http_remember(client, reply, data, i);
			whole = false;
		}
		if (reply->state == IN_CHUNK)
			reply->head_seen = 0;
	}
	*used = i;
	return result;
}

static enum reply_result http_feed(struct client *client, struct reply *reply, const char *data,
				   size_t length, size_t *used)
{
	size_t head = client->template_bytes;

	/* Nearly every reply begins with the very bytes of the one before it. */
	if (reply->state == AT_START && reply->head_seen == 0 && head && length >= head &&
	    memcmp(data, client->template, head) == 0) {
		if (length - head >= client->template_body) {
			*used = head + (size_t)client->template_body;
			reply->flags = 0; /* only replies that keep the connection are templates */
			return REPLY_DONE;
		}
		reply->status = 200;
		reply->flags = HAS_LENGTH;
		reply->state = IN_BODY;
		reply->left = client->template_body - (length - head);
		*used = length;
		return REPLY_MORE;
	}
	return http_parse(client, reply, data, length, used);
}

enum reply_result client_feed(struct client *client, struct reply *reply, uint32_t id,
			      uint32_t number, const char *data, size_t length, size_t *used)
{
	if (client->protocol == PROTOCOL_HTTP)
		return http_feed(client, reply, data, length, used);
	return stream_feed(client, reply, id, number, data, length, used);
}

enum reply_result client_eof(struct reply *reply)
{
	if (reply->state != UNTIL_CLOSE)
		return REPLY_MORE;
	return http_end(reply);
}

bool reply_closes(const struct reply *reply)
{
	return reply->flags & CLOSES;
}

/* Read connection and request number back from the head of a message that came in its place. */
static bool stream_decode(const struct client *client, const unsigned char *data, size_t length,
			  uint32_t *id, uint32_t *number)
{
	*id = *number = 0;
	if (client->protocol == PROTOCOL_ECHO) {
		if (length < ECHO_HEADER || client->request_bytes <= ECHO_HEADER)
			return false;
		for (int i = 0; i < 4; i++) {
			*number |= (uint32_t)data[2 * i] << 8 * i;
			*id |= (uint32_t)data[2 * i + 1] << 8 * i;
		}
	} else {
		if (length < ROT13_HEADER || client->request_bytes <= ROT13_HEADER)
			return false;
		for (int i = 0; i < 8; i++) {
			*number |= (uint32_t)((rot13(data[2 * i]) - 'a') & 15) << 4 * i;
			*id |= (uint32_t)((rot13(data[2 * i + 1]) - 'a') & 15) << 4 * i;
		}
	}
	/* Believe the numbers only if the bytes after them fit. */
	return stream_matches(client, *id, *number, 0, data,
			      smaller(length, client->request_bytes));
}

void client_explain(const struct client *client, const struct reply *reply, uint32_t id,
		    uint32_t number, const char *data, size_t length, char *text, size_t size)
{
	const unsigned char *bytes = (const unsigned char *)data;
	size_t offset = (size_t)reply->left, n, i = 0;
	uint32_t other_id, other_number;
	unsigned char due = 0;

	if (client->protocol == PROTOCOL_HTTP) {
		snprintf(text, size, "connection %u, reply %u: not a well-formed HTTP/1.x reply",
			 id, number);
		return;
	}
	if (offset == 0 && stream_decode(client, bytes, length, &other_id, &other_number)) {
		snprintf(text, size,
			 "connection %u, request %u: got the reply to request %u of connection %u",
			 id, number, other_number, other_id);
		return;
	}
	n = smaller(length, client->request_bytes - offset);
	for (; i < n; i++) {
		stream_fill(client, client->due, id, number, offset + i, &due, 1);
		if (due != bytes[i])
			break;
	}
	snprintf(text, size,
		 "connection %u, request %u: byte %zu of %zu is 0x%02x, should be 0x%02x", id,
		 number, offset + i, client->request_bytes, i < n ? bytes[i] : 0, due);
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
