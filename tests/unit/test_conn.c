// SPDX-License-Identifier: MIT
// tenk-wrap: malloc calloc free send recv
/*
 * Connections: with results made up for the one pending operation, and over real sockets.
 *
 * The test stands in front of malloc(3) to count blocks (buffers of BUFFER bytes) and to refuse
 * them, and in front of send(2) and recv(2) to count calls and to cut them short. Released blocks
 * are kept for reuse, at most POOL of them, so what connections hold is known to within POOL.
 */
#include "servers/lib/conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "servers/lib/proto.h"
#include "servers/lib/stats.h"
#include "tests/lib/drive.h"
#include "tests/lib/oracle.h"

enum {
	MINE = 24,      /* bytes of the model's own */
	BUFFER = 16400, /* enough for every protocol; nothing else has this size */
	POOL = 64,      /* conn.h: "Each thread keeps up to 64 buffers" */
	MANY = 500,
	LINGER = 65536,   /* passed over after the last reply */
	TURN = 64,        /* conn.h: at most a few dozen sends per turn */
	IDLE_BYTES = 256, /* of an idle connection, beyond the kernel's */
};

#define HOST "Host: a\r\n"
#define GET  "GET / HTTP/1.1\r\n" HOST "\r\n"

/* --- in front of libc ----------------------------------------------------------------------- */

static char *blocks[4096]; /* alive */
static size_t n_blocks, refused, other_allocations, calloc_bytes;
static bool no_blocks, no_conns;
static pthread_mutex_t blocks_lock = PTHREAD_MUTEX_INITIALIZER;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void __wrap_free(void *p);

void *__wrap_malloc(size_t size)
{
	char *block;

	if (size != BUFFER) {
		other_allocations++;
		return __real_malloc(size);
	}
	if (no_blocks || n_blocks == sizeof(blocks) / sizeof(*blocks)) {
		refused++;
		return NULL;
	}
	block = __real_malloc(size);
	pthread_mutex_lock(&blocks_lock);
	blocks[n_blocks++] = block;
	pthread_mutex_unlock(&blocks_lock);
	return block;
}

void *__wrap_calloc(size_t n, size_t size)
{
	other_allocations++;
	calloc_bytes = n * size;
	return no_conns ? NULL : __real_calloc(n, size);
}

void __wrap_free(void *p)
{
	pthread_mutex_lock(&blocks_lock);
	for (size_t i = 0; p && i < n_blocks; i++) {
		if (blocks[i] == p) {
			blocks[i] = blocks[--n_blocks];
			break;
		}
	}
	pthread_mutex_unlock(&blocks_lock);
	__real_free(p);
}

static size_t sends, recvs;
static size_t most_sent; /* bytes one send(2) takes; 0: as many as it can */
static int send_error, recv_error;

ssize_t __real_send(int fd, const void *data, size_t len, int flags);
ssize_t __real_recv(int fd, void *data, size_t len, int flags);
ssize_t __wrap_send(int fd, const void *data, size_t len, int flags);
ssize_t __wrap_recv(int fd, void *data, size_t len, int flags);

ssize_t __wrap_send(int fd, const void *data, size_t len, int flags)
{
	sends++;
	if (send_error) {
		errno = send_error;
		send_error = 0;
		return -1;
	}
	return __real_send(fd, data, most_sent && len > most_sent ? most_sent : len, flags);
}

ssize_t __wrap_recv(int fd, void *data, size_t len, int flags)
{
	recvs++;
	if (recv_error) {
		errno = recv_error;
		recv_error = 0;
		return -1;
	}
	return __real_recv(fd, data, len, flags);
}

/* --- helpers -------------------------------------------------------------------------------- */

/* A process speaks one protocol; here it changes from test to test. */
static const struct proto *current;

static unsigned answer_current(struct dialogue *d, struct buffer *in, struct buffer *out)
{
	return current->answer(d, in, out);
}

static const struct proto any = {.name = "any", .min_buffer = 1, .answer = answer_current};

