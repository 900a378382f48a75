// SPDX-License-Identifier: MIT
// tenk-wrap: clock_gettime
/*
 * What models of every kind rely on: slots, bytes of their own, bytes fed, files, hand-overs,
 * several listening sockets.
 */
#include "servers/lib/conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "servers/lib/lifecycle.h"
#include "servers/lib/proto.h"
#include "servers/lib/server.h"
#include "servers/lib/stats.h"

enum {
	BUFFER = 16400,
	MINE = 40,
};

#define HEAD "Host: a\r\n\r\n"

/* --- a process speaks one protocol; here it changes from test to test ----------------------- */

static const struct proto *current;

static unsigned answer_current(struct dialogue *d, struct buffer *in, struct buffer *out)
{
	return current->answer(d, in, out);
}

static const struct proto any = {.name = "any", .min_buffer = 1, .answer = answer_current};

/* A clock that may be moved on. */
static time_t later_s;

int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
	int res = __real_clock_gettime(clock, now);

	now->tv_sec += later_s;
	return res;
}

static char root[] = "/tmp/tenk-root-XXXXXX";

static int setup(void **state)
{
	(void)state;
	current = &proto_echo;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return conn_count();
}

static struct conn *lonely(void)
{
	struct conn *c = conn_open(open("/dev/null", O_RDWR | O_CLOEXEC));

	assert_non_null(c);
	return c;
}

static struct server listening(int max_conns, bool again)
{
	struct listening how = {.address = "127.0.0.1",
				.backlog = 50,
				.nodelay = true,
				.nonblocking = true,
				.again = again};
	int port;

	return (struct server){.listen_fd = listen_on(&how, &port),
			       .max_conns = max_conns,
			       .workers = 1,
			       .accept_batch = 8,
			       .backlog = how.backlog};
}

static int client_of(const struct server *srv)
{
	struct sockaddr_in at;
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(getsockname(srv->listen_fd, (struct sockaddr *)&at, &len), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, len), 0);
	return fd;
}

/* --- slots ---------------------------------------------------------------------------------- */

static void accepting_reserves_the_slot_at_once(void **state)
{
	struct server srv = listening(2, false);
	int clients[3], fds[2];

	(void)state;
	for (int i = 0; i < 3; i++)
		clients[i] = client_of(&srv);
	for (int i = 0; i < 2; i++) {
		fds[i] = server_accept(&srv, 0);
		assert_true(fds[i] >= 0);
		assert_int_equal(conn_count(), i + 1); /* though no conn_open() was called */
		assert_null(conn_of(fds[i]));
	}
	assert_false(server_accepting(&srv));
	assert_int_equal(server_accept(&srv, 0), ACCEPT_FULL);
	assert_int_equal(conn_count(), 2);
	conn_close(conn_open(fds[0])); /* fills the slot, and frees it */
	assert_int_equal(conn_count(), 1);
	server_turn_away(fds[1]);
	assert_int_equal(fcntl(fds[1], F_GETFD), -1);
	assert_int_equal(conn_count(), 0);
	fds[0] = server_accept(&srv, 0);
	assert_true(fds[0] >= 0);
	server_turn_away(fds[0]);
	assert_int_equal(server_accept(&srv, 0), ACCEPT_EMPTY);
	assert_int_equal(conn_count(), 0);
	for (int i = 0; i < 3; i++)
		close(clients[i]);
	close(srv.listen_fd);
}

enum {
	ACCEPTORS = 8,
	ROOM = 20,
	CROWD = 100,
};

static int most_open;

static void *accept_all(void *arg)
{
	const struct server *srv = arg;
	int n = 0;

	/* No thread closes one: whatever the order, ROOM of them are all there may be. */
	for (int tries = 0; tries < 2 * CROWD; tries++) {
		int fd = server_accept(srv, SOCK_NONBLOCK);

		if (fd >= 0 && conn_open(fd))
			n++;
	}
	__atomic_fetch_add(&most_open, n, __ATOMIC_RELAXED);
	return NULL;
}

