// SPDX-License-Identifier: MIT
// http: as much of HTTP/1.1 (RFC 9110, RFC 9112) as a server of computed replies needs: keep-alive,
// pipelining, GET and HEAD, request bodies passed over, and a clear answer to everything else.
#include "servers/lib/proto.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/die.h"
#include "common/wire.h"
#include "servers/lib/server.h"

/* No reply head is longer; output with less room than this takes no further reply. */
#define REPLY_HEAD_MAX  256
#define PATTERN_LEN     (sizeof(HTTP_BYTES_PATTERN) - 1)
#define FILE_PREFIX     "/file/"
#define FILE_PREFIX_LEN (sizeof(FILE_PREFIX) - 1)

enum connection {
	KEEP_ALIVE,
	CLOSE,
};

struct request {
	const char *target;
	size_t target_len;
	uint64_t body; /* its Content-Length */
	int status;    /* what is wrong with it: 4xx or 5xx, or 0 */
	int hosts;
	bool head; /* HEAD: the reply has no body */
	bool http10, keep_alive, close, has_length, chunked;
};

/* --- reading -------------------------------------------------------------------------------- */

static bool is_token(const char *text, size_t len)
{
	/* tchar of RFC 9110, 5.6.2 */
	static const char extra[] = "!#$%&'*+-.^_`|~";

	for (size_t i = 0; i < len; i++) {
		char ch = text[i];

		if (!((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
		      (ch >= '0' && ch <= '9') || (ch && strchr(extra, ch))))
			return false;
	}
	return len > 0;
}

static bool is(const char *text, size_t len, const char *word)
{
	return len == strlen(word) && strncasecmp(text, word, len) == 0;
}

/* Digits only, no sign, no space. One that does not fit reads as some number beyond all limits. */
static bool read_number(const char *text, size_t len, uint64_t *value)
{
	uint64_t v = 0;

	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(text[i] - '0'), &v))
			v = UINT64_MAX / 10; /* it stays that large whatever follows */
	}
	*value = v;
	return len > 0;
}

static int read_method(struct request *r, const char *text, size_t len)
{
	static const char *const known[] = {"POST",    "PUT",   "DELETE", "CONNECT",
					    "OPTIONS", "TRACE", "PATCH"};

	if (len == 3 && memcmp(text, "GET", 3) == 0)
		return 0;
	if (len == 4 && memcmp(text, "HEAD", 4) == 0) {
		r->head = true;
		return 0;
	}
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		if (len == strlen(known[i]) && memcmp(text, known[i], len) == 0)
			return 405;
	}
	return is_token(text, len) ? 501 : 400;
}

static int read_version(struct request *r, const char *text, size_t len)
{
	if (len != 8 || memcmp(text, "HTTP/", 5) != 0 || text[6] != '.' || text[5] < '0' ||
	    text[5] > '9' || text[7] < '0' || text[7] > '9')
		return 400;
	if (text[5] != '1')
		return 505;
	r->http10 = text[7] == '0';
	return 0;
}

/* host [":" port]: RFC 9110, 7.2; the host is a name or an IP literal in brackets: RFC 3986, 3.2.2.
 */
static bool is_authority(const char *text, size_t len)
{
	const char *at = text, *end = text + len, *colon;

	if (len && *text == '[') {
		at++;
		while (at < end && (isxdigit((unsigned char)*at) || *at == ':' || *at == '.'))
			at++;
		if (at == end || *at++ != ']' || (at < end && *at != ':'))
			return false;
	}
	colon = memchr(at, ':', (size_t)(end - at));
	for (; at < (colon ? colon : end); at++) {
		unsigned char ch = (unsigned char)*at;

		if (ch <= ' ' || ch > '~' || strchr("/?#@\\\"<>^`{|}[]", ch))
			return false;
	}
	for (const char *port = colon ? colon + 1 : end; port < end; port++) {
		if (*port < '0' || *port > '9')
			return false;
	}
	return true;
}