/* Answers the first byte with a stream that has no end, a byte at a time. */
static unsigned answer_endlessly(struct dialogue *d, struct buffer *in, struct buffer *out)
{
	d->body_left = 1;
	in->start = in->end;
	out->data[out->end++] = 'x';
	return 1;
}

static const struct proto endless = {.name = "endless", .answer = answer_endlessly};

static int setup(void **state)
{
	(void)state;
	current = &proto_echo;
	no_blocks = no_conns = false;
	sends = recvs = most_sent = refused = 0;
	send_error = recv_error = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	no_blocks = no_conns = false;
	return conn_count();
}

/* A connection without a peer, for made-up results. */
static struct conn *lonely(void)
{
	struct conn *c = conn_open(open("/dev/null", O_RDWR | O_CLOEXEC));

	assert_non_null(c);
	return c;
}

/* `text` arrives. */
static enum conn_io receive(struct conn *c, const char *text, size_t len)
{
	size_t room;
	char *buf;

	assert_int_equal(conn_next(c), OP_RECV);
	buf = conn_buf(c, &room);
	assert_true(len <= room);
	memcpy(buf, text, len);
	return conn_done(c, (ssize_t)len);
}

static void assert_owes(struct conn *c, const char *text)
{
	size_t len;
	char *buf;

	assert_int_equal(conn_next(c), OP_SEND);
	buf = conn_buf(c, &len);
	assert_int_equal(len, strlen(text));
	assert_memory_equal(buf, text, len);
}

/* If it wants to be shut down for sending: it is. */
static void shut_down(struct conn *c)
{
	size_t len = 1;

	if (conn_next(c) != OP_SHUTDOWN)
		return;
	assert_null(conn_buf(c, &len));
	assert_int_equal(len, 0);
	assert_int_equal(conn_done(c, 0), IO_OK);
	assert_int_equal(conn_next(c), OP_RECV);
}

/* Let it send until it waits to receive again, or closes. */
static enum conn_io send_all(struct conn *c, struct text *said)
{
	enum conn_io io = IO_OK;

	while (io == IO_OK && conn_next(c) == OP_SEND) {
		size_t len;
		char *buf = conn_buf(c, &len);

		if (said)
			text_add(said, buf, len);
		io = conn_done(c, (ssize_t)len);
	}
	shut_down(c);
	assert_int_equal(io == IO_CLOSED, conn_next(c) == OP_CLOSE);
	return io;
}

/* A connection over a socket pair, whose other end is *peer. Neither blocks. */
static struct conn *connected(int *peer)
{
	int ends[2];
	struct conn *c;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends),
			 0);
	c = conn_open(ends[0]);
	assert_non_null(c);
	assert_int_equal(conn_fd(c), ends[0]);
	*peer = ends[1];
	return c;
}

/* The same over TCP, where closing with unread bytes sends a reset. */
static struct conn *connected_tcp(int *peer)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct conn *c;

	assert_int_equal(bind(listening, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(listening, 1), 0);
	assert_int_equal(getsockname(listening, (struct sockaddr *)&at, &len), 0);
	*peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(*peer, (struct sockaddr *)&at, sizeof(at)), 0);
	c = conn_open(accept(listening, NULL, NULL));
	assert_non_null(c);
	close(listening);
	return c;
}

static void say(int peer, const char *text)
{
	assert_int_equal(write(peer, text, strlen(text)), strlen(text));
}

static void assert_hears(int peer, const char *text)
{
	char heard[1000] = "";

	assert_int_equal(read(peer, heard, sizeof(heard) - 1), strlen(text));
	assert_string_equal(heard, text);
}

/* Take every kept block away, so that the next one must be allocated. Returns how many conns. */
static size_t drain_pool(struct conn *holders[POOL + 1])
{
	size_t n = 0, len;

	no_blocks = true;
	for (refused = 0; !refused; n++) {
		assert_true(n <= POOL);
		holders[n] = lonely();
		conn_buf(holders[n], &len);
	}
	no_blocks = false;
	return n;
}

static void close_all(struct conn **all, size_t n)
{
	while (n)
		conn_close(all[--n]);
}

/* --- the pending operation ------------------------------------------------------------------ */