static void many_acceptors_never_exceed_the_limit(void **state)
{
	struct server srv = listening(ROOM, false);
	pthread_t threads[ACCEPTORS];
	int clients[50], at = 0;
	struct conn *c;

	(void)state;
	for (int i = 0; i < 50; i++)
		clients[i] = client_of(&srv);
	most_open = 0;
	for (int i = 0; i < ACCEPTORS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, accept_all, &srv), 0);
	for (int i = 0; i < ACCEPTORS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(most_open, ROOM);
	assert_int_equal(conn_count(), ROOM);
	while ((c = conn_each(&at)))
		conn_close(c);
	for (int i = 0; i < 50; i++)
		close(clients[i]);
	close(srv.listen_fd);
}

static void a_socket_accepted_elsewhere_takes_a_slot_too(void **state)
{
	struct server srv = listening(1, false);
	int client = client_of(&srv);
	int fd = server_accepted(&srv, accept(srv.listen_fd, NULL, NULL));

	(void)state;
	assert_int_equal(conn_count(), 1);
	assert_false(server_accepting(&srv));
	conn_close(conn_open(fd));
	assert_true(server_accepting(&srv));
	assert_int_equal(server_accepted(&srv, -EAGAIN), ACCEPT_EMPTY);
	assert_int_equal(conn_count(), 0);
	close(client);
	close(srv.listen_fd);
}

/*
 * The answer depends on the time: a model that asks again for its time-out may be told that it can
 * wait for ever, while it does not watch the listening socket.
 */
static void a_wait_goes_by_the_answer_it_was_given(void **state)
{
	struct server srv = listening(5, false);
	bool accepting;

	(void)state;
	assert_int_equal(server_accepted(&srv, -EMFILE), ACCEPT_FULL);
	accepting = server_accepting(&srv);
	assert_false(accepting);
	later_s += 1; /* the pause ends between the look and the wait */
	assert_true(server_wait_ms(accepting) > 0);
	assert_true(server_accepting(&srv));
	assert_int_equal(server_wait_ms(true), -1);
	close(srv.listen_fd);
}

static void an_accepted_socket_blocks_or_not_as_asked(void **state)
{
	struct server srv = listening(2, false); /* does not block itself */
	int clients[2] = {client_of(&srv), client_of(&srv)};
	int blocking = server_accept(&srv, 0), other = server_accept(&srv, SOCK_NONBLOCK);

	(void)state;
	assert_false(fcntl(blocking, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(other, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(blocking, F_GETFD) & FD_CLOEXEC);
	server_turn_away(blocking);
	server_turn_away(other);
	close(clients[0]);
	close(clients[1]);
	close(srv.listen_fd);
}

/* --- several listening sockets -------------------------------------------------------------- */

static void clients_are_dealt_out_to_all_listening_sockets(void **state)
{
	struct server first = listening(CROWD, true), second = first;
	int clients[50], got[2] = {0, 0}, nodelay = 0, fd;
	socklen_t len = sizeof(nodelay);

	(void)state;
	second.listen_fd = server_listen_again(&first);
	assert_true(fcntl(second.listen_fd, F_GETFL) & O_NONBLOCK);
	getsockopt(second.listen_fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, &len);
	assert_true(nodelay);
	for (int i = 0; i < 50; i++)
		clients[i] = client_of(&first);
	while ((fd = server_accept(&first, 0)) >= 0) {
		got[0]++;
		server_turn_away(fd);
	}
	while ((fd = server_accept(&second, 0)) >= 0) {
		got[1]++;
		server_turn_away(fd);
	}
	assert_int_equal(got[0] + got[1], 50);
	assert_true(got[0] > 0 && got[1] > 0); /* else: once in 10^15 */
	for (int i = 0; i < 50; i++)
		close(clients[i]);
	close(first.listen_fd);
	close(second.listen_fd);
}

/* In a child: catch signals, and report what SIGTERM shut down as exit status. */
static void in_child(void (*body)(void), int wanted)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		body();
	waitpid(pid, &status, 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), wanted);
}

/* A listening socket that has been shut down accepts nobody: EINVAL instead of EAGAIN. */
static bool is_shut_down(int listen_fd)
{
	return accept(listen_fd, NULL, NULL) < 0 && errno == EINVAL;
}

