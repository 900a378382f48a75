// SPDX-License-Identifier: MIT
/*
 * prefork_reuseport: a level-triggered epoll loop per process, each with its own listening socket
 * on the same port (SO_REUSEPORT, Linux 3.9, 2013).
 *
 * This is multi_reactor_reuseport.c with processes instead of threads, and epoll_lt.c, -w times
 * over. It is what nginx does with `reuseport`: a parent that serves nobody, and workers that share
 * nothing, not even memory. The parent opens all listening sockets, so that clients may come as
 * soon as it says that it is ready.
 *
 * What to look for: the descriptor limit is one of the process. So is the kernel's table of
 * descriptors, which grows under a lock that all threads of a process share. With enough processes
 * a million connections need no permission to raise `ulimit -n`. As with threads, the kernel deals
 * clients out by a hash of their addresses and asks nobody how busy he is.
 *
 * Limits: descriptors, of each process. No two processes know how many connections the other has,
 *         so there is no -c; and the deal is not even, so a part of the descriptors is kept back.
 *         The server stops when one of its processes dies: the clients in its backlog would wait
 *         for ever.
 * Needs:  Linux.
 * Try:    build/servers/prefork_reuseport -w cpus -p 9000 &  ss -tlnp sport = 9000
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/die.h"
#include "servers/lib/children.h"
#include "servers/lib/conn.h"
#include "servers/lib/model.h"
#include "servers/lib/stats.h"

#define EVENTS   512  /* taken per wait; what is ready beyond that comes with the next */
#define LISTENER NULL /* in an event: the listening socket, which is no connection */

/* A process; made before it is there, because what may fail is to fail before the first client. */
struct worker {
	int listen_fd;
	int ep;
};

static struct worker *workers;
static int ep; /* this process's */

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

static void react(const struct server *srv)
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

/* The first has the socket that is there already. */
static void set_up_worker(struct worker *w, const struct server *srv, bool first)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = LISTENER};

	w->listen_fd = first ? srv->listen_fd : server_listen_again(srv);
	w->ep = epoll_create1(EPOLL_CLOEXEC);
	if (w->ep < 0)
		die_errno("epoll_create1", "start fewer processes: -w");
	if (epoll_ctl(w->ep, EPOLL_CTL_ADD, w->listen_fd, &event))
		die_errno("epoll_ctl", NULL);
}

/* In child number `mine`: what belongs to the others is closed. */
static _Noreturn void work(const struct server *srv, int mine)
{
	struct server own = *srv;

	for (int i = 0; i < srv->workers; i++) {
		if (i != mine) {
			close(workers[i].listen_fd);
			close(workers[i].ep);
		}
	}
	ep = workers[mine].ep;
	own.listen_fd = workers[mine].listen_fd;
	server_stop_also(own.listen_fd);
	react(&own);
	children_leave();
}

static void setup(const struct server *srv)
{
	int mine;

	workers = calloc((size_t)srv->workers, sizeof(*workers));
	if (!workers)
		die_errno("calloc", "start fewer processes: -w");
	for (int i = 0; i < srv->workers; i++)
		set_up_worker(&workers[i], srv, i == 0);
	mine = children_start(srv);
	if (mine >= 0)
		work(srv, mine);
}

static void run(const struct server *srv)
{
	(void)srv;
	children_wait();
}

const struct model model = {
	.name = "prefork_reuseport",
	.summary =
		"an epoll loop per process, each with a listening socket of its own (SO_REUSEPORT)",
	.family = "hybrid",
	.flags = USES_WORKERS | USES_ACCEPT_BATCH | LISTENS_AGAIN | CONNS_IN_CHILDREN,
	.workers = ONE_PER_CPU,
	.fds_per_worker = 2,
	.setup = setup,
	.run = run,
	.nonblocking = true,
};
