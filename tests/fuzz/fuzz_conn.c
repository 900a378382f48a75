// SPDX-License-Identifier: MIT
// tenk-wrap: malloc
/*
 * The connection state machine: any order of results of its one pending operation, against what the
 * protocol owes for the bytes that went in.
 *
 * Input: byte 0 chooses the protocol, byte 1 is the length of the schedule that follows; what is
 * left is the stream (folded as in fuzz_http). Each byte of the schedule is the result of one
 * operation: EINTR, EAGAIN, an error, no memory, or a number of bytes. When it is used up,
 * operations move all they can, and the stream ends with an end of file.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "servers/lib/conn.h"
#include "servers/lib/stats.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/oracle.h"

/* Enough for each of the protocols; allocations of this size are blocks. */
#define BUFFER 16400
#define MUCH   (256 * 1024)

enum {
	ECHO,
	HTTP,
	ROT13,
};

static bool no_memory, refused;
static size_t blocks; /* ever allocated */

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
	if (size != BUFFER)
		return __real_malloc(size);
	if (no_memory) {
		refused = true;
		return NULL;
	}
	blocks++;
	return __real_malloc(size);
}

/* One process speaks one protocol; here it changes from input to input. */
static const struct proto *current;

static unsigned answer(struct dialogue *d, struct buffer *in, struct buffer *out)
{
	return current->answer(d, in, out);
}

static const struct proto any = {.name = "any", .min_buffer = 1, .answer = answer};

static void start(void)
{
	static bool started;

	if (started)
		return;
	started = true;
	stats_init(1);
	conn_init(&any, BUFFER, 0);
}

enum end {
	ALL,    /* the stream and all that is owed for it went through */
	CLOSED, /* the connection closed by itself */
	FAILED, /* the schedule made an operation fail */
};

/* What a byte of the schedule does to one operation. */
enum {
	STEP_EINTR,
	STEP_EAGAIN,
	STEP_ERROR,
	STEP_NO_BUFFER,  /* no memory in conn_buf() */
	STEP_NO_MEMORY,  /* no memory in conn_done() */
	STEP_FEW,        /* and above: 1, 2, … bytes */
	STEP_MANY = 128, /* and above: 128, 256, … bytes */
	STEP_ALL = 255,
};

struct stream {
	uint8_t which; /* of the protocols */
	const uint8_t *schedule;
	size_t steps;
	struct text in, said;
	size_t at; /* in.data up to here has been received */
	enum end end;
	const char *wrong;
};

/* What the pending operation gives: bytes, or -errno. */
static ssize_t result(struct stream *s, uint8_t step, enum conn_op op, size_t len)
{
	size_t left = s->in.len - s->at;
	size_t most = op == OP_RECV && left < len ? left : len;
	size_t n = most;

	switch (step) {
	case STEP_EINTR:
		return -EINTR;
	case STEP_EAGAIN:
		return -EAGAIN;
	case STEP_ERROR:
		return op == OP_RECV ? -ECONNRESET : -EPIPE;
	}
	if (step >= STEP_FEW && step < STEP_MANY)
		n = step - STEP_FEW + 1u;
	else if (step >= STEP_MANY && step < STEP_ALL)
		n = (step - STEP_MANY + 1u) * 128;
	return (ssize_t)(n < most ? n : most);
}

/* The last reply is out: whatever comes of the call, it reads on. */
static bool shut_down(struct conn *c, struct stream *s)
{
	ssize_t res = s->steps ? -ENOTCONN : 0;

	if (conn_done(c, res) != IO_OK || conn_next(c) != OP_RECV)
		s->wrong = "a shutdown is not followed by receiving";
	return !s->wrong;
}