/* Turn the absolute form http://authority/path?query into its path and query. */
static bool read_absolute(struct request *r)
{
	static const char root[] = "/";
	const char *host = r->target + 7, *end = r->target + r->target_len, *path = host;

	while (path < end && *path != '/' && *path != '?' && *path != '#')
		path++;
	if (path == host || *host == ':' || !is_authority(host, (size_t)(path - host)))
		return false; /* an empty host is no host: RFC 9110, 4.2.1 */
	if (path < end && *path == '/') {
		r->target = path;
		r->target_len = (size_t)(end - path);
	} else {
		r->target = root; /* an empty path is "/": RFC 9110, 4.2.3 */
		r->target_len = 1;
	}
	return true;
}

/* method SP request-target SP version; a server of its own may also be asked in absolute form. */
static int read_request_line(struct request *r, const char *line, size_t len)
{
	const char *end = line + len;
	const char *sp1 = memchr(line, ' ', len);
	const char *sp2 = sp1 ? memchr(sp1 + 1, ' ', (size_t)(end - sp1 - 1)) : NULL;
	int version, method;

	if (!sp2)
		return 400;
	version = read_version(r, sp2 + 1, (size_t)(end - sp2 - 1));
	if (version)
		return version;
	method = read_method(r, line, (size_t)(sp1 - line));
	if (method && method != 405)
		return method;
	r->target = sp1 + 1;
	r->target_len = (size_t)(sp2 - r->target);
	if (r->target_len == 0)
		return 400;
	for (size_t i = 0; i < r->target_len; i++) {
		unsigned char ch = (unsigned char)r->target[i];

		if (ch <= ' ' || ch > '~')
			return 400; /* a URI is printable ASCII: RFC 3986, 2 */
	}
	if (r->target_len >= 7 && strncasecmp(r->target, "http://", 7) == 0 && !read_absolute(r))
		return 400;
	if (method == 0 && r->target[0] != '/')
		return 400;
	return method;
}

/* A comma-separated list of connection options (RFC 9110, 7.6.1). */
static void read_connection(struct request *r, const char *value, size_t len)
{
	while (len > 0) {
		const char *comma = memchr(value, ',', len);
		size_t item = comma ? (size_t)(comma - value) : len;
		const char *word = value;
		size_t n = item;

		while (n && (*word == ' ' || *word == '\t'))
			word++, n--;
		while (n && (word[n - 1] == ' ' || word[n - 1] == '\t'))
			n--;
		if (is(word, n, "close"))
			r->close = true;
		else if (is(word, n, "keep-alive"))
			r->keep_alive = true;
		item += comma != NULL;
		value += item;
		len -= item;
	}
}

static int read_header(struct request *r, const char *line, size_t len)
{
	const char *colon = memchr(line, ':', len);
	const char *value, *end = line + len;
	size_t name, n;
	uint64_t body;

	if (!colon || !is_token(line, (size_t)(colon - line)))
		return 400; /* also a folded line, which begins with a space (RFC 9112, 5.2) */
	name = (size_t)(colon - line);
	value = colon + 1;
	while (value < end && (*value == ' ' || *value == '\t'))
		value++;
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	n = (size_t)(end - value);
	if (memchr(value, '\0', n) || memchr(value, '\r', n))
		return 400;

	if (is(line, name, "host")) {
		if (++r->hosts > 1 || !is_authority(value, n))
			return 400; /* RFC 9112, 3.2 */
	} else if (is(line, name, "connection")) {
		read_connection(r, value, n);
	} else if (is(line, name, "content-length")) {
		if (!read_number(value, n, &body) || (r->has_length && body != r->body))
			return 400;
		r->has_length = true;
		r->body = body;
	} else if (is(line, name, "transfer-encoding")) {
		r->chunked = true;
	} else if (is(line, name, "expect")) {
		r->close = true; /* it may or may not send the body now: only a close is clear */
	}
	return 0;
}

/*
 * Read one request head from the `len` bytes at `head`. Returns its length; 0 if it is not all
 * there yet. A head that is wrong has r->status set, and only then may the length be that of a part
 * of it.
 */
