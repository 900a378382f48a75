// SPDX-License-Identifier: MIT
#include "loadgen/client_redis.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/parse.h"

/*
 * A reply is one line, which its first byte says the kind of: + a word, - an error, : a number, $ the
 * length of a string that follows with a line end of its own ($-1: there is none). Arrays are no
 * reply to PING or GET.
 */
enum { IN_LINE, IN_STRING };
enum { LONGEST_LINE = 1024, LONGEST_STRING = 1 << 30 };

size_t redis_request(const struct target *target, char *out, size_t size)
{
	const char *key = target->path + 1;

	if (!*key)
		return (size_t)snprintf(out, size, "*1\r\n$4\r\nPING\r\n");
	return (size_t)snprintf(out, size, "*2\r\n$3\r\nGET\r\n$%zu\r\n%s\r\n", strlen(key), key);
}

static enum reply_result end(struct reply *reply, bool good)
{
	memset(reply, 0, sizeof(*reply));
	return good ? REPLY_DONE : REPLY_STATUS;
}

/* The line is complete, without its end. */
static enum reply_result take_line(struct reply *reply)
{
	int64_t length;

	switch (*reply->line) {
	case '+':
	case ':':
		return end(reply, true);
	case '-':
		return end(reply, false);
	case '$':
		if (!parse_int(reply->line + 1, -1, LONGEST_STRING, &length))
			return REPLY_GARBAGE;
		if (length < 0)
			return end(reply, false);
		reply->left = (uint64_t)length + 2;
		reply->state = IN_STRING;
		return REPLY_MORE;
	default:
		return REPLY_GARBAGE;
	}
}

static enum reply_result take_byte(struct reply *reply, char c)
{
	enum reply_result result;

	if (c == '\n') {
		if (!reply->line_length || reply->line[reply->line_length - 1] != '\r')
			return REPLY_GARBAGE;
		reply->line[reply->line_length - 1] = '\0';
		result = take_line(reply);
		reply->line_length = 0;
		reply->head_seen = 0;
		return result;
	}
	if (c == '\0' || ++reply->head_seen > LONGEST_LINE)
		return REPLY_GARBAGE;
	/* Of a long line the beginning is kept, and its last byte. */
	if (reply->line_length == REPLY_LINE - 1)
		reply->line[reply->line_length - 1] = c;
	else
		reply->line[reply->line_length++] = c;
	return REPLY_MORE;
}

enum reply_result redis_feed(struct reply *reply, const char *data, size_t length, size_t *used)
{
	enum reply_result result = REPLY_MORE;
	size_t i = 0;

	while (i < length && result == REPLY_MORE) {
		if (reply->state == IN_LINE) {
			result = take_byte(reply, data[i++]);
		} else if (reply->left > 2) {
			size_t n = smaller(length - i, (size_t)(reply->left - 2));

			reply->left -= n;
			i += n;
		} else if (data[i++] != (reply->left == 2 ? '\r' : '\n')) {
			result = REPLY_GARBAGE;
		} else if (--reply->left == 0) {
			result = end(reply, true);
		}
	}
	*used = i;
	return result;
}