static void waits_to_receive_at_first(void **state)
{
	struct conn *c = lonely();
	size_t len = 0;

	(void)state;
	assert_int_equal(conn_next(c), OP_RECV);
	assert_non_null(conn_buf(c, &len));
	assert_int_equal(len, BUFFER);
	assert_memory_equal(conn_mine(c), (char[MINE]){0}, MINE);
	memset(conn_mine(c), 'm', MINE);
	assert_int_equal(conn_count(), 1);
	conn_close(c);
	assert_int_equal(conn_count(), 0);
}

static void what_is_received_is_answered(void **state)
{
	struct conn *c = lonely();

	(void)state;
	assert_int_equal(receive(c, "hello", 5), IO_OK);
	assert_owes(c, "hello");
	assert_int_equal(conn_done(c, 5), IO_OK);
	assert_int_equal(conn_next(c), OP_RECV);
	conn_close(c);
}

static void a_short_send_leaves_the_rest(void **state)
{
	struct conn *c = lonely();

	(void)state;
	receive(c, "hello", 5);
	assert_int_equal(conn_done(c, 1), IO_OK);
	assert_owes(c, "ello");
	assert_int_equal(conn_done(c, 3), IO_OK);
	assert_owes(c, "o");
	assert_int_equal(conn_done(c, 1), IO_OK);
	assert_int_equal(conn_next(c), OP_RECV);
	conn_close(c);
}

static void interrupted_calls_change_nothing(void **state)
{
	struct conn *c = lonely();
	size_t len;

	(void)state;
	conn_buf(c, &len);
	assert_int_equal(conn_done(c, -EINTR), IO_OK);
	assert_int_equal(conn_next(c), OP_RECV);
	receive(c, "hello", 5);
	assert_int_equal(conn_done(c, -EINTR), IO_OK);
	assert_owes(c, "hello");
	conn_done(c, 2);
	assert_int_equal(conn_done(c, -EINTR), IO_OK);
	assert_owes(c, "llo");
	conn_close(c);
}

static void a_socket_that_is_not_ready_is_waited_for(void **state)
{
	struct conn *c = lonely();
	uint64_t before = stats_mine()->eagain;
	size_t len;

	(void)state;
	current = &proto_rot13;
	conn_buf(c, &len);
	assert_int_equal(conn_done(c, -EAGAIN), IO_AGAIN);
	assert_int_equal(conn_next(c), OP_RECV);
	receive(c, "ab", 2);
	conn_buf(c, &len);
	assert_int_equal(conn_done(c, -EAGAIN), IO_AGAIN); /* half a line is not forgotten */
	receive(c, "c\n", 2);
	assert_int_equal(conn_done(c, -EAGAIN), IO_AGAIN);
	assert_owes(c, "nop\n");
	assert_int_equal(stats_mine()->eagain - before, 3);
	conn_close(c);
}

static void errors_close_the_connection(void **state)
{
	static const int errors[] = {ECONNRESET, EPIPE,     ETIMEDOUT, EHOSTUNREACH,
				     ENOTCONN,   ECANCELED, EIO,       ENOBUFS};
	size_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
		struct conn *c = lonely();

		conn_buf(c, &len);
		assert_int_equal(conn_done(c, -errors[i]), IO_CLOSED);
		conn_close(c);
		c = lonely();
		receive(c, "x", 1);
		conn_buf(c, &len);
		assert_int_equal(conn_done(c, -errors[i]), IO_CLOSED);
		conn_close(c);
	}
}

static void end_of_file_closes_even_in_half_a_request(void **state)
{
	static const struct proto *const list[] = {&proto_echo, &proto_http, &proto_rot13};
	size_t len;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct conn *c = lonely();

		current = list[i];
		conn_buf(c, &len);
		assert_int_equal(conn_done(c, 0), IO_CLOSED);
		conn_close(c);
		c = lonely();
		receive(c, "GET / HT", 8);
		send_all(c, NULL);
		conn_buf(c, &len);
		assert_int_equal(conn_done(c, 0), IO_CLOSED);
		conn_close(c);
	}
}

