/* SPDX-License-Identifier: MIT
 * What the protocols must answer to a whole stream of bytes, however it arrives. Written from the
 * RFCs and common/wire.h, and slow and plain on purpose: none of it is shared with servers/lib.
 */
#ifndef TENK_TESTS_ORACLE_H
#define TENK_TESTS_ORACLE_H

#include <arpa/inet.h>
#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/wire.h"
#include "tests/lib/drive.h"

/* --- rot13 ---------------------------------------------------------------------------------- */

static inline char oracle_letter(char ch)
{
	static const char from[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	static const char to[] = "NOPQRSTUVWXYZABCDEFGHIJKLMnopqrstuvwxyzabcdefghijklm";
	static char table[256];

	if (!table['a']) {
		for (size_t i = 0; i < sizeof(table); i++)
			table[i] = (char)i;
		for (size_t i = 0; from[i]; i++)
			table[(unsigned char)from[i]] = to[i];
	}
	return table[(unsigned char)ch];
}

/* Appends the answer to `due`; returns whether a line was too long, which ends the connection. */
static inline bool oracle_rot13(const char *data, size_t len, struct text *due)
{
	size_t line = 0;

	for (size_t i = 0; i < len; i++) {
		if (data[i] != '\n' && i - line == ROT13_LINE_MAX)
			return true;
		if (data[i] != '\n')
			continue;
		for (; line <= i; line++)
			text_add(due, (char[]){oracle_letter(data[line])}, 1);
	}
	return false;
}

/* --- http ----------------------------------------------------------------------------------- */

struct slice {
	const char *at;
	size_t len;
};

/* One reply that is due. */
struct http_reply {
	int status;
	bool bodiless;   /* to HEAD: Content-Length without the bytes */
	bool close;      /* with Connection: close, and the last */
	bool keep_alive; /* with Connection: keep-alive, for HTTP/1.0 */
	bool any_length; /* what an error's body says is the server's business */
	uint64_t length;
	const char *pattern; /* its body repeats this */
};

struct http_due {
	struct http_reply replies[4096];
	size_t n;
	bool closes;         /* the last reply says so */
	bool unsure;         /* more than one answer is right from here on */
	uint64_t body_bytes; /* of all bodies */
	uint64_t pause_us;   /* of all /work and /sleep */
};

struct http_request {
	struct slice method, target, version;
	size_t hosts, bytes;
	uint64_t content_length;
	bool has_length, has_coding, close, keep_alive, bad_host, odd;
};

static inline bool slice_is(struct slice s, const char *word)
{
	return s.len == strlen(word) && strncasecmp(s.at, word, s.len) == 0;
}

/* Byte for byte, where case matters. */
static inline bool slice_equals(struct slice s, const char *word)
{
	return s.len == strlen(word) && memcmp(s.at, word, s.len) == 0;
}

static inline bool slice_begins(struct slice s, const char *word)
{
	return s.len >= strlen(word) && memcmp(s.at, word, strlen(word)) == 0;
}

/* The part before the first of `stops`; *rest is what stands from it on. */
static inline struct slice slice_until(struct slice s, const char *stops, struct slice *rest)
{
	size_t n = 0;

	while (n < s.len && !(s.at[n] && strchr(stops, s.at[n])))
		n++;
	*rest = (struct slice){s.at + n, s.len - n};
	return (struct slice){s.at, n};
}

static inline struct slice slice_skip(struct slice s, size_t n)
{
	return (struct slice){s.at + n, s.len - n};
}

static inline struct slice slice_trim(struct slice s)
{
	while (s.len && (s.at[0] == ' ' || s.at[0] == '\t'))
		s = slice_skip(s, 1);
	while (s.len && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t'))
		s.len--;
	return s;
}

/* RFC 9110, 5.6.2 */
static inline bool slice_is_token(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char ch = (unsigned char)s.at[i];

		if (ch >= 0x7f || ch <= ' ' || strchr("\"(),/:;<=>?@[\\]{}", ch))
			return false;
	}
	return s.len > 0;
}

/* 1*DIGIT, however long; a value beyond 10^18 stands for all of them. */
static inline bool slice_number(struct slice s, uint64_t *value)
{
	const uint64_t most = 1000000000000000000;

	*value = 0;
	for (size_t i = 0; i < s.len; i++) {
		if (!isdigit((unsigned char)s.at[i]))
			return false;
		*value = *value * 10 + (uint64_t)(s.at[i] - '0');
		if (*value > most)
			*value = most;
	}
	return s.len > 0;
}

enum host {
	HOST_VALID,
	HOST_INVALID,
	HOST_ODD, /* outside the grammar, but harmless: a server may or may not refuse it */
};

/* What stands between the brackets of an IP literal: IPv6address or IPvFuture (RFC 3986, 3.2.2). */
static inline enum host oracle_literal(struct slice s)
{
	char text[INET6_ADDRSTRLEN] = "";
	struct in6_addr address;

	if (s.len < sizeof(text) && !memchr(s.at, '\0', s.len)) {
		memcpy(text, s.at, s.len);
		if (inet_pton(AF_INET6, text, &address) == 1)
			return HOST_VALID;
	}
	if (s.len && (s.at[0] == 'v' || s.at[0] == 'V'))
		return HOST_ODD; /* of the future: nobody needs to know it */
	for (size_t i = 0; i < s.len; i++) {
		if (!isxdigit((unsigned char)s.at[i]) && s.at[i] != ':' && s.at[i] != '.')
			return HOST_INVALID;
	}
	return HOST_ODD; /* no address, though it has its letters */
}

/* uri-host [ ":" port ] (RFC 9110, 7.2; RFC 3986, 3.2.2); may be empty. */
static inline enum host oracle_host(struct slice s)
{
	bool literal = s.len && s.at[0] == '[';
	enum host host = HOST_VALID;
	struct slice port, name = slice_until(s, literal ? "]" : ":", &port);
	uint64_t n;

	if (literal) {
		if (!port.len)
			return HOST_INVALID;
		host = oracle_literal(slice_skip(name, 1));
		port = slice_skip(port, 1);
	}
	for (size_t i = 0; i < name.len && !literal; i++) {
		unsigned char ch = (unsigned char)name.at[i];

		if (ch <= ' ' || ch >= 0x7f || strchr("/?#@\\", ch))
			return HOST_INVALID;
		if (!isalnum(ch) && !strchr("-._~!$&'()*+,;=", ch))
			host = HOST_ODD; /* also "%", without looking behind it */
	}
	if (port.len &&
	    (port.at[0] != ':' || (port.len > 1 && !slice_number(slice_skip(port, 1), &n))))
		return HOST_INVALID;
	return host;
}

/* The request line: 0, or the status of what is wrong with it. 405 alone lets the rest be read. */
static inline int oracle_request_line(struct http_request *q, struct slice line, bool *unsure)
{
	static const char *const others[] = {"POST",    "PUT",   "DELETE", "CONNECT",
					     "OPTIONS", "TRACE", "PATCH"};
	struct slice rest;
	const char *v;

	q->method = slice_until(line, " ", &rest);
	if (!rest.len)
		return 400;
	q->target = slice_until(slice_skip(rest, 1), " ", &rest);
	if (!rest.len)
		return 400;
	q->version = slice_skip(rest, 1);
	v = q->version.at;
	if (q->version.len != 8 || !slice_begins(q->version, "HTTP/") ||
	    !isdigit((unsigned char)v[5]) || v[6] != '.' || !isdigit((unsigned char)v[7]))
		return 400;
	if (v[5] != '1')
		return 505;
	if (!slice_is_token(q->method))
		return 400;
	for (size_t i = 0; i < q->target.len; i++) {
		if ((unsigned char)q->target.at[i] <= ' ' ||
		    (unsigned char)q->target.at[i] >= 0x7f) {
			/* Is it told before or after the unknown method? */
			*unsure |=
				!slice_equals(q->method, "GET") && !slice_equals(q->method, "HEAD");
			return 400;
		}
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
		if (slice_equals(q->method, others[i])) {
			/* CONNECT and OPTIONS have forms of their own; nothing is answered to them.
			 */
			*unsure |= q->target.len && q->target.at[0] != '/' &&
				   !slice_is(q->target, "*");
			return q->target.len ? 405 : 400;
		}
	}
	if (!slice_equals(q->method, "GET") && !slice_equals(q->method, "HEAD")) {
		*unsure |= !q->target.len;
		return 501;
	}
	if (q->target.len >= 7 && strncasecmp(q->target.at, "http://", 7) == 0) {
		struct slice authority = slice_until(slice_skip(q->target, 7), "/?#", &rest);

		*unsure |= oracle_host(authority) != HOST_VALID;
		if (!authority.len || authority.at[0] == ':')
			return 400; /* RFC 9110, 4.2.1 */
		q->target = rest.len && rest.at[0] == '/' ? rest : (struct slice){"/", 1};
	}
	*unsure |= memchr(q->target.at, '#', q->target.len) != NULL;
	return q->target.len && q->target.at[0] == '/' ? 0 : 400;
}

static inline int oracle_header(struct http_request *q, struct slice line)
{
	struct slice value, item, name = slice_until(line, ":", &value);
	uint64_t n;

	if (!value.len || !slice_is_token(name))
		return 400;
	value = slice_trim(slice_skip(value, 1));
	if (memchr(value.at, '\0', value.len) || memchr(value.at, '\r', value.len))
		return 400;
	if (slice_is(name, "host")) {
		q->hosts++;
		q->bad_host |= oracle_host(value) == HOST_INVALID;
		q->odd |= oracle_host(value) == HOST_ODD;
	} else if (slice_is(name, "content-length")) {
		if (!slice_number(value, &n) || (q->has_length && n != q->content_length))
			return 400;
		q->odd |=
			q->has_length && n > UINT32_MAX; /* same? they are only known to be huge */
		q->has_length = true;
		q->content_length = n;
	} else if (slice_is(name, "transfer-encoding")) {
		q->has_coding = true;
	} else if (slice_is(name, "expect")) {
		q->close = true;
	} else if (slice_is(name, "connection")) {
		while (value.len) {
			item = slice_trim(slice_until(value, ",", &value));
			q->close |= slice_is(item, "close");
			q->keep_alive |= slice_is(item, "keep-alive");
			value = slice_skip(value, value.len > 0);
		}
	}
	return 0;
}

/* What is wrong with a head of which every line is sound. */
static inline int oracle_head(const struct http_request *q, int status)
{
	bool http10 = q->version.at[7] == '0';

	if (q->hosts > 1 || (!http10 && q->hosts == 0) || q->bad_host)
		return 400; /* RFC 9112, 3.2 */
	if (q->has_coding)
		return q->has_length ? 400 : 501; /* RFC 9112, 6.1 and 6.3 */
	return q->content_length > HTTP_REQUEST_BODY_MAX ? 413 : status;
}

/*
 * One request from the `len` bytes at `data`. Returns its status (0: sound), or -1 while its head
 * is not complete; q->bytes is the length of the head.
 */
static inline int oracle_request(struct http_request *q, const char *data, size_t len, bool *unsure)
{
	size_t seen = len < HTTP_HEAD_MAX ? len : HTTP_HEAD_MAX;
	size_t at = 0;
	int status = 0;
	bool first = true;

	*q = (struct http_request){0};
	while (at + 1 < seen && data[at] == '\r' && data[at + 1] == '\n')
		at += 2;
	while (at < seen) {
		const char *nl = memchr(data + at, '\n', seen - at);
		struct slice line = {data + at, nl ? (size_t)(nl - data) - at : 0};
		int error;

		if (!nl)
			break;
		at += line.len + 1;
		if (!line.len || line.at[line.len - 1] != '\r')
			return 400;
		line.len--;
		if (!line.len) {
			q->bytes = at;
			return oracle_head(q, status);
		}
		error = first ? oracle_request_line(q, line, unsure) : oracle_header(q, line);
		if (error && error != 405)
			return error;
		status = error ? error : status;
		first = false;
	}
	if (q->bad_host || q->hosts > 1)
		*unsure = true; /* may be told at its line: 400, or not until the end */
	return len >= HTTP_HEAD_MAX ? 431 : -1; /* its end would come too late */
}

/* What is due to a sound GET or HEAD. */
static inline void oracle_resource(const struct http_request *q, struct http_due *due,
				   struct http_reply *reply)
{
	struct slice query, path = slice_until(q->target, "?", &query);
	uint64_t n;

	reply->status = 200;
	if (slice_equals(path, "/")) {
		reply->pattern = HTTP_ROOT_BODY;
		reply->length = strlen(HTTP_ROOT_BODY);
	} else if (slice_begins(path, "/bytes/") && slice_number(slice_skip(path, 7), &n) &&
		   n <= HTTP_BYTES_MAX) {
		reply->pattern = HTTP_BYTES_PATTERN;
		reply->length = n;
	} else if (slice_begins(path, "/work/") && slice_number(slice_skip(path, 6), &n) &&
		   n <= HTTP_PAUSE_US_MAX) {
		reply->any_length = true;
		due->pause_us += n;
	} else if (slice_begins(path, "/sleep/") && slice_number(slice_skip(path, 7), &n) &&
		   n <= HTTP_PAUSE_US_MAX) {
		reply->any_length = true;
		due->pause_us += n;
	} else {
		reply->status = 404;
		reply->any_length = true;
	}
	if (!reply->bodiless)
		due->body_bytes += reply->length;
}

static inline void oracle_http(const char *data, size_t len, struct http_due *due)
{
	size_t at = 0;

	due->n = 0;
	due->closes = due->unsure = false;
	due->body_bytes = due->pause_us = 0;
	while (at < len && !due->closes && !due->unsure) {
		struct http_reply *reply = &due->replies[due->n];
		struct http_request q;
		int status = oracle_request(&q, data + at, len - at, &due->unsure);
		bool http10;

		due->unsure |= q.odd;
		if (status < 0 || due->unsure)
			return;
		if (due->n == sizeof(due->replies) / sizeof(*due->replies)) {
			due->unsure = true;
			return;
		}
		http10 = q.version.len == 8 && q.version.at[7] == '0';
		*reply = (struct http_reply){.any_length = status != 0, .status = status};
		reply->bodiless = q.method.len && slice_equals(q.method, "HEAD");
		reply->close = (status && status != 405) || q.close || (http10 && !q.keep_alive);
		reply->keep_alive = http10 && !reply->close;
		if (!status)
			oracle_resource(&q, due, reply);
		if (due->unsure)
			return;
		due->n++;
		due->closes = reply->close;
		if (q.content_length > len - at - q.bytes)
			return; /* the rest is a part of its body */
		at += q.bytes + q.content_length;
	}
}

/* One reply at the beginning of `said`: NULL and the bytes of its body, or what is wrong with it.
 */
static inline const char *oracle_check_reply(const struct http_reply *due, struct slice said,
					     size_t *body)
{
	const char *end = memmem(said.at, said.len, "\r\n\r\n", 4);
	uint64_t length = 0;
	size_t lengths = 0;
	bool close = false, keep_alive = false, allow = false;
	struct slice head, line, value;
	char status[16];

	if (!end)
		return "no reply, or half a head, where one is due";
	head = (struct slice){said.at, (size_t)(end + 2 - said.at)};
	line = slice_until(head, "\r", &head);
	snprintf(status, sizeof(status), "HTTP/1.1 %d ", due->status);
	if (!slice_begins(line, status) || line.len == strlen(status))
		return "another status line than is due";
	for (head = slice_skip(head, 2); head.len; head = slice_skip(head, 2)) {
		line = slice_until(head, "\r", &head);
		line = slice_until(line, ":", &value);
		if (!slice_is_token(line) || !value.len || head.len < 2 || head.at[1] != '\n')
			return "a reply header that is none";
		value = slice_trim(slice_skip(value, 1));
		if (slice_is(line, "content-length") && slice_number(value, &length))
			lengths++;
		close |= slice_is(line, "connection") && slice_is(value, "close");
		keep_alive |= slice_is(line, "connection") && slice_is(value, "keep-alive");
		allow |= slice_is(line, "allow") && slice_is(value, "GET, HEAD");
	}
	if (lengths != 1 || (!due->any_length && length != due->length))
		return "wrong Content-Length";
	if (close != due->close)
		return close ? "it closes without need" : "it does not say that it closes";
	if (due->keep_alive && !keep_alive)
		return "HTTP/1.0 was not told that the connection stays";
	if (due->status == 405 && !allow)
		return "405 without Allow: GET, HEAD (RFC 9110, 15.5.6)";
	said = slice_skip(said, (size_t)(end + 4 - said.at));
	if (due->bodiless)
		length = 0;
	if (length > said.len)
		return "the body is cut short";
	for (uint64_t i = 0; due->pattern && i < length; i++) {
		if (said.at[i] != due->pattern[i % strlen(due->pattern)])
			return "wrong bytes in the body";
	}
	*body = length;
	return NULL;
}

/* Is `said` what is due, no less and (unless unsure) no more? NULL, or what is wrong with it. */
static inline const char *oracle_check(const struct http_due *due, const char *said, size_t len)
{
	struct slice rest = {said, len};

	for (size_t i = 0; i < due->n; i++) {
		const char *head = rest.len ? memmem(rest.at, rest.len, "\r\n\r\n", 4) : NULL;
		size_t body = 0;
		const char *wrong = oracle_check_reply(&due->replies[i], rest, &body);

		if (wrong)
			return wrong;
		rest = slice_skip(rest, (size_t)(head + 4 - rest.at) + body);
	}
	return rest.len && !due->unsure ? "more replies than are due" : NULL;
}

#endif
