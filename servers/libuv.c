// SPDX-License-Identifier: MIT
/*
 * libuv: the loop of the library libuv, which is Node.js's, level-triggered epoll below (2011).
 *
 * As libevent_buffer.c, a function of ours is called when bytes have been received (a proactor made
 * of a reactor), and before that another one, which says where to put them. So nothing is copied,
 * and an idle connection holds no buffer. To send we try at once, and leave to the library only
 * what the socket did not take.
 *
 * What to look for: a handle has a life of its own. uv_close() closes the socket, but the library
 * uses the handle until it calls back, so handle and connection are freed at different times. Files
 * cannot be waited for, so the library reads them in a pool of four threads, and nobody waits. To
 * stop receiving and start again would cost an epoll_ctl(2) each, so we stop only where a client
 * does not read.
 *
 * Limits: descriptors, and fs.epoll.max_user_watches. Where epoll_ctl(2) fails, the library ends
 *         the process by abort(3): we can only say why.
 * Needs:  libuv 1.
 * tenk-needs: libuv
 * tenk-package: libuv1-dev
 * Try:    build/servers/libuv -p 9000 &  strace -f -p $! &  nc 127.0.0.1 9000
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "common/die.h"
#include "servers/lib/conn.h"
#include "servers/lib/model.h"
#include "servers/lib/stats.h"

#define STEPS 32 /* of one connection before the others get theirs */

/* What the library works on for us: kept until it says that it is done. */
union request {
	uv_write_t send;
	uv_shutdown_t shut_down;
	uv_fs_t read;
};

/* What we keep for each connection. It outlives that, by the time the library needs. */
struct client {
	uv_tcp_t socket; /* .data is the client */
	struct conn *conn;
	union request *request; /* .data is the client; NULL while there is none */
};

static uv_loop_t loop;
static uv_poll_t listener;
static uv_timer_t pause_over;
static bool watched; /* the listening socket; if not, the timer ends the wait */
static int events;   /* calls of ours in this turn of the loop */

static void go_on(struct client *client);

/* --- connections ---------------------------------------------------------------------------- */

static void closed(uv_handle_t *socket)
{
	free(socket->data);
}

static void close_client(struct client *client)
{
	conn_free(client->conn);
	uv_close((uv_handle_t *)&client->socket, closed);
}

/* Where are the bytes to go that are about to be received? */
static void give_buffer(uv_handle_t *socket, size_t suggested, uv_buf_t *buf)
{
	struct client *client = socket->data;

	(void)suggested;
	buf->base = conn_buf(client->conn, &buf->len);
}

/* They are there; or an end, or an error, and -EAGAIN is 0. */
static void received(uv_stream_t *socket, ssize_t res, const uv_buf_t *buf)
{
	struct client *client = socket->data;

	(void)buf;
	events++;
	if (res == 0)
		res = -EAGAIN;
	else if (res == UV_EOF)
		res = 0;
	if (conn_done(client->conn, res) != IO_AGAIN)
		go_on(client);
}

/* --- what cannot be done at once ------------------------------------------------------------ */

static void done(struct client *client, ssize_t res)
{
	events++;
	free(client->request);
	client->request = NULL;
	conn_done(client->conn, res);
	go_on(client);
}

static void sent(uv_write_t *request, int res)
{
	size_t len;

	conn_buf(((struct client *)request->data)->conn, &len);
	done(request->data, res < 0 ? res : (ssize_t)len);
}

static void has_shut_down(uv_shutdown_t *request, int res)
{
	done(request->data, res);
}

static void has_read(uv_fs_t *request)
{
	ssize_t res = request->result;

	uv_fs_req_cleanup(request);
	done(request->data, res);
}

/* Leave to the library what the connection waits for. Returns 0 or -errno. */
static int submit(struct client *client)
{
	struct conn *c = client->conn;
	uv_stream_t *socket = (uv_stream_t *)&client->socket;
	off_t offset;
	size_t len;
	char *bytes = conn_buf(c, &len);
	uv_buf_t buf = uv_buf_init(bytes, (unsigned)len);
	int file;

	client->request = calloc(1, sizeof(*client->request));
	if (!client->request)
		return -ENOMEM;
	if (conn_next(c) == OP_SEND) {
		client->request->send.data = client;
		return uv_write(&client->request->send, socket, &buf, 1, sent);
	}
	if (conn_next(c) == OP_READ) {
		conn_file(c, &file, &offset);
		client->request->read.data = client;
		return uv_fs_read(&loop, &client->request->read, file, &buf, 1, offset, has_read);
	}
	client->request->shut_down.data = client;
	return uv_shutdown(&client->request->shut_down, socket, has_shut_down);
}

