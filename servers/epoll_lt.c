// SPDX-License-Identifier: MIT
/*
 * epoll_lt: one thread, readiness, level-triggered epoll (Linux 2.6, 2003).
 *
 * As poll.c, but the kernel keeps the list. We tell it when a connection comes and when it goes
 * (epoll_ctl), and a wait returns only those that are ready. Level-triggered means that a
 * connection is reported for as long as it is ready, so it does no harm to read less than there is.
 *
 * What to look for: the cost of a wait grows with what is ready, not with what is connected, and
 * there is no search in the loop below. To wait for something else costs a system call of its own,
 * so we make it only when a send came up short.
 *
 * Limits: descriptors, and fs.epoll.max_user_watches.
 * Needs:  Linux.
 * Try:    build/servers/epoll_lt -p 9000 &  strace -p $! &  nc 127.0.0.1 9000
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "common/die.h"
#include "servers/lib/conn.h"
#include "servers/lib/model.h"
#include "servers/lib/stats.h"

#define EVENTS   512  /* taken per wait; what is ready beyond that comes with the next */
#define LISTENER NULL /* in an event: the listening socket, which is no connection */

static int ep;

static void accept_clients(const struct server *srv)
{
	for (int i = 0; i < srv->accept_batch && server_accepting(srv); i++) {
		int fd = server_accept(srv, SOCK_NONBLOCK);
		struct epoll_event event = {.events = EPOLLIN};
		struct conn *c;

		if (fd < 0)
			return;
		c = conn_open(fd);
		if (!c)
			continue;
		event.data.ptr = c;
		if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event)) {
			warn("epoll_ctl: %s; this client is turned away", strerror(errno));
			conn_close(c);
		}
	}
}

/*
 * Off the list first: close(2) takes a socket off only if nobody else has it, and whoever reads
 * /proc/PID/fd (ls, lsof, ss -p) has it for a moment. Its event would then come once more, for a
 * connection that is gone.
 */
static void drop(struct conn *c)
{
	epoll_ctl(ep, EPOLL_CTL_DEL, conn_fd(c), NULL);
	conn_close(c);
}

static void serve(struct conn *c)
{
	bool was_to_read = conn_next(c) == OP_RECV;
	enum conn_io io = conn_turn(c);
	bool is_to_read = io == IO_OK;

	if (io != IO_CLOSED && is_to_read != was_to_read) {
		struct epoll_event event = {.events = is_to_read ? EPOLLIN : EPOLLOUT,
					    .data.ptr = c};

		if (epoll_ctl(ep, EPOLL_CTL_MOD, conn_fd(c), &event))
			io = IO_CLOSED;
	}
	if (io == IO_CLOSED)
		drop(c);
}

static void setup(const struct server *srv)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = LISTENER};

	ep = epoll_create1(EPOLL_CLOEXEC);
	if (ep < 0)
		die_errno("epoll_create1", NULL);
	if (epoll_ctl(ep, EPOLL_CTL_ADD, srv->listen_fd, &event))
		die_errno("epoll_ctl", NULL);
}

static void run(const struct server *srv)
{
	struct epoll_event events[EVENTS];
	bool watched = true; /* the listening socket */

	while (!server_stopping()) {
		bool accepting = server_accepting(srv);
		int n;

		if (accepting != watched) {
			struct epoll_event event = {.events = accepting ? EPOLLIN : 0,
						    .data.ptr = LISTENER};

			if (epoll_ctl(ep, EPOLL_CTL_MOD, srv->listen_fd, &event))
				die_errno("epoll_ctl", NULL);
			watched = accepting;
		}
		n = epoll_wait(ep, events, EVENTS, server_wait_ms(accepting));
		stats_waited(n);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			die_errno("epoll_wait", NULL);
		}
		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr == LISTENER)
				accept_clients(srv);
			else
				serve(events[i].data.ptr);
		}
	}
}

const struct model model = {
	.name = "epoll_lt",
	.summary = "one thread, the kernel keeps the list: level-triggered epoll",
	.family = "readiness",
	.flags = USES_MAX_CONNS | USES_ACCEPT_BATCH,
	.setup = setup,
	.run = run,
	.nonblocking = true,
};