static void it_does_not_read_while_it_owes(void **state)
{
	static struct http_due due;
	struct conn *c = lonely();
	struct text said = {0};
	const char *stream = "GET /bytes/100000 HTTP/1.1\r\n" HOST "\r\n" GET GET;

	(void)state;
	current = &proto_http;
	oracle_http(stream, strlen(stream), &due);
	assert_int_equal(receive(c, stream, strlen(stream)), IO_OK);
	while (conn_next(c) == OP_SEND) {
		size_t len;
		char *buf = conn_buf(c, &len);

		len = len > 1000 ? 1000 : len;
		text_add(&said, buf, len);
		assert_int_equal(conn_done(c, (ssize_t)len), IO_OK);
	}
	assert_null(oracle_check(&due, said.data, said.len));
	text_free(&said);
	conn_close(c);
}

static void counters_count(void **state)
{
	struct conn *c = lonely();
	struct stats before = *stats_mine(), *now = stats_mine();

	(void)state;
	current = &proto_rot13;
	receive(c, "a\nb\nc", 5);
	conn_done(c, 3);
	conn_done(c, 1);
	assert_int_equal(now->requests - before.requests, 2);
	assert_int_equal(now->bytes_in - before.bytes_in, 5);
	assert_int_equal(now->bytes_out - before.bytes_out, 4);
	conn_close(c);
}

/* --- memory --------------------------------------------------------------------------------- */

static void an_idle_connection_is_small(void **state)
{
	struct conn *c;

	(void)state;
	calloc_bytes = 0;
	c = lonely();
	assert_in_range(calloc_bytes, 1, IDLE_BYTES);
	conn_close(c);
}

/* Open MANY connections, do `act` to each, and see how many blocks they hold then. */
static size_t held_after(void (*act)(struct conn *c))
{
	static struct conn *all[MANY];
	size_t held;

	for (size_t i = 0; i < MANY; i++) {
		all[i] = lonely();
		act(all[i]);
	}
	held = n_blocks;
	close_all(all, MANY);
	assert_in_range(n_blocks, 0, POOL);
	return held;
}

static void wait_in_vain(struct conn *c)
{
	size_t len;

	conn_buf(c, &len);
	assert_int_equal(conn_done(c, -EAGAIN), IO_AGAIN);
}

static void be_interrupted(struct conn *c)
{
	size_t len;

	conn_buf(c, &len);
	assert_int_equal(conn_done(c, -EINTR), IO_OK);
}

static void be_served(struct conn *c)
{
	receive(c, GET GET, strlen(GET GET));
	assert_int_equal(send_all(c, NULL), IO_OK);
	assert_int_equal(conn_next(c), OP_RECV);
}

static void be_served_a_body_of_many_blocks(struct conn *c)
{
	const char *request = "GET /bytes/100000 HTTP/1.1\r\n" HOST "\r\n";

	receive(c, request, strlen(request));
	assert_int_equal(send_all(c, NULL), IO_OK);
	wait_in_vain(c);
}

static void send_half_a_body(struct conn *c)
{
	const char *request = "GET / HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\n1234";

	receive(c, request, strlen(request));
	assert_int_equal(send_all(c, NULL), IO_OK);
}

static void be_refused(struct conn *c)
{
	receive(c, "nonsense\r\nand more\r\n", 20);
	assert_int_equal(send_all(c, NULL), IO_OK); /* it lingers */
	assert_int_equal(conn_next(c), OP_RECV);
}

static void be_refused_and_say_more(struct conn *c)
{
	be_refused(c);
	receive(c, "more", 4);
	wait_in_vain(c);
}

static void a_connection_without_a_part_of_a_request_holds_no_block(void **state)
{
	static void (*const acts[])(struct conn *) = {
		wait_in_vain,
		be_interrupted,
		be_served,
		be_served_a_body_of_many_blocks,
		send_half_a_body,
		be_refused,
		be_refused_and_say_more,
	};

	(void)state;
	current = &proto_http;
	for (size_t i = 0; i < sizeof(acts) / sizeof(*acts); i++)
		assert_in_range(held_after(acts[i]), 0, POOL);
}

