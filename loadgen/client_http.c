// SPDX-License-Identifier: MIT
#include "loadgen/client_http.h"

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

enum {
	CLOSES = 1,
	CHUNKED = 2,
	HAS_LENGTH = 4,
	CUT = 8,      /* line[] is not the whole line */
	NO_BODY = 16, /* the reply to HEAD */
	CODED = 32    /* in a way that only the close ends, whatever its length is said to be */
};

bool http_init(struct client_http *http, const struct target *target, uint64_t seed)
{
	memset(http, 0, sizeof(*http));
	http->ask = target->ask;
	http->seed = seed;
	http->requests = calloc(ask_count(target->ask), sizeof(*http->requests));
	if (!http->requests)
		return false;
	for (; http->count < ask_count(target->ask); http->count++) {
		struct ask_request *one = &http->requests[http->count];

		if (!ask_render(target, http->count, one))
			return false;
		http->any_head |= one->head;
	}
	return true;
}

void http_free(struct client_http *http)
{
	for (size_t i = 0; i < http->count; i++)
		free(http->requests[i].bytes);
	free(http->requests);
	http->requests = NULL;
	http->count = 0;
}

const struct ask_request *http_request_of(const struct client_http *http, uint32_t id,
					  uint32_t number)
{
	size_t i = http->count > 1 ? ask_pick(http->ask, http->seed, id, number) : 0;

	return &http->requests[i];
}

size_t http_class_of(const struct client_http *http, uint32_t id, uint32_t number)
{
	return http->ask->lines[ask_pick(http->ask, http->seed, id, number)].class;
}

const char *http_produce(const struct client_http *http, uint32_t id, uint32_t number,
			 size_t offset, size_t max, size_t *length)
{
	const struct ask_request *one = http_request_of(http, id, number);

	*length = smaller(max, one->length - offset);
	return one->bytes + offset;
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
	reply->flags = (uint8_t)((line[7] == '0' ? CLOSES : 0) | (reply->flags & NO_BODY));
	reply->state = IN_HEADER;
	return reply->status >= 100 && reply->status < 600;
}

/*
 * Transfer-Encoding, one line of possibly several. The last coding of all decides: chunked frames
 * the body, another one is over when the server closes (RFC 9112, 6.3). "identity" is none; it was
 * allowed once (RFC 2616, 3.6).
 */
static bool http_codings(struct reply *reply, const char *value)
{
	const char *comma = strrchr(value, ','), *last = comma ? comma + 1 : value;
	size_t length;

	if (reply->flags & CUT) /* the last one is not there */
		return false;
	last += strspn(last, " \t");
	length = strcspn(last, " \t");
	reply->flags &= (uint8_t) ~(CHUNKED | CODED);
	if (length == 7 && memcmp(last, "chunked", length) == 0)
		reply->flags |= CHUNKED;
	else if (length && (length != 8 || memcmp(last, "identity", length) != 0))
		reply->flags |= CODED;
	return true;
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
	if (header_is(reply->line, "transfer-encoding:", &value))
		return http_codings(reply, value);
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
	if (reply->status == 204 || reply->status == 304 || reply->flags & NO_BODY)
		return http_end(reply);
	if (reply->flags & CHUNKED) {
		reply->state = IN_CHUNK_SIZE;
		return REPLY_MORE;
	}
	if (!(reply->flags & HAS_LENGTH) || reply->flags & CODED) {
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
		if (reply->line_length < REPLY_LINE - 1)
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
static void http_remember(struct client_http *http, const struct reply *reply, const char *data,
			  size_t head)
{
	if (http->any_head || head > HTTP_TEMPLATE || (reply->flags & (CLOSES | CHUNKED)) ||
	    reply->status < 200 || reply->status >= 300 || !(reply->flags & HAS_LENGTH) ||
	    reply->state != IN_BODY)
		return;
	memcpy(http->template, data, head);
	http->template_bytes = head;
	http->template_body = reply->left;
}

enum reply_result http_parse(struct client_http *http, struct reply *reply, const char *data,
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
		if (++reply->head_seen > HTTP_HEAD_MAX) {
			result = REPLY_GARBAGE;
			break;
		}
		result = http_line_byte(reply, data[i++]);
		if (whole && reply->state == IN_BODY) {
			http_remember(http, reply, data, i);
			whole = false;
		}
		if (reply->state == IN_CHUNK)
			reply->head_seen = 0;
	}
	*used = i;
	return result;
}

void http_expect(const struct client_http *http, struct reply *reply, uint32_t id, uint32_t number)
{
	if (reply->state == AT_START && http_request_of(http, id, number)->head)
		reply->flags |= NO_BODY;
}

enum reply_result http_feed(struct client_http *http, struct reply *reply, const char *data,
			    size_t length, size_t *used)
{
	size_t head = http->template_bytes;

	/* Nearly every reply begins with the very bytes of the one before it. */
	if (reply->state == AT_START && reply->head_seen == 0 && head && length >= head &&
	    memcmp(data, http->template, head) == 0) {
		if (length - head >= http->template_body) {
			*used = head + (size_t)http->template_body;
			reply->flags = 0; /* only replies that keep the connection are templates */
			return REPLY_DONE;
		}
		reply->status = 200;
		reply->flags = HAS_LENGTH;
		reply->state = IN_BODY;
		reply->left = http->template_body - (length - head);
		*used = length;
		return REPLY_MORE;
	}
	return http_parse(http, reply, data, length, used);
}

enum reply_result http_eof(struct reply *reply)
{
	if (reply->state != UNTIL_CLOSE)
		return REPLY_MORE;
	return http_end(reply);
}

bool http_closes(const struct reply *reply)
{
	return reply->flags & CLOSES;
}