static size_t read_head(struct request *r, const char *head, size_t len)
{
	/* No look beyond the longest head: the answer must not depend on how the bytes arrived. */
	const char *end = head + (len < HTTP_HEAD_MAX ? len : HTTP_HEAD_MAX);
	const char *line = head, *nl;
	bool first = true;

	*r = (struct request){0};
	/* Empty lines before the request line are passed over (RFC 9112, 2.2). */
	while (end - line >= 2 && line[0] == '\r' && line[1] == '\n')
		line += 2;
	for (; (nl = memchr(line, '\n', (size_t)(end - line))); line = nl + 1) {
		size_t n = (size_t)(nl - line);

		if (n == 0 || line[n - 1] != '\r') {
			r->status = 400;
			return (size_t)(nl + 1 - head);
		}
		n--;
		if (first) {
			r->status = read_request_line(r, line, n);
			first = false;
		} else if (n == 0) {
			if (!r->http10 && r->hosts == 0)
				r->status = 400; /* RFC 9112, 3.2 */
			else if (r->chunked)
				r->status = r->has_length ? 400 : 501;
			else if (r->body > HTTP_REQUEST_BODY_MAX)
				r->status = 413;
			return (size_t)(nl + 1 - head);
		} else {
			int status = read_header(r, line, n);

			if (status)
				r->status = status;
		}
		/* A head without a sound request line cannot be answered otherwise any more. */
		if (r->status && r->status != 405)
			return (size_t)(nl + 1 - head);
	}
	if (len < HTTP_HEAD_MAX)
		return 0;
	r->status = 431;
	return HTTP_HEAD_MAX;
}

/* --- answering ------------------------------------------------------------------------------ */

static const char *reason(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 400:
		return "Bad Request";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 413:
		return "Content Too Large";
	case 431:
		return "Request Header Fields Too Large";
	case 503:
		return "Service Unavailable";
	case 501:
		return "Not Implemented";
	case 505:
		return "HTTP Version Not Supported";
	}
	return "Unknown";
}

static void put(struct buffer *out, const char *text, size_t len)
{
	memcpy(out->data + out->end, text, len);
	out->end += (uint32_t)len;
}

/* A file may hold anything: its type is what its reader makes of it. */
static void put_typed_head(struct buffer *out, const struct request *r, int status,
			   const char *type, uint64_t length, enum connection connection)
{
	const char *say = connection == CLOSE ? "Connection: close\r\n"
			  : r->http10         ? "Connection: keep-alive\r\n"
					      : "";
	int n = snprintf(out->data + out->end, buffer_room(out),
			 "HTTP/1.1 %d %s\r\nServer: tenk\r\nContent-Type: %s\r\n"
			 "Content-Length: %llu\r\n%s%s\r\n",
			 status, reason(status), type, (unsigned long long)length,
			 status == 405 ? "Allow: GET, HEAD\r\n" : "", say);

	assert(n > 0 && n < REPLY_HEAD_MAX);
	out->end += (uint32_t)n;
}

static void put_head(struct buffer *out, const struct request *r, int status, uint64_t length,
		     enum connection connection)
{
	put_typed_head(out, r, status, "text/plain", length, connection);
}

static void put_short(struct buffer *out, const struct request *r, int status, const char *body,
		      enum connection connection)
{
	put_head(out, r, status, strlen(body), connection);
	if (!r->head)
		put(out, body, strlen(body));
}

/* As much of the body of /bytes/N as there is room for. */
static void put_body(struct dialogue *d, struct buffer *out)
{
	while (d->body_left && buffer_room(out)) {
		size_t n = PATTERN_LEN - d->body_phase;

		if (n > buffer_room(out))
			n = buffer_room(out);
		if (n > d->body_left)
			n = d->body_left;
		put(out, &HTTP_BYTES_PATTERN[d->body_phase], n);
		d->body_left -= n;
		d->body_phase = (uint32_t)((d->body_phase + n) % PATTERN_LEN);
	}
}

