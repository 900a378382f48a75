// SPDX-License-Identifier: MIT
#include "loadgen/client_memcached.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/*
 * A reply is any number of "VALUE KEY FLAGS BYTES" lines, each with BYTES bytes and a line end after
 * it, and "END". While a line is read, left is the number that its latest word is, status how many
 * words it has begun, and head_seen how long it is.
 */
enum { IN_LINE, IN_VALUE };
enum { HIT = 32, NO_NUMBER = 64 };
enum { LONGEST_LINE = 1024, LONGEST_VALUE = 1 << 30 };

size_t memcached_request(const struct target *target, char *out, size_t size)
{
	return (size_t)snprintf(out, size, "get %s\r\n", target->path + 1);
}

static enum reply_result end(struct reply *reply, bool good)
{
	memset(reply, 0, sizeof(*reply));
	return good ? REPLY_DONE : REPLY_STATUS;
}

/* The line is complete, without its end. */
static enum reply_result take_line(struct reply *reply)
{
	const char *line = reply->line;
	bool hit = reply->flags & HIT;

	if (strcmp(line, "END") == 0)
		return end(reply, hit);
	if (strcmp(line, "ERROR") == 0 || strncmp(line, "CLIENT_ERROR ", 13) == 0 ||
	    strncmp(line, "SERVER_ERROR ", 13) == 0)
		return end(reply, false);
	if (strncmp(line, "VALUE ", 6) != 0 || reply->status != 4 || reply->flags & NO_NUMBER)
		return REPLY_GARBAGE;
	reply->left += 2; /* its line end */
	reply->state = IN_VALUE;
	reply->flags = HIT;
	return REPLY_MORE;
}

static enum reply_result take_byte(struct reply *reply, char c)
{
	enum reply_result result;

	if (c == '\n') {
		if (reply->line_length && reply->line[reply->line_length - 1] == '\r')
			reply->line_length--;
		reply->line[reply->line_length] = '\0';
		result = take_line(reply);
		reply->line_length = 0;
		reply->head_seen = 0;
		reply->status = 0;
		return result;
	}
	if (c == '\0' || ++reply->head_seen > LONGEST_LINE)
		return REPLY_GARBAGE;
	if (reply->line_length < REPLY_LINE - 1)
		reply->line[reply->line_length++] = c;
	if (c == ' ' || reply->head_seen == 1) {
		reply->status++;
		reply->left = 0;
		reply->flags &= (uint8_t)~NO_NUMBER;
	}
	if (isdigit((unsigned char)c) && reply->left < LONGEST_VALUE)
		reply->left = reply->left * 10 + (uint64_t)(c - '0');
	else if (c != ' ' && c != '\r')
		reply->flags |= NO_NUMBER;
	return REPLY_MORE;
}

/* Bytes of a value, and the line end after it; *result is set if that is none. */
static size_t take_value(struct reply *reply, const char *data, size_t length,
			 enum reply_result *result)
{
	size_t n = 1;

	if (reply->left > 2) {
		n = reply->left - 2 < length ? (size_t)(reply->left - 2) : length;
	} else if (*data != (reply->left == 2 ? '\r' : '\n')) {
		*result = REPLY_GARBAGE;
	}
	reply->left -= n;
	if (reply->left == 0)
		reply->state = IN_LINE;
	return n;
}

enum reply_result memcached_feed(struct reply *reply, const char *data, size_t length, size_t *used)
{
	enum reply_result result = REPLY_MORE;
	size_t i = 0;

	while (i < length && result == REPLY_MORE) {
		if (reply->state == IN_VALUE)
			i += take_value(reply, data + i, length - i, &result);
		else
			result = take_byte(reply, data[i++]);
	}
	*used = i;
	return result;
}