/* Send what it owes, as much as the socket takes. IO_AGAIN: that was not all, or not now. */
static enum conn_io try_to_send(struct client *client)
{
	size_t len;
	char *bytes = conn_buf(client->conn, &len);
	uv_buf_t buf = uv_buf_init(bytes, (unsigned)len);

	return conn_done(client->conn, uv_try_write((uv_stream_t *)&client->socket, &buf, 1));
}

static void go_on(struct client *client)
{
	uv_stream_t *socket = (uv_stream_t *)&client->socket;
	struct conn *c = client->conn;
	enum conn_io io = IO_OK;
	int res;

	for (int i = 0; i < STEPS && io == IO_OK && conn_next(c) == OP_SEND; i++)
		io = try_to_send(client);
	if (conn_next(c) == OP_CLOSE) {
		close_client(client);
	} else if (conn_next(c) == OP_RECV) {
		/* Already being received, as a rule: then nothing happens. */
		res = uv_read_start(socket, give_buffer, received);
		if (res && res != UV_EALREADY)
			close_client(client);
	} else {
		uv_read_stop(socket);
		res = submit(client);
		if (res) {
			free(client->request);
			close_client(client);
		}
	}
}

static void open_client(int fd)
{
	struct client *client = calloc(1, sizeof(*client));
	struct conn *c = client ? conn_new(fd) : NULL;

	if (!c) {
		free(client);
		server_turn_away(fd);
		return;
	}
	client->conn = c;
	*(struct client **)conn_mine(c) = client;
	client->socket.data = client;
	uv_tcp_init(&loop, &client->socket);
	uv_tcp_open(&client->socket, fd);
	go_on(client);
}

/* --- accepting ------------------------------------------------------------------------------ */

/*
 * With uv_poll(), as one waits for sockets that are not the library's. Its own uv_listen() accepts
 * one client more than it gives us; and, out of descriptors, all that wait, to close them.
 */
static void accept_clients(uv_poll_t *l, int res, int what)
{
	const struct server *srv = l->data;

	(void)what;
	events++;
	if (res)
		die_error(-res, "epoll_wait, in libuv", NULL);
	for (int i = 0; i < srv->accept_batch && server_accepting(srv); i++) {
		int fd = server_accept(srv, SOCK_NONBLOCK);

		if (fd < 0)
			return;
		open_client(fd);
	}
}

static void look_again(uv_timer_t *timer)
{
	(void)timer; /* run() looks before each wait */
}

/* Take the listener off the loop while no client may be accepted. A timer ends the wait meanwhile.
 */
static void watch_listener(const struct server *srv)
{
	bool accepting = server_accepting(srv);
	uint64_t ms = (uint64_t)server_wait_ms(accepting);
	int res;

	if (accepting == watched)
		return;
	watched = accepting;
	if (accepting) {
		uv_timer_stop(&pause_over);
		res = uv_poll_start(&listener, UV_READABLE, accept_clients);
	} else {
		uv_timer_start(&pause_over, look_again, ms, ms);
		res = uv_poll_stop(&listener);
	}
	if (res)
		die_error(-res, "uv_poll_start", NULL);
}

/* --- the loop ------------------------------------------------------------------------------- */

/* The library calls abort(3) where a system call of its loop fails. errno is still that call's. */
static void on_abort(int signal_number)
{
	(void)signal_number;
	warn("libuv gave up after epoll_ctl or epoll_wait: %s", strerror(errno));
	_exit(EXIT_FAILURE);
}

static void setup(const struct server *srv)
{
	struct sigaction aborting = {.sa_handler = on_abort};
	int res = uv_loop_init(&loop);

	if (res)
		die_error(-res, "epoll_create1, in uv_loop_init", NULL);
	res = uv_poll_init(&loop, &listener, srv->listen_fd);
	if (res)
		die_error(-res, "epoll_ctl, in uv_poll_init", NULL);
	listener.data = (void *)srv;
	uv_timer_init(&loop, &pause_over);
	if (sigaction(SIGABRT, &aborting, NULL))
		die_errno("sigaction", NULL);
}

static void run(const struct server *srv)
{
	while (!server_stopping()) {
		watch_listener(srv);
		uv_run(&loop, UV_RUN_ONCE); /* wait, and call what is ready or done */
		stats_waited(events);
		events = 0;
	}
}

const struct model model = {
	.name = "libuv",
	.summary = "the loop of the library libuv, as in Node.js: it receives, then calls us",
	.family = "library",
	.needs = "libuv",
	.flags = USES_MAX_CONNS | USES_ACCEPT_BATCH | LIBRARY_ABORTS,
	.conn_bytes = sizeof(struct client *),
	.setup = setup,
	.run = run,
	.nonblocking = true,
};