static void stop_with_two_sockets(void)
{
	struct server srv = listening(5, true);
	int second, ends[2];

	server_catch_signals(srv.listen_fd);
	second = server_listen_again(&srv);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		_exit(99);
	server_stop_also(ends[0]);
	if (is_shut_down(srv.listen_fd) || is_shut_down(second))
		_exit(98);
	raise(SIGTERM);
	_exit((is_shut_down(srv.listen_fd) ? 1 : 0) | (is_shut_down(second) ? 2 : 0) |
	      (read(ends[0], ends, 1) == 0 ? 4 : 0) | (server_stopping() ? 8 : 0));
}

static void sigterm_shuts_down_every_listening_socket(void **state)
{
	(void)state;
	in_child(stop_with_two_sockets, 15);
}

/* A forked child is told to stop: its own socket is shut down, its parent's goes on. */
static void stop_a_child(void)
{
	struct server srv = listening(5, true);
	int status, own;
	pid_t pid;

	server_catch_signals(srv.listen_fd);
	pid = fork();
	if (pid == 0) {
		own = server_listen_again(&srv);
		server_child(own, getppid());
		raise(SIGTERM);
		_exit((is_shut_down(srv.listen_fd) ? 1 : 0) | (is_shut_down(own) ? 2 : 0));
	}
	waitpid(pid, &status, 0);
	_exit(WEXITSTATUS(status) | (is_shut_down(srv.listen_fd) ? 4 : 0));
}

static void sigterm_to_a_child_leaves_the_parents_socket_alone(void **state)
{
	(void)state;
	in_child(stop_a_child, 2);
}

static void a_child_accepts_after_its_parent_stopped(void)
{
	struct server srv = listening(5, false);
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		server_child(-1, getppid());
		shutdown(srv.listen_fd, SHUT_RDWR); /* as its parent's handler does */
		_exit(server_accept(&srv, 0) == ACCEPT_STOPPED && server_stopping() ? 2 : 1);
	}
	waitpid(pid, &status, 0);
	_exit(WEXITSTATUS(status));
}

static void a_child_stops_when_its_parent_shut_their_listening_socket_down(void **state)
{
	(void)state;
	in_child(a_child_accepts_after_its_parent_stopped, 2);
}

/* --- the model's own bytes, and finding connections ----------------------------------------- */

static void every_connection_has_bytes_of_the_models_own(void **state)
{
	static const char zero[MINE];
	struct conn *a = lonely(), *b = lonely();

	(void)state;
	assert_memory_equal(conn_mine(a), zero, MINE);
	assert_int_equal((uintptr_t)conn_mine(a) % _Alignof(max_align_t), 0);
	memset(conn_mine(a), 'a', MINE);
	memset(conn_mine(b), 'b', MINE);
	assert_int_equal(((char *)conn_mine(a))[MINE - 1], 'a');
	assert_int_equal(conn_next(a), OP_RECV);
	conn_close(a);
	conn_close(b);
	a = lonely();
	assert_memory_equal(conn_mine(a), zero, MINE);
	conn_close(a);
}

static void a_connection_is_found_by_its_descriptor(void **state)
{
	struct conn *c = lonely();
	int fd = conn_fd(c);

	(void)state;
	assert_ptr_equal(conn_of(fd), c);
	assert_null(conn_of(fd + 1));
	assert_null(conn_of(-1));
	assert_null(conn_of(1 << 30));
	conn_close(c);
	assert_null(conn_of(fd));
}

static void all_open_connections_are_visited_once_while_they_are_closed(void **state)
{
	struct conn *all[10], *c;
	int at = 0, last = -1, visited = 0;

	(void)state;
	for (int i = 0; i < 10; i++)
		all[i] = lonely();
	conn_close(all[4]);
	while ((c = conn_each(&at))) {
		assert_true(conn_fd(c) > last);
		last = conn_fd(c);
		conn_close(c);
		visited++;
	}
	assert_int_equal(visited, 9);
	assert_null(conn_each(&at));
}

static void a_socket_without_a_descriptor_is_not_closed(void **state)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct conn *c = conn_new(fd);

	(void)state;
	assert_int_equal(conn_count(), 1);
	assert_ptr_equal(conn_of(fd), c);
	conn_free(c);
	assert_int_equal(conn_count(), 0);
	assert_null(conn_of(fd));
	assert_true(fcntl(fd, F_GETFD) >= 0);
	close(fd);
}

/* --- operations ----------------------------------------------------------------------------- */