static void send_half_a_head(struct conn *c)
{
	assert_int_equal(receive(c, "GET /", 5), IO_OK);
	wait_in_vain(c);
}

static void owe_and_have_more(struct conn *c)
{
	const char *request = "GET /bytes/100000 HTTP/1.1\r\n" HOST "\r\n" GET;

	assert_int_equal(receive(c, request, strlen(request)), IO_OK);
	assert_int_equal(conn_done(c, -EAGAIN), IO_AGAIN);
	assert_int_equal(conn_next(c), OP_SEND);
}

static void half_a_request_holds_one_block_and_a_debt_two(void **state)
{
	(void)state;
	current = &proto_http;
	assert_in_range(held_after(send_half_a_head), MANY, MANY + POOL);
	assert_in_range(held_after(owe_and_have_more), 2 * MANY, 2 * MANY + POOL);
}

static const char *const greedy[] = {
	GET GET GET GET GET GET GET GET,
	"GET /bytes/1000000 HTTP/1.1\r\n" HOST "\r\n" GET,
	"HEAD /bytes/1073741824 HTTP/1.1\r\n" HOST "\r\n" GET,
	"GET / HTTP/1.1\r\n" HOST "Content-Length: 65536\r\n\r\n",
	"GET / HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551615\r\n\r\nxxxxxxx",
	"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nffffffff\r\nxxxxxx",
	"\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n",
	"nonsense",
	"nonsense\r\n",
};

/* The bound conn.h states: two blocks; and nothing else is ever allocated for a request. */
static void no_request_makes_a_connection_hold_more_than_two_blocks(void **state)
{
	static const struct proto *const list[] = {&proto_echo, &proto_http, &proto_rot13};
	struct conn *holders[POOL + 1];
	size_t n = drain_pool(holders);

	(void)state;
	for (size_t p = 0; p < 3; p++) {
		current = list[p];
		for (size_t i = 0; i < sizeof(greedy) / sizeof(*greedy); i++) {
			struct conn *c = lonely();
			/* Freed blocks are kept: what was ever held at a time is what was
			 * allocated. */
			size_t before = n_blocks, others = other_allocations;
			size_t len = strlen(greedy[i]), piece = i % 2 ? 1 : len;
			/* What has no end of line goes on until it is too long for any protocol. */
			size_t rounds = strchr(greedy[i], '\n') ? 20 : 3000;
			enum conn_io io = IO_OK;

			for (size_t round = 0; round < rounds && io == IO_OK; round++) {
				for (size_t at = 0; io == IO_OK && at < len; at += piece) {
					io = receive(c, greedy[i] + at, piece);
					if (io == IO_OK)
						io = send_all(c, NULL);
				}
			}
			assert_in_range(n_blocks - before, 0, 2);
			assert_int_equal(other_allocations, others);
			conn_close(c);
			close_all(holders, n);
			n = drain_pool(holders);
		}
	}
	close_all(holders, n);
}

static void without_memory_a_client_is_turned_away(void **state)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)state;
	no_conns = true;
	assert_null(conn_open(fd));
	no_conns = false;
	assert_int_equal(fcntl(fd, F_GETFD), -1); /* closed */
	assert_int_equal(errno, EBADF);
	assert_int_equal(conn_count(), 0);
}

static void without_memory_to_receive_only_that_peer_is_closed(void **state)
{
	struct conn *holders[POOL + 1], *c, *other;
	int peer, other_peer;
	size_t n;

	(void)state;
	other = connected(&other_peer);
	c = connected(&peer);
	n = drain_pool(holders);
	no_blocks = true;
	assert_int_equal(conn_turn(c), IO_OK); /* nobody spoke: nothing is lost */
	say(peer, "hello");
	say(other_peer, "hi");
	assert_int_equal(conn_turn(c), IO_CLOSED);
	conn_close(c);
	no_blocks = false;
	assert_int_equal(conn_turn(other), IO_OK);
	assert_hears(other_peer, "hi");
	conn_close(other);
	close_all(holders, n);
	close(peer);
	close(other_peer);
}

