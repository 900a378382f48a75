// SPDX-License-Identifier: MIT
/*
 * epoll_lt: one thread, readiness, level-triggered epoll (Linux 2.6, 2003).
 *
 * As poll.c, but the kernel keeps the list: each connection is told to it once (epoll_ctl), and a
 * wait returns only those that are ready. Level-triggered means that a connection is reported as
 * long as it is ready, so it does no harm to read less than there is.
 *
 * What to look for: the cost of a wait grows with what is ready, not with what is connected; there
 * is no search in the loop below; and a change of what to wait for is a system call of its own, so
 * it is made only when a send came up short.
 *
 * Limits: descriptors, and fs.epoll.max_user_watches.
 * Needs:  Linux.
 * Try:    build/servers/epoll_lt -p 9000 &  nc 127.0.0.1 9000 &  strace -p $!
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "common/die.h"
#include "servers/lib/conn.h"
#include "servers/lib/model.h"
#include "servers/lib/stats.h"

#define EVENTS 512 /* taken per wait; what is ready beyond that comes with the next */

static int ep;

static int watch(int op, struct conn *c, int fd, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = c};

	return epoll_ctl(ep, op, fd, &event);
}

static void accept_clients(const struct server *srv)
{
	int fd;

	for (int i = 0; i < srv->accept_batch && server_accepting(srv); i++) {
		struct conn *c;

		fd = server_accept(srv);
		if (fd < 0)
			return;
		c = conn_open(fd);
		if (c && watch(EPOLL_CTL_ADD, c, fd, EPOLLIN)) {
			warn("epoll_ctl: %s; this client is turned away", strerror(errno));
			conn_close(c);
		}
	}
}

static void serve(struct conn *c)
{
	enum conn_io io = conn_turn(c);
	bool to_write = io == IO_AGAIN;

	if (io != IO_CLOSED && conn_flag(c) != to_write) {
		/* The flag is what the kernel waits for now: true for writing. */
		conn_set_flag(c, to_write);
		if (watch(EPOLL_CTL_MOD, c, conn_fd(c), to_write ? EPOLLOUT : EPOLLIN))
			io = IO_CLOSED;
	}
	if (io == IO_CLOSED)
		conn_close(c); /* close(2) takes it off the kernel's list */
}

static void run(const struct server *srv)
{
	struct epoll_event events[EVENTS];
	bool accepting = true;

	ep = epoll_create1(EPOLL_CLOEXEC);
	if (ep < 0)
		die_errno("epoll_create1", NULL);
	if (watch(EPOLL_CTL_ADD, NULL, srv->listen_fd, EPOLLIN))
		die_errno("epoll_ctl", NULL);
	while (!server_stopping()) {
		int n;

		if (server_accepting(srv) != accepting) {
			accepting = !accepting;
			if (watch(EPOLL_CTL_MOD, NULL, srv->listen_fd, accepting ? EPOLLIN : 0))
				die_errno("epoll_ctl", NULL);
		}
		n = epoll_wait(ep, events, EVENTS, server_wait_ms(srv));
		stats_waited(n);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			die_errno("epoll_wait", NULL);
		}
		for (int i = 0; i < n; i++) {
			struct conn *c = events[i].data.ptr;

			if (c)
				serve(c);
			else
				accept_clients(srv);
		}
	}
}

const struct model model = {
	.name = "epoll_lt",
	.summary = "one thread, the kernel keeps the list: level-triggered epoll",
	.family = "readiness",
	.flags = USES_MAX_CONNS | USES_ACCEPT_BATCH,
	.run = run,
	.nonblocking = true,
};