static void a_connection_at_its_end_waits_to_be_closed(void **state)
{
	struct conn *c = lonely();
	size_t len = 1;

	(void)state;
	assert_int_equal(conn_done(c, 0), IO_CLOSED);
	assert_int_equal(conn_next(c), OP_CLOSE);
	assert_null(conn_buf(c, &len));
	assert_int_equal(len, 0);
	assert_int_equal(conn_done(c, 0), IO_CLOSED);
	conn_close(c);
}

static void bytes_received_elsewhere_are_answered(void **state)
{
	struct conn *c = lonely();
	size_t len;

	(void)state;
	assert_int_equal(conn_feed(c, "hello", 5), 5);
	assert_int_equal(conn_next(c), OP_SEND);
	assert_memory_equal(conn_buf(c, &len), "hello", 5);
	assert_int_equal(len, 5);
	assert_int_equal(conn_feed(c, "more", 4), 0); /* it owes a reply */
	assert_int_equal(conn_done(c, 5), IO_OK);
	assert_int_equal(conn_feed(c, "more", 4), 4);
	assert_int_equal(conn_done(c, 4), IO_OK);
	conn_close(c);
}

static void no_more_is_taken_than_there_is_room_for(void **state)
{
	static char much[3 * BUFFER];
	struct conn *c = lonely();

	(void)state;
	assert_int_equal(conn_feed(c, much, sizeof(much)), BUFFER);
	conn_close(c);
}

static void feeding_what_ends_the_connection_says_so(void **state)
{
	const char *request = "GET / HTTP/1.1\r\nConnection: close\r\n" HEAD;
	struct conn *c = lonely();
	size_t len;

	(void)state;
	current = &proto_http;
	assert_int_equal(conn_feed(c, request, strlen(request)), strlen(request));
	assert_int_equal(conn_next(c), OP_SEND);
	conn_buf(c, &len);
	assert_int_equal(conn_done(c, (ssize_t)len), IO_CLOSED);
	assert_int_equal(conn_next(c), OP_CLOSE);
	assert_int_equal(conn_feed(c, request, 5), 0);
	conn_close(c);
}

static void the_shutdown_after_a_refusal_is_an_operation(void **state)
{
	static const ssize_t results[] = {0, -EINTR, -ENOTCONN};
	size_t len;

	(void)state;
	current = &proto_http;
	for (size_t i = 0; i < sizeof(results) / sizeof(*results); i++) {
		struct conn *c = lonely();

		conn_feed(c, "nonsense\r\n", 10);
		conn_buf(c, &len);
		assert_int_equal(conn_done(c, (ssize_t)len), IO_OK);
		assert_int_equal(conn_next(c), OP_SHUTDOWN);
		assert_int_equal(conn_done(c, results[i]), IO_OK);
		assert_int_equal(conn_next(c), OP_RECV);
		conn_close(c);
	}
}

/* --- files ---------------------------------------------------------------------------------- */

static void put_file(const char *name, const char *data, size_t len)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, len, file), len);
	fclose(file);
}

/* The whole reply to GET `target`, made step by step with pread(2). Returns its length. */
static size_t reply_to(const char *method, const char *target, char *reply, size_t size)
{
	struct conn *c = lonely();
	char request[300];
	size_t n = 0;

	snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\n" HEAD, method, target);
	conn_feed(c, request, strlen(request));
	while (conn_next(c) == OP_SEND || conn_next(c) == OP_READ) {
		if (conn_next(c) == OP_READ) {
			assert_int_equal(conn_step(c), IO_OK);
		} else {
			size_t len;
			char *buf = conn_buf(c, &len);

			assert_true(n + len < size);
			memcpy(reply + n, buf, len);
			n += len;
			conn_done(c, (ssize_t)len);
		}
	}
	assert_int_equal(conn_next(c), OP_RECV);
	conn_close(c);
	reply[n] = '\0';
	return n;
}

static char file_bytes[5 * BUFFER + 7];