/* One operation. Returns false when the connection has come to its end. */
static bool operate(struct conn *c, struct stream *s)
{
	uint8_t step = s->steps ? *s->schedule++ : STEP_ALL;
	enum conn_op op = conn_next(c);
	enum conn_io io, due = IO_OK;
	size_t len = 0;
	ssize_t res;
	char *buf;

	if (op == OP_SHUTDOWN) {
		s->schedule -= s->steps > 0; /* it is not a result of the schedule's */
		return shut_down(c, s);
	}
	s->steps -= s->steps > 0;
	refused = false;
	no_memory = step == STEP_NO_BUFFER;
	buf = conn_buf(c, &len);
	if (len == 0 || len > BUFFER || conn_next(c) != op)
		s->wrong = "conn_buf() gives no place, or changes the operation";
	res = result(s, step, op, len);
	if (op == OP_SEND && res > 0) {
		text_add(&s->said, buf, (size_t)res);
	} else if (res > 0) {
		memcpy(buf, s->in.data + s->at, (size_t)res);
		s->at += (size_t)res;
	}
	no_memory = step == STEP_NO_MEMORY;
	io = conn_done(c, res);
	no_memory = false;
	if (res == -EAGAIN)
		due = IO_AGAIN;
	else if (refused || step == STEP_ERROR || (op == OP_RECV && res == 0))
		due = IO_CLOSED;
	s->end = refused || step == STEP_ERROR ? FAILED : res == 0 ? ALL : CLOSED;
	if (io != due && (io != IO_CLOSED || res <= 0))
		s->wrong = "conn_done() gives another result than its header promises";
	else if (io != IO_CLOSED && res < 0 && conn_next(c) != op)
		s->wrong = "a call to be repeated is not repeated";
	return io != IO_CLOSED && !s->wrong;
}

static void *run(void *arg)
{
	size_t before = blocks;
	struct stream *s = arg;
	struct conn *c = conn_open(open("/dev/null", O_RDWR | O_CLOEXEC));

	while (operate(c, s))
		;
	conn_close(c);
	if (!s->wrong && conn_count() != 0)
		s->wrong = "conn_count() counts a closed connection";
	if (!s->wrong && blocks - before > 2)
		s->wrong = "one connection held more than two blocks";
	return NULL;
}

/* With a thread of its own it starts with no block in the pool, so that memory can run out. */
static void run_in_thread(struct stream *s)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, run, s))
		abort();
	pthread_join(thread, NULL);
}

static const char *compare_bytes(const struct stream *s, const struct text *due)
{
	bool part = s->said.len > due->len || (s->end != FAILED && s->said.len != due->len);

	return part || (s->said.len && memcmp(s->said.data, due->data, s->said.len))
		       ? "other bytes than are due"
		       : NULL;
}

/* Did the protocol answer what it must? After a failure, a part of it is enough. */
static const char *compare(const struct stream *s, const struct http_due *http)
{
	struct text due = {0};
	const char *wrong = NULL;
	bool closes = false;

	if (s->which == HTTP) {
		if (s->end != FAILED)
			wrong = oracle_check(http, s->said.data, s->said.len);
		closes = http->closes || http->unsure;
	} else {
		if (s->which == ROT13)
			closes = oracle_rot13(s->in.data, s->in.len, &due);
		else
			text_add(&due, s->in.data, s->in.len);
		wrong = compare_bytes(s, &due);
		text_free(&due);
	}
	if (!wrong && s->end == CLOSED && !closes)
		wrong = "it closes without need";
	return wrong;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct proto *const list[] = {&proto_echo, &proto_http, &proto_rot13};
	static struct http_due http;
	struct stream s = {0};

	if (size < 2 || size - 2 < data[1])
		return 0;
	start();
	s.which = data[0] % 3;
	s.schedule = data + 2;
	s.steps = data[1];
	current = list[s.which];
	fuzz_unfold(&s.in, s.schedule + s.steps, size - 2 - s.steps);
	if (s.which == HTTP)
		oracle_http(s.in.data, s.in.len, &http);
	if (s.which != HTTP || (http.pause_us == 0 && http.body_bytes <= MUCH)) {
		if (memchr(s.schedule, STEP_NO_BUFFER, s.steps) ||
		    memchr(s.schedule, STEP_NO_MEMORY, s.steps))
			run_in_thread(&s);
		else
			run(&s);
		if (!s.wrong)
			s.wrong = compare(&s, &http);
		if (s.wrong)
			fuzz_fail(s.wrong, &s.in, &s.said);
	}
	text_free(&s.said);
	text_free(&s.in);
	return 0;
}