static void without_memory_to_answer_only_that_peer_is_closed(void **state)
{
	struct conn *holders[POOL + 1], *c, *other;
	size_t n, len;
	char *buf;

	(void)state;
	c = lonely();
	other = lonely();
	n = drain_pool(holders);
	buf = conn_buf(c, &len);
	memcpy(buf, "hello", 5);
	no_blocks = true;
	assert_int_equal(conn_done(c, 5), IO_CLOSED);
	conn_close(c); /* its block is free again, but one is not enough for an answer */
	buf = conn_buf(other, &len);
	memcpy(buf, "hi", 2);
	no_blocks = false;
	assert_int_equal(conn_done(other, 2), IO_OK);
	assert_owes(other, "hi");
	conn_close(other);
	close_all(holders, n);
}

/* What is tried with one byte of room, for lack of memory, must not be taken for the stream. */
static void without_memory_a_result_of_any_kind_is_safe(void **state)
{
	static const ssize_t results[] = {1, 0, -EAGAIN, -EINTR, -ECONNRESET};
	static const enum conn_io due[] = {IO_CLOSED, IO_CLOSED, IO_AGAIN, IO_OK, IO_CLOSED};
	struct conn *holders[POOL + 1];
	size_t n = drain_pool(holders), len;

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(due) / sizeof(*due); i++) {
		size_t kind = i / 2;
		struct conn *c = lonely();

		no_blocks = true;
		*conn_buf(c, &len) = 'x';
		assert_true(len > 0);
		no_blocks = i % 2; /* or there is memory again by then */
		assert_int_equal(conn_done(c, results[kind]), due[kind]);
		no_blocks = false;
		if (due[kind] != IO_CLOSED) {
			assert_int_equal(receive(c, "abc", 3), IO_OK);
			assert_owes(c, "abc");
		}
		conn_close(c);
	}
	close_all(holders, n);
}

static void *serve_one(void *arg)
{
	struct conn *c = lonely();

	receive(c, "hello", 5);
	send_all(c, NULL);
	conn_close(c);
	return arg;
}

static void blocks_of_ended_threads_are_freed(void **state)
{
	size_t before = n_blocks;

	(void)state;
	for (int i = 0; i < 10; i++) {
		pthread_t thread;

		assert_int_equal(pthread_create(&thread, NULL, serve_one, NULL), 0);
		assert_int_equal(pthread_join(thread, NULL), 0);
	}
	assert_int_equal(n_blocks, before);
}

/* --- over sockets --------------------------------------------------------------------------- */

static void a_step_is_one_call(void **state)
{
	int peer;
	struct conn *c = connected(&peer);

	(void)state;
	assert_int_equal(conn_step(c), IO_AGAIN);
	say(peer, "hello");
	assert_int_equal(conn_step(c), IO_OK);
	assert_int_equal(recvs, 2);
	assert_int_equal(sends, 0);
	assert_int_equal(conn_step(c), IO_OK);
	assert_int_equal(sends, 1);
	assert_hears(peer, "hello");
	close(peer);
	assert_int_equal(conn_step(c), IO_CLOSED);
	conn_close(c);
}

static void a_peer_that_has_gone_is_an_error_not_a_signal(void **state)
{
	int peer;
	struct conn *c = connected(&peer);

	(void)state;
	say(peer, "hello");
	assert_int_equal(conn_step(c), IO_OK);
	close(peer);
	assert_int_equal(conn_step(c), IO_CLOSED); /* EPIPE; SIGPIPE would have ended the test */
	conn_close(c);
}

static void a_turn_is_one_receive_and_the_sends_that_answer_it(void **state)
{
	int peer;
	struct conn *c = connected(&peer);

	(void)state;
	say(peer, "hello, world");
	most_sent = 5;
	assert_int_equal(conn_turn(c), IO_OK);
	assert_int_equal(recvs, 1);
	assert_int_equal(sends, 3);
	assert_int_equal(conn_next(c), OP_RECV);
	assert_hears(peer, "hello, world");
	conn_close(c);
	close(peer);
}

