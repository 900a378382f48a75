// SPDX-License-Identifier: MIT
/*
 * epoll_et: one thread, readiness, edge-triggered epoll (Linux 2.6, 2003).
 *
 * As epoll_lt.c, but the kernel reports a connection only when something changes: new bytes arrive,
 * or room to write appears. We ask for both once, at the start, and call epoll_ctl(2) no more until
 * the connection is to be closed.
 *
 * What to look for: an edge is reported once. A connection that we leave half read is never
 * reported again, so we serve it until the kernel says EAGAIN. That costs one call in vain per
 * request. A client that sends without end would keep all others waiting, so after STEPS it moves
 * to the back of our own list of connections still ready.
 *
 * Limits: descriptors, and fs.epoll.max_user_watches.
 * Needs:  Linux.
 * Try:    build/servers/epoll_et -p 9000 &  strace -p $! &  nc 127.0.0.1 9000
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "common/die.h"
#include "servers/lib/conn.h"
#include "servers/lib/model.h"
#include "servers/lib/stats.h"

#define EVENTS   512  /* taken per wait; what is ready beyond that comes with the next */
#define LISTENER NULL /* in an event: the listening socket, which is no connection */
#define STEPS    32   /* of one connection before the others get theirs */

/* What we keep in each connection. */
struct mine {
	bool is_ready; /* it is in the list */
};

static int ep;
static struct conn **ready; /* connections still ready; each at most once */
static int n_ready;
static bool more_clients; /* some may wait in the backlog that no edge will report */

/* An edge is reported once: drain the backlog, or remember that it is not empty. */
static void accept_clients(const struct server *srv)
{
	while (server_accepting(srv)) {
		int fd = server_accept(srv, SOCK_NONBLOCK);
		struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET};
		struct conn *c;

		if (fd == ACCEPT_FULL)
			break;
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
	more_clients = true;
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
	struct mine *mine = conn_mine(c);
	enum conn_io io = IO_OK;

	for (int i = 0; i < STEPS && io == IO_OK; i++)
		io = conn_step(c);
	if (io == IO_CLOSED) {
		drop(c);
	} else if (io == IO_OK) {
		mine->is_ready = true;
		ready[n_ready++] = c;
	}
}

static void serve_ready(void)
{
	int n = n_ready;

	n_ready = 0;
	for (int i = 0; i < n; i++) {
		struct conn *c = ready[i]; /* serve() may put it at ready[n_ready], n_ready <= i */
		struct mine *mine = conn_mine(c);

		mine->is_ready = false;
		serve(c);
	}
}

static void setup(const struct server *srv)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = LISTENER};

	ready = calloc((size_t)srv->max_conns, sizeof(struct conn *));
	if (!ready)
		die_errno("calloc", "lower -c");
	ep = epoll_create1(EPOLL_CLOEXEC);
	if (ep < 0)
		die_errno("epoll_create1", NULL);
	if (epoll_ctl(ep, EPOLL_CTL_ADD, srv->listen_fd, &event))
		die_errno("epoll_ctl", NULL);
}

static void run(const struct server *srv)
{
	struct epoll_event events[EVENTS];

	while (!server_stopping()) {
		bool accepting = server_accepting(srv);
		int n;

		if (more_clients && accepting) {
			more_clients = false;
			accept_clients(srv);
			/* That took time and slots, so the answer may be another now. */
			accepting = !more_clients;
		}
		n = epoll_wait(ep, events, EVENTS, n_ready ? 0 : server_wait_ms(accepting));
		stats_waited(n);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			die_errno("epoll_wait", NULL);
		}
		for (int i = 0; i < n; i++) {
			struct conn *c = events[i].data.ptr;
			struct mine *mine;

			if (c == LISTENER) {
				accept_clients(srv);
				continue;
			}
			mine = conn_mine(c);
			if (!mine->is_ready) /* in the list, its turn comes anyway */
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
	.conn_bytes = sizeof(struct mine),
	.setup = setup,
	.run = run,
	.nonblocking = true,
};
