// SPDX-License-Identifier: MIT
/*
 * blocking: one thread, one connection at a time (the iterative server).
 *
 * Accept a client, serve it until it leaves, accept the next. Every call waits inside the kernel
 * for as long as it takes, so the program is a straight line: there is no state to keep between
 * events, because there are no events.
 *
 * What to look for: while one client is connected, even if it is silent, every other client waits
 * in the backlog. Open two connections and type into the second.
 *
 * Limits: serves 1 connection. The backlog holds the rest, and nothing tells them why.
 * Needs:  nothing.
 * Try:    build/servers/blocking -p 9000 &  nc 127.0.0.1 9000
 */
#include "servers/lib/conn.h"
#include "servers/lib/model.h"

static void serve(int fd)
{
	struct conn *c = conn_open(fd);

	if (!c)
		return;
	server_serving(fd);
	while (!server_stopping()) {
		if (conn_step(c) == IO_CLOSED)
			break;
	}
	server_serving(-1);
	conn_close(c);
}

static void run(const struct server *srv)
{
	int fd;

	while ((fd = server_accept_wait(srv)) >= 0)
		serve(fd);
}

static int limit(int fds, int workers, const char **reason)
{
	(void)fds;
	(void)workers;
	*reason = "one connection at a time";
	return 1;
}

const struct model model = {
	.name = "blocking",
	.summary = "one thread serves one connection at a time",
	.family = "blocking",
	.limit = limit,
	.run = run,
};