static void a_false_alarm_is_not_to_be_waited_for_differently(void **state)
{
	int peer;
	struct conn *c = connected(&peer);

	(void)state;
	assert_int_equal(conn_turn(c), IO_OK);
	recv_error = EINTR;
	assert_int_equal(conn_turn(c), IO_OK);
	assert_int_equal(conn_next(c), OP_RECV);
	conn_close(c);
	close(peer);
}

static void a_turn_goes_on_after_an_interrupted_send(void **state)
{
	int peer;
	struct conn *c = connected(&peer);

	(void)state;
	say(peer, "hello");
	send_error = EINTR;
	assert_int_equal(conn_turn(c), IO_OK);
	assert_hears(peer, "hello");
	conn_close(c);
	close(peer);
}

static void a_full_socket_is_waited_for_and_served_later(void **state)
{
	int peer;
	struct conn *c = connected(&peer);

	(void)state;
	say(peer, "hello");
	send_error = EAGAIN;
	assert_int_equal(conn_turn(c), IO_AGAIN);
	assert_int_equal(conn_next(c), OP_SEND);
	say(peer, "again");
	recvs = 0;
	assert_int_equal(conn_turn(c), IO_OK);
	assert_int_equal(recvs, 0); /* what is owed goes first, the rest is the next turn's */
	assert_hears(peer, "hello");
	assert_int_equal(conn_turn(c), IO_OK);
	assert_hears(peer, "again");
	conn_close(c);
	close(peer);
}

static void a_turn_ends_however_much_is_owed(void **state)
{
	char heard[1000];
	int peer;
	struct conn *c = connected(&peer);
	size_t all = 0;

	(void)state;
	current = &endless;
	say(peer, "?");
	for (int turn = 0; turn < 5; turn++) {
		ssize_t n;

		sends = 0;
		assert_int_equal(conn_turn(c), IO_AGAIN);
		assert_in_range(sends, 2, TURN);
		n = read(peer, heard, sizeof(heard));
		assert_int_equal(n, sends);
		all += (size_t)n;
	}
	assert_true(all > 5);
	conn_close(c);
	close(peer);
}

/* The client sends all and says so (shutdown), then reads: every reply comes, then the end. */
static void everything_before_a_half_close_is_answered(void **state)
{
	static struct http_due due;
	const char *stream = GET "GET /bytes/500000 HTTP/1.1\r\n" HOST "\r\n" GET;
	struct text heard = {0};
	char bytes[5000];
	int peer;
	struct conn *c = connected(&peer);
	enum conn_io io;

	(void)state;
	current = &proto_http;
	oracle_http(stream, strlen(stream), &due);
	say(peer, stream);
	shutdown(peer, SHUT_WR);
	do {
		ssize_t n = read(peer, bytes, sizeof(bytes));

		if (n > 0)
			text_add(&heard, bytes, (size_t)n);
		io = conn_turn(c);
	} while (io != IO_CLOSED);
	conn_close(c);
	for (ssize_t n; (n = read(peer, bytes, sizeof(bytes))) > 0;)
		text_add(&heard, bytes, (size_t)n);
	assert_null(oracle_check(&due, heard.data, heard.len));
	text_free(&heard);
	close(peer);
}

static void closing_with_a_debt_is_safe(void **state)
{
	int peer;
	struct conn *c = connected(&peer);
	int fd = conn_fd(c);

	(void)state;
	say(peer, "hello");
	assert_int_equal(conn_step(c), IO_OK);
	conn_close(c);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	assert_int_equal(read(peer, &fd, 1), 0); /* the end; "hello" was never answered */
	close(peer);
}

/* --- the end of a connection ---------------------------------------------------------------- */

static void a_client_that_asked_for_it_is_closed_at_once(void **state)
{
	struct conn *c = lonely();
	const char *request = "GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n";

	(void)state;
	current = &proto_http;
	assert_int_equal(receive(c, request, strlen(request)), IO_OK);
	assert_int_equal(send_all(c, NULL), IO_CLOSED);
	conn_close(c);
}