/* Keep the CPU busy for that much CPU time of this thread: a preempted thread is not let off. */
static void work(uint64_t us)
{
	struct timespec now;
	uint64_t end = 0, ns;

	do {
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
		ns = (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
		if (!end)
			end = ns + us * NS_PER_US;
	} while (ns < end && !server_stopping());
}

/* Block the calling thread, as a blocking back end (a disk, a database) would. */
static void block(uint64_t us)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += (long)(us % 1000000 * NS_PER_US);
	until.tv_sec += (time_t)(us / 1000000) + until.tv_nsec / (long)NS_PER_S;
	until.tv_nsec %= (long)NS_PER_S;
	/* The signal that stops the server interrupts one sleep, but not those queued behind it. */
	while (!server_stopping() &&
	       clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
		continue;
}

/* --- files ---------------------------------------------------------------------------------- */

static int root = -1; /* the directory of --root */

/* Open `name` beneath the root, or return -1 with errno set. */
static int open_beneath(const char *name, uint64_t flags)
{
	/* The kernel itself refuses "..", absolute links and whatever else leads outside. */
	struct open_how how = {
		.flags = O_RDONLY | O_CLOEXEC | flags,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};

	return (int)syscall(SYS_openat2, root, name, &how, sizeof(how));
}

void http_serve_files(const char *path)
{
	int fd;

	root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		die(EXIT_BAD_USAGE, "--root: '%s': %s; name a directory", path, strerror(errno));
	fd = open_beneath(".", O_DIRECTORY);
	if (fd < 0 && errno == ENOSYS)
		die(EXIT_UNSUPPORTED, "--root: openat2: %s; it needs Linux 5.6", strerror(errno));
	if (fd < 0)
		die(EXIT_BAD_USAGE, "--root: '%s': %s; name a directory that can be read", path,
		    strerror(errno));
	close(fd);
}

static int hex(char ch)
{
	if (ch >= '0' && ch <= '9')
		return ch - '0';
	ch |= 0x20;
	return ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
}

/* Undo percent-encoding (RFC 3986, 2.1). False where it is wrong, names a NUL or is too long. */
static bool decode(const char *text, size_t len, char *name, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		char ch = text[i];

		if (ch == '%') {
			int high = i + 2 < len ? hex(text[i + 1]) : -1;
			int low = high >= 0 ? hex(text[i + 2]) : -1;

			if (low < 0)
				return false;
			ch = (char)(high << 4 | low);
			i += 2;
		}
		if (ch == '\0' || n + 1 >= size)
			return false;
		name[n++] = ch;
	}
	name[n] = '\0';
	return n > 0;
}

/* Open the regular file /file/NAME stands for. Returns its descriptor, or -1 and sets *status. */
static int open_file(const char *text, size_t len, uint64_t *size, int *status)
{
	char name[HTTP_HEAD_MAX];
	struct stat st;
	int fd = -1;

	*status = 404;
	if (root < 0 || !decode(text, len, name, sizeof(name)))
		return -1;
	/* O_NONBLOCK: to open a FIFO would wait for a writer. */
	fd = open_beneath(name, O_NONBLOCK | O_NOCTTY);
	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
			*status = 503;
		return -1;
	}
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		close(fd);
		return -1;
	}
	*size = (uint64_t)st.st_size;
	return fd;
}

/* The head now; the bytes are read by the connection, as there is room for them. */
static void answer_file(struct dialogue *d, const struct request *r, size_t len, struct buffer *out,
			enum connection connection)
{
	uint64_t size;
	int status,
		fd = open_file(r->target + FILE_PREFIX_LEN, len - FILE_PREFIX_LEN, &size, &status);

	if (fd < 0) {
		put_short(out, r, status, status == 404 ? "not found\n" : "no descriptor is left\n",
			  connection);
		return;
	}
	put_typed_head(out, r, 200, "application/octet-stream", size, connection);
	if (r->head || size == 0) {
		close(fd);
		return;
	}
	d->file_fd = fd;
	d->file_offset = 0;
	d->from_file = true;
	d->body_left = size;
}

