// SPDX-License-Identifier: MIT
/*
 * select: one thread, readiness, three bit sets (4.2BSD, 1983).
 *
 * Before each wait the program tells the kernel about every connection, as bits in a set. The
 * kernel looks at every one of them and leaves the bits of the ready ones. The program then looks
 * through all of them again. Compare poll.c, which differs in the data structure, and epoll_lt.c,
 * which differs in who remembers it.
 *
 * What to look for: the sets are copied before each call, because select(2) overwrites them. The
 * work of a call grows with the highest descriptor, not with what is ready.
 *
 * Limits: descriptors below FD_SETSIZE (1024), whatever ulimit says: a larger one would be written
 *         beyond the set. This server refuses such a connection rather than do that.
 * Needs:  nothing.
 * Try:    build/servers/select -p 9000 &  nc 127.0.0.1 9000
 */
#include <errno.h>
#include <sys/select.h>
#include <sys/socket.h>

#include "common/die.h"
#include "servers/lib/conn.h"
#include "servers/lib/model.h"
#include "servers/lib/stats.h"

static fd_set reading, writing; /* what to wait for; the listening socket comes and goes */
static int top;                 /* the highest descriptor in either */

static void accept_clients(const struct server *srv)
{
	for (int i = 0; i < srv->accept_batch && server_accepting(srv); i++) {
		int fd = server_accept(srv, SOCK_NONBLOCK);

		if (fd < 0)
			return;
		if (fd >= FD_SETSIZE) {
			warn("descriptor %d is beyond FD_SETSIZE (%d): turned away", fd,
			     FD_SETSIZE);
			server_turn_away(fd);
			continue;
		}
		if (!conn_open(fd))
			continue;
		FD_SET(fd, &reading);
		if (fd > top)
			top = fd;
	}
}

static void serve(struct conn *c)
{
	enum conn_io io = conn_turn(c);
	int fd = conn_fd(c);

	FD_CLR(fd, &reading);
	FD_CLR(fd, &writing);
	if (io == IO_CLOSED)
		conn_close(c);
	else
		FD_SET(fd, io == IO_AGAIN ? &writing : &reading);
}

static void setup(const struct server *srv)
{
	top = srv->listen_fd;
}

static void run(const struct server *srv)
{
	while (!server_stopping()) {
		bool accepting = server_accepting(srv);
		int ms = server_wait_ms(accepting);
		struct timeval wait = {.tv_usec = ms * 1000L};
		fd_set readable = reading, writable = writing;
		int n;

		if (accepting)
			FD_SET(srv->listen_fd, &readable);
		n = select(top + 1, &readable, &writable, NULL, ms < 0 ? NULL : &wait);
		stats_waited(n);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			die_errno("select", NULL);
		}
		for (int fd = 0; fd <= top && n > 0; fd++) {
			if (!FD_ISSET(fd, &readable) && !FD_ISSET(fd, &writable))
				continue;
			n--;
			if (fd != srv->listen_fd)
				serve(conn_of(fd));
			else
				accept_clients(srv);
		}
		while (top > srv->listen_fd && !conn_of(top))
			top--;
	}
}

const struct model model = {
	.name = "select",
	.summary = "one thread waits for all connections with select(2)",
	.family = "readiness",
	.flags = USES_MAX_CONNS | USES_ACCEPT_BATCH,
	/* Some descriptors are not connections. */
	.most = {FD_SETSIZE - 16, "descriptors must be below FD_SETSIZE (1024)"},
	.setup = setup,
	.run = run,
	.nonblocking = true,
};