static void a_file_is_the_body_of_the_reply(void **state)
{
	static char reply[sizeof(file_bytes) + 1000];
	size_t sizes[] = {0, 1, 5, BUFFER, sizeof(file_bytes)};

	(void)state;
	current = &proto_http;
	for (size_t i = 0; i < sizeof(file_bytes); i++)
		file_bytes[i] = (char)(i * 31 % 251);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		char length[64];
		size_t n;
		char *body;

		put_file("data", file_bytes, sizes[i]);
		n = reply_to("GET", "/file/data", reply, sizeof(reply));
		assert_int_equal(strncmp(reply, "HTTP/1.1 200 OK\r\n", 17), 0);
		snprintf(length, sizeof(length), "\r\nContent-Length: %zu\r\n", sizes[i]);
		assert_non_null(strstr(reply, length));
		body = strstr(reply, "\r\n\r\n") + 4;
		assert_int_equal((size_t)(reply + n - body), sizes[i]);
		assert_memory_equal(body, file_bytes, sizes[i]);
	}
}

static void head_of_a_file_has_its_length_and_no_body(void **state)
{
	char reply[1000];
	size_t n;

	(void)state;
	current = &proto_http;
	put_file("data", "0123456789", 10);
	n = reply_to("HEAD", "/file/data", reply, sizeof(reply));
	assert_non_null(strstr(reply, "\r\nContent-Length: 10\r\n"));
	assert_string_equal(reply + n - 4, "\r\n\r\n");
}

static void nothing_outside_the_root_and_no_other_kind_of_file_is_found(void **state)
{
	static const char *const targets[] = {
		"/file/",
		"/file/none",
		"/file/..",
		"/file/../etc/passwd",
		"/file/%2e%2e/etc/passwd",
		"/file//etc/passwd",
		"/file/escape/passwd",
		"/file/absolute",
		"/file/.",
		"/file/pipe",
		"/file/sub",
		"/file/data%00",
		"/file/data%",
		"/file/data%zz",
		"/file/%2Fetc%2Fpasswd",
		"/file/data/",
		"/file/data/..",
	};
	char path[256], reply[1000];

	(void)state;
	current = &proto_http;
	put_file("data", "x", 1);
	snprintf(path, sizeof(path), "%s/escape", root);
	assert_int_equal(symlink("../../../../etc", path), 0);
	snprintf(path, sizeof(path), "%s/absolute", root);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	snprintf(path, sizeof(path), "%s/pipe", root);
	assert_int_equal(mkfifo(path, 0600), 0);
	snprintf(path, sizeof(path), "%s/sub", root);
	assert_int_equal(mkdir(path, 0700), 0);
	for (size_t i = 0; i < sizeof(targets) / sizeof(*targets); i++) {
		reply_to("GET", targets[i], reply, sizeof(reply));
		assert_int_equal(strncmp(reply, "HTTP/1.1 404 ", 13), 0);
	}
}

static void names_may_be_encoded_and_lie_in_folders_beneath(void **state)
{
	char path[256], reply[1000];

	(void)state;
	current = &proto_http;
	snprintf(path, sizeof(path), "%s/folder", root);
	assert_int_equal(mkdir(path, 0700), 0);
	put_file("folder/a b%", "inside", 6);
	reply_to("GET", "/file/folder/a%20b%25?query", reply, sizeof(reply));
	assert_non_null(strstr(reply, "\r\n\r\ninside"));
}

/* A completion model reads with the descriptor and the offset that it is told. */
static void a_file_can_be_read_by_the_model(void **state)
{
	struct conn *c = lonely();
	const char *request = "GET /file/data HTTP/1.1\r\n" HEAD;
	off_t offset, due = 0;
	size_t len, sent = 0;
	char *buf;
	int fd;

	(void)state;
	current = &proto_http;
	put_file("data", file_bytes, 3 * BUFFER);
	conn_feed(c, request, strlen(request));
	while (conn_next(c) != OP_RECV) {
		if (conn_next(c) == OP_READ) {
			conn_file(c, &fd, &offset);
			assert_int_equal(offset, due);
			assert_int_equal(conn_done(c, -EINTR), IO_OK);
			buf = conn_buf(c, &len);
			len = len > 1000 ? 1000 : len; /* short reads are no error */
			assert_int_equal(pread(fd, buf, len, offset), len);
			due += (off_t)len;
			assert_int_equal(conn_done(c, (ssize_t)len), IO_OK);
		} else {
			conn_buf(c, &len);
			sent += len;
			assert_int_equal(conn_done(c, (ssize_t)len), IO_OK);
		}
	}
	assert_int_equal(due, 3 * BUFFER);
	assert_true(sent > 3 * BUFFER);
	assert_int_equal(fcntl(fd, F_GETFD), -1); /* closed with its last byte */
	conn_close(c);
}

