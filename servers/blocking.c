// SPDX-License-Identifier: MIT
/*
 * blocking: one thread, one connection at a time (the iterative server).
 *
 * Accept a client, serve it until it leaves, accept the next. Every call waits inside the kernel
 * for as long as it takes, so the program is a straight line: there is no state to keep between
 * events, because there are no events.
 *
 * What to look for: there are three calls that wait, accept, recv and send, and all three are here.
 * While one client is connected, even if it is silent, every other client waits in the backlog.
 * Open two connections and type into the second.
 *
 * Limits: serves 1 connection. The backlog holds the rest, and nothing tells them why.
 * Needs:  nothing.
 * Try:    build/servers/blocking -p 9000 &  nc 127.0.0.1 9000
 */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "servers/lib/conn.h"
#include "servers/lib/model.h"

/* Wait for what comes next: bytes from the client, or room for bytes to it. */
static enum conn_io step(struct conn *c)
{
	size_t len;
	char *buf = conn_buf(c, &len);
	ssize_t res;

	if (conn_next(c) == OP_RECV)
		res = recv(conn_fd(c), buf, len, 0);
	else if (conn_next(c) == OP_SEND)
		res = send(conn_fd(c), buf, len, MSG_NOSIGNAL);
	else
		return conn_step(c); /* a file, or the end: no client to wait for */
	return conn_done(c, res < 0 ? -errno : res);
}

static void serve(int fd)
{
	struct conn *c = conn_open(fd);

	if (!c)
		return;
	server_serving(fd);
	while (!server_stopping()) {
		if (step(c) == IO_CLOSED)
			break;
	}
	server_serving(-1);
	conn_close(c);
}

static void run(const struct server *srv)
{
	while (!server_stopping()) {
		int res = accept4(srv->listen_fd, NULL, NULL, SOCK_CLOEXEC);
		int fd = server_accepted(srv, res < 0 ? -errno : res);

		if (fd >= 0)
			serve(fd);
		else if (fd == ACCEPT_FULL)
			poll(NULL, 0, server_wait_ms(false)); /* and ask again */
	}
}

const struct model model = {
	.name = "blocking",
	.summary = "one thread serves one connection at a time",
	.family = "blocking",
	.most = {1, "its thread stays with one until that ends"},
	.run = run,
};
