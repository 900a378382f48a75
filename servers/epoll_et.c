// SPDX-License-Identifier: MIT
/*
 * epoll_et: one thread, readiness, edge-triggered epoll (Linux 2.6, 2003).
 *
 * As epoll_lt.c, but a connection is reported only when something changes: new bytes arrive, or
 * room to write appears. Both are asked for once, at the start, and there is no epoll_ctl(2)
 * afterwards.
 *
 * What to look for: the price is that a ready connection that is not used up is never reported
 * again. So it must be served until the kernel says EAGAIN, which costs one call in vain per
 * request; and a client that sends without end would keep all others waiting, so after STEPS it
 * goes to the end of a list of our own of those known to be still ready.
 *
 * Limits: descriptors, and fs.epoll.max_user_watches.
 * Needs:  Linux.
 * Try:    build/servers/epoll_et -p 9000 &  nc 127.0.0.1 9000 &  strace -p $!
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "common/die.h"
#include "servers/lib/conn.h"
#include "servers/lib/model.h"
#include "servers/lib/stats.h"

#define EVENTS 512 /* taken per wait; what is ready beyond that comes with the next */
#define STEPS  32  /* of one connection before the others get theirs */

static int ep;
static struct conn **ready; /* not used up yet; each at most once, as its flag says */
static int n_ready;
static bool more_clients; /* some may wait in the backlog that no edge will tell of */

static int watch(int op, struct conn *c, int fd, uint32_t events)
{
	struct epoll_event event = {.events = events | EPOLLET, .data.ptr = c};

	return epoll_ctl(ep, op, fd, &event);
}

/* An edge is told once: take all that wait, or remember that there may be more. */
static void accept_clients(const struct server *srv)
{
	while (server_accepting(srv)) {
		int fd = server_accept(srv);
		struct conn *c;

		if (fd == ACCEPT_FULL)
			break;
		if (fd < 0)
			return;
		c = conn_open(fd);
		if (c && watch(EPOLL_CTL_ADD, c, fd, EPOLLIN | EPOLLOUT)) {
			warn("epoll_ctl: %s; this client is turned away", strerror(errno));
			conn_close(c);
		}
	}
	more_clients = true;
}

static void serve(struct conn *c)
{
	enum conn_io io = IO_OK;

	for (int i = 0; i < STEPS && io == IO_OK; i++)
		io = conn_step(c);
	if (io == IO_CLOSED) {
		conn_close(c);
	} else if (io == IO_OK) {
		conn_set_flag(c, true);
		ready[n_ready++] = c;
	}
}

static void serve_ready(void)
{
	int n = n_ready;

	n_ready = 0;
	for (int i = 0; i < n; i++) {
		struct conn *c = ready[i]; /* serve() may put it at ready[n_ready], n_ready <= i */

		conn_set_flag(c, false);
		serve(c);
	}
}

static void run(const struct server *srv)
{
	struct epoll_event events[EVENTS];

	ep = epoll_create1(EPOLL_CLOEXEC);
	ready = calloc((size_t)srv->max_conns, sizeof(struct conn *));
	if (ep < 0 || !ready)
		die_errno("epoll_create1", NULL);
	if (watch(EPOLL_CTL_ADD, NULL, srv->listen_fd, EPOLLIN))
		die_errno("epoll_ctl", NULL);
	while (!server_stopping()) {
		int n;

		if (more_clients && server_accepting(srv)) {
			more_clients = false;
			accept_clients(srv);
		}
		n = epoll_wait(ep, events, EVENTS, n_ready ? 0 : server_wait_ms(srv));
		stats_waited(n);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			die_errno("epoll_wait", NULL);
		}
		for (int i = 0; i < n; i++) {
			struct conn *c = events[i].data.ptr;

			if (!c)
				accept_clients(srv);
			else if (!conn_flag(c)) /* in the list, its turn comes anyway */
				serve(c);
		}
		serve_ready(); /* after the events: it may close what they point to */
	}
}

const struct model model = {
	.name = "epoll_et",
	.summary = "one thread, told of changes only: edge-triggered epoll",
	.family = "readiness",
	.flags = USES_MAX_CONNS,
	.run = run,
	.nonblocking = true,
};