/* The number behind `prefix`, at most `max`. */
static bool numbered(const char *path, size_t len, const char *prefix, uint64_t max, uint64_t *n)
{
	size_t skip = strlen(prefix);

	return len > skip && memcmp(path, prefix, skip) == 0 &&
	       read_number(path + skip, len - skip, n) && *n <= max;
}

/* Answer a sound request. Returns false if no further one may be answered at once. */
static bool answer_target(struct dialogue *d, const struct request *r, struct buffer *out,
			  enum connection connection)
{
	const char *query = memchr(r->target, '?', r->target_len);
	size_t len = query ? (size_t)(query - r->target) : r->target_len;
	uint64_t n;

	if (len == 1) {
		static const char usual[] = "HTTP/1.1 200 OK\r\nServer: tenk\r\n"
					    "Content-Type: text/plain\r\nContent-Length: 12\r\n"
					    "\r\n" HTTP_ROOT_BODY;
		_Static_assert(sizeof(HTTP_ROOT_BODY) - 1 == 12, "Content-Length above");

		if (connection == KEEP_ALIVE && !r->http10 && !r->head)
			put(out, usual, sizeof(usual) - 1);
		else
			put_short(out, r, 200, HTTP_ROOT_BODY, connection);
	} else if (numbered(r->target, len, "/bytes/", HTTP_BYTES_MAX, &n)) {
		put_head(out, r, 200, n, connection);
		d->body_left = r->head ? 0 : n;
		d->body_phase = 0;
		put_body(d, out);
	} else if (numbered(r->target, len, "/work/", HTTP_PAUSE_US_MAX, &n)) {
		work(n);
		put_short(out, r, 200, "worked\n", connection);
		return false;
	} else if (numbered(r->target, len, "/sleep/", HTTP_PAUSE_US_MAX, &n)) {
		block(n);
		put_short(out, r, 200, "slept\n", connection);
		return false;
	} else if (len > FILE_PREFIX_LEN && memcmp(r->target, FILE_PREFIX, FILE_PREFIX_LEN) == 0) {
		answer_file(d, r, len, out, connection);
	} else {
		put_short(out, r, 404, "not found\n", connection);
	}
	return true;
}

static unsigned answer(struct dialogue *d, struct buffer *in, struct buffer *out)
{
	unsigned answered = 0;
	bool more = true;

	put_body(d, out);
	while (more && !d->closing && !d->body_left && buffer_len(in)) {
		struct request r;
		enum connection connection;
		size_t n;

		if (d->skip_left) {
			n = buffer_len(in) < d->skip_left ? buffer_len(in) : d->skip_left;
			in->start += (uint32_t)n;
			d->skip_left = (d->skip_left - (uint32_t)n) & DIALOGUE_SKIP_MAX;
			continue;
		}
		if (buffer_room(out) < REPLY_HEAD_MAX + sizeof(HTTP_ROOT_BODY))
			break;
		n = read_head(&r, in->data + in->start, buffer_len(in));
		if (n == 0)
			break;
		/* An error is answered without having understood the rest: nothing may follow it.
		 */
		connection = (r.status && r.status != 405) || r.close || (r.http10 && !r.keep_alive)
				     ? CLOSE
				     : KEEP_ALIVE;
		if (r.status)
			put_short(out, &r, r.status, "", connection);
		else
			more = answer_target(d, &r, out, connection);
		in->start += (uint32_t)n;
		if (r.body)
			d->skip_left = (uint32_t)r.body & DIALOGUE_SKIP_MAX; /* 64 KiB at most */
		if (connection == CLOSE) {
			d->closing = true;
			d->rude = r.status || buffer_len(in) || r.body;
		}
		answered++;
	}
	return answered;
}

const struct proto proto_http = {
	.name = "http",
	.summary = "HTTP/1.1: /, /bytes/N, /work/US, /sleep/US, /file/NAME",
	.min_buffer = HTTP_HEAD_MAX + 1,
	.answer = answer,
};
