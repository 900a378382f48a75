// SPDX-License-Identifier: MIT
/*
 * select: one thread, readiness, three bit sets (4.2BSD, 1983).
 *
 * Before each wait the program tells the kernel about every connection, as bits in a set; the
 * kernel looks at every one of them and leaves the bits of the ready ones; the program looks
 * through all of them again. Compare poll.c, which differs in the data structure, and epoll_lt.c,
 * which differs in who remembers it.
 *
 * What to look for: the sets are copied before each call, because select(2) overwrites them; the
 * work of a call grows with the highest descriptor, not with what is ready.
 *
 * Limits: descriptors below FD_SETSIZE (1024), whatever ulimit says: a larger one would be written
 *         beyond the set. This server refuses such a connection rather than do that.
 * Needs:  nothing.
 * Try:    build/servers/select -p 9000 &  nc 127.0.0.1 9000
 */
#include <errno.h>
#include <sys/select.h>
#include <unistd.h>

#include "common/die.h"
#include "servers/lib/conn.h"
#include "servers/lib/model.h"
#include "servers/lib/stats.h"

static struct conn *conns[FD_SETSIZE]; /* by descriptor */
static fd_set reading, writing;        /* what to wait for */
static int top;                        /* the highest descriptor in either */

static void watch(int fd, enum conn_io io)
{
	FD_CLR(fd, &reading);
	FD_CLR(fd, &writing);
	if (io == IO_OK)
		FD_SET(fd, &reading);
	else if (io == IO_AGAIN)
		FD_SET(fd, &writing);
}

static void accept_clients(const struct server *srv)
{
	int fd;

	for (int i = 0; i < srv->accept_batch && server_accepting(srv); i++) {
		fd = server_accept(srv);
		if (fd < 0)
			return;
		if (fd >= FD_SETSIZE) {
			warn("descriptor %d is beyond FD_SETSIZE (%d): turned away", fd,
			     FD_SETSIZE);
			close(fd);
			continue;
		}
		conns[fd] = conn_open(fd);
		if (!conns[fd])
			continue;
		watch(fd, IO_OK);
		if (fd > top)
			top = fd;
	}
}

static void serve(int fd)
{
	struct conn *c = conns[fd];
	enum conn_io io = conn_turn(c);

	watch(fd, io);
	if (io == IO_CLOSED) {
		conns[fd] = NULL;
		conn_close(c);
	}
}

static void run(const struct server *srv)
{
	top = srv->listen_fd;
	while (!server_stopping()) {
		int ms = server_wait_ms(srv);
		struct timeval wait = {.tv_usec = ms * 1000L};
		fd_set readable = reading, writable = writing;
		int n;

		if (server_accepting(srv))
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
				serve(fd);
			else
				accept_clients(srv);
		}
		while (top > srv->listen_fd && !conns[top])
			top--;
	}
}

static int limit(int fds, int workers, const char **reason)
{
	int most = FD_SETSIZE - 16; /* some descriptors are not connections */

	(void)workers;
	if (fds < most)
		return fds;
	*reason = "descriptors must be below FD_SETSIZE (1024)";
	return most;
}

const struct model model = {
	.name = "select",
	.summary = "one thread waits for all connections with select(2)",
	.family = "readiness",
	.flags = USES_MAX_CONNS | USES_ACCEPT_BATCH,
	.limit = limit,
	.run = run,
	.nonblocking = true,
};