/* The reply to an error must survive what the client was still sending (RFC 9112, 9.6). */
static void a_refused_client_hears_why(void **state)
{
	char heard[1000] = "", more[10000];
	size_t n = 0;
	ssize_t got;
	int peer;
	struct conn *c = connected_tcp(&peer);

	(void)state;
	current = &proto_http;
	memset(more, 'x', sizeof(more));
	say(peer, "nonsense\r\n");
	assert_int_equal(write(peer, more, sizeof(more)), sizeof(more));
	while (conn_next(c) == OP_RECV)
		assert_int_equal(conn_step(c), IO_OK);
	assert_int_equal(write(peer, more, sizeof(more)), sizeof(more)); /* unread when it closes */
	assert_int_equal(conn_step(c), IO_OK);
	assert_int_equal(conn_next(c), OP_SHUTDOWN);
	assert_int_equal(conn_step(c), IO_OK);
	while ((got = read(peer, heard + n, sizeof(heard) - 1 - n)) > 0)
		n += (size_t)got;
	assert_int_equal(got, 0); /* the end, not a reset */
	assert_int_equal(strncmp(heard, "HTTP/1.1 400 ", 13), 0);
	assert_non_null(strstr(heard, "\r\n\r\n"));
	close(peer);
	while (conn_step(c) == IO_OK)
		assert_int_equal(conn_next(c), OP_RECV);
	conn_close(c);
}

static void nothing_is_answered_while_it_lingers(void **state)
{
	struct conn *c = lonely();

	(void)state;
	current = &proto_http;
	receive(c, "nonsense\r\n", 10);
	send_all(c, NULL);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(receive(c, GET, strlen(GET)), IO_OK);
		assert_int_equal(conn_next(c), OP_RECV);
	}
	conn_close(c);
}

static void it_does_not_linger_for_ever(void **state)
{
	static const char flood[1000];
	struct conn *c = lonely();
	size_t sent = 0;

	(void)state;
	current = &proto_rot13;
	for (int i = 0; i < 17; i++) /* a line that is too long */
		receive(c, flood, i < 16 ? 1000 : 385);
	shut_down(c);
	while (receive(c, flood, sizeof(flood)) == IO_OK)
		assert_in_range(sent += sizeof(flood), 0, 2 * LINGER);
	assert_in_range(sent, LINGER - BUFFER, LINGER + BUFFER);
	conn_close(c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(waits_to_receive_at_first),
		TEST(what_is_received_is_answered),
		TEST(a_short_send_leaves_the_rest),
		TEST(interrupted_calls_change_nothing),
		TEST(a_socket_that_is_not_ready_is_waited_for),
		TEST(errors_close_the_connection),
		TEST(end_of_file_closes_even_in_half_a_request),
		TEST(it_does_not_read_while_it_owes),
		TEST(counters_count),
		TEST(an_idle_connection_is_small),
		TEST(a_connection_without_a_part_of_a_request_holds_no_block),
		TEST(half_a_request_holds_one_block_and_a_debt_two),
		TEST(no_request_makes_a_connection_hold_more_than_two_blocks),
		TEST(without_memory_a_client_is_turned_away),
		TEST(without_memory_to_receive_only_that_peer_is_closed),
		TEST(without_memory_to_answer_only_that_peer_is_closed),
		TEST(without_memory_a_result_of_any_kind_is_safe),
		TEST(blocks_of_ended_threads_are_freed),
		TEST(a_step_is_one_call),
		TEST(a_peer_that_has_gone_is_an_error_not_a_signal),
		TEST(a_turn_is_one_receive_and_the_sends_that_answer_it),
		TEST(a_false_alarm_is_not_to_be_waited_for_differently),
		TEST(a_turn_goes_on_after_an_interrupted_send),
		TEST(a_full_socket_is_waited_for_and_served_later),
		TEST(a_turn_ends_however_much_is_owed),
		TEST(everything_before_a_half_close_is_answered),
		TEST(closing_with_a_debt_is_safe),
		TEST(a_client_that_asked_for_it_is_closed_at_once),
		TEST(a_refused_client_hears_why),
		TEST(nothing_is_answered_while_it_lingers),
		TEST(it_does_not_linger_for_ever),
	};

	alarm(120);
	stats_init(1);
	conn_init(&any, BUFFER, MINE);
	return cmocka_run_group_tests_name("conn", tests, NULL, NULL);
}