static void a_file_that_shrinks_or_fails_ends_the_connection(void **state)
{
	static const ssize_t results[] = {0, -EIO, -EAGAIN};
	const char *request = "GET /file/data HTTP/1.1\r\n" HEAD;

	(void)state;
	current = &proto_http;
	put_file("data", "0123456789", 10);
	for (size_t i = 0; i < sizeof(results) / sizeof(*results); i++) {
		struct conn *c = lonely();
		off_t offset;
		int fd;

		conn_feed(c, request, strlen(request));
		assert_int_equal(conn_next(c), OP_READ);
		conn_file(c, &fd, &offset);
		assert_int_equal(conn_done(c, results[i]), IO_CLOSED);
		conn_close(c);
		assert_int_equal(fcntl(fd, F_GETFD), -1);
	}
}

/* --- from thread to thread ------------------------------------------------------------------ */

static void *take_and_answer(void *arg)
{
	int fd = -1;

	/* As a model does: the number comes through the kernel. */
	assert_int_equal(read(*(int *)arg, &fd, sizeof(fd)), sizeof(fd));
	for (struct conn *c = conn_take_over(fd); conn_next(c) == OP_SEND;)
		conn_done(c, 1);
	conn_hand_over(conn_of(fd));
	return NULL;
}

static void a_connection_goes_to_another_thread_and_back(void **state)
{
	struct conn *c = lonely();
	int ends[2], fd;
	pthread_t thread;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	assert_int_equal(pthread_create(&thread, NULL, take_and_answer, &ends[1]), 0);
	conn_feed(c, "hello", 5);
	fd = conn_hand_over(c);
	assert_int_equal(write(ends[0], &fd, sizeof(fd)), sizeof(fd));
	pthread_join(thread, NULL);
	c = conn_take_over(fd);
	assert_int_equal(conn_next(c), OP_RECV);
	conn_close(c);
	close(ends[0]);
	close(ends[1]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(accepting_reserves_the_slot_at_once),
		TEST(many_acceptors_never_exceed_the_limit),
		TEST(a_socket_accepted_elsewhere_takes_a_slot_too),
		TEST(a_wait_goes_by_the_answer_it_was_given),
		TEST(an_accepted_socket_blocks_or_not_as_asked),
		TEST(clients_are_dealt_out_to_all_listening_sockets),
		TEST(sigterm_shuts_down_every_listening_socket),
		TEST(sigterm_to_a_child_leaves_the_parents_socket_alone),
		TEST(a_child_stops_when_its_parent_shut_their_listening_socket_down),
		TEST(every_connection_has_bytes_of_the_models_own),
		TEST(a_connection_is_found_by_its_descriptor),
		TEST(all_open_connections_are_visited_once_while_they_are_closed),
		TEST(a_socket_without_a_descriptor_is_not_closed),
		TEST(a_connection_at_its_end_waits_to_be_closed),
		TEST(bytes_received_elsewhere_are_answered),
		TEST(no_more_is_taken_than_there_is_room_for),
		TEST(feeding_what_ends_the_connection_says_so),
		TEST(the_shutdown_after_a_refusal_is_an_operation),
		TEST(a_file_is_the_body_of_the_reply),
		TEST(head_of_a_file_has_its_length_and_no_body),
		TEST(nothing_outside_the_root_and_no_other_kind_of_file_is_found),
		TEST(names_may_be_encoded_and_lie_in_folders_beneath),
		TEST(a_file_can_be_read_by_the_model),
		TEST(a_file_that_shrinks_or_fails_ends_the_connection),
		TEST(a_connection_goes_to_another_thread_and_back),
	};
	char clean[sizeof(root) + 16];
	int failed;

	alarm(120);
	stats_init(1);
	conn_init(&any, BUFFER, MINE);
	assert_non_null(mkdtemp(root));
	http_serve_files(root);
	failed = cmocka_run_group_tests_name("contract", tests, NULL, NULL);
	snprintf(clean, sizeof(clean), "rm -rf %s", root);
	return system(clean) || failed;
}
