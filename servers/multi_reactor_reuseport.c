// SPDX-License-Identifier: MIT
/*
 * multi_reactor_reuseport: a level-triggered epoll loop per thread, each with its own listening
 * socket on the same port (SO_REUSEPORT, Linux 3.9, 2013).
 *
 * This is epoll_lt.c, -w times over. The threads share nothing, not even a backlog: the kernel
 * chooses a listening socket for each new connection by a hash of its addresses. There is no lock,
 * no hand-over, and no thread that accepts for the others.
 *
 * What to look for: the kernel deals clients out without asking how busy a thread is. With few
 * connections one thread may get most of them while another has none. A client in the backlog of a
 * busy thread waits for that thread, even if all others are idle. And a second process could join
 * the same port: this server binds it first without SO_REUSEPORT, so nobody does by accident.
 *
 * Limits: descriptors; each thread takes two for itself.
 * Needs:  Linux.
 * Try:    build/servers/multi_reactor_reuseport -w cpus -p 9000 &  ss -tln sport = 9000
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
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

/* One thread, and what in epoll_lt.c is the process. */
struct reactor {
	struct server srv; /* with a listen_fd of its own */
	int ep;
};

static struct reactor *reactors;

static void accept_clients(struct reactor *r)
{
	for (int i = 0; i < r->srv.accept_batch && server_accepting(&r->srv); i++) {
		int fd = server_accept(&r->srv, SOCK_NONBLOCK);
		struct epoll_event event = {.events = EPOLLIN};
		struct conn *c;

		if (fd < 0)
			return;
		c = conn_open(fd);
		if (!c)
			continue;
		event.data.ptr = c;
		if (epoll_ctl(r->ep, EPOLL_CTL_ADD, fd, &event)) {
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
static void drop(const struct reactor *r, struct conn *c)
{
	epoll_ctl(r->ep, EPOLL_CTL_DEL, conn_fd(c), NULL);
	conn_close(c);
}

static void serve(struct reactor *r, struct conn *c)
{
	bool was_to_read = conn_next(c) == OP_RECV;
	enum conn_io io = conn_turn(c);
	bool is_to_read = io == IO_OK;

	if (io != IO_CLOSED && is_to_read != was_to_read) {
		struct epoll_event event = {.events = is_to_read ? EPOLLIN : EPOLLOUT,
					    .data.ptr = c};

		if (epoll_ctl(r->ep, EPOLL_CTL_MOD, conn_fd(c), &event))
			io = IO_CLOSED;
	}
	if (io == IO_CLOSED)
		drop(r, c);
}

static void *react(void *arg)
{
	struct reactor *r = arg;
	struct epoll_event events[EVENTS];
	bool watched = true; /* the listening socket */

	while (!server_stopping()) {
		bool accepting = server_accepting(&r->srv);
		int n;

		if (accepting != watched) {
			struct epoll_event event = {.events = accepting ? EPOLLIN : 0,
						    .data.ptr = LISTENER};

			if (epoll_ctl(r->ep, EPOLL_CTL_MOD, r->srv.listen_fd, &event))
				die_errno("epoll_ctl", NULL);
			watched = accepting;
		}
		n = epoll_wait(r->ep, events, EVENTS, server_wait_ms(accepting));
		stats_waited(n);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			die_errno("epoll_wait", NULL);
		}
		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr == LISTENER)
				accept_clients(r);
			else
				serve(r, events[i].data.ptr);
		}
	}
	return NULL;
}

/* The first reactor has the socket that is there already. */
static void set_up_reactor(struct reactor *r, const struct server *srv, bool first)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = LISTENER};

	r->srv = *srv;
	if (!first)
		r->srv.listen_fd = server_listen_again(srv);
	r->ep = epoll_create1(EPOLL_CLOEXEC);
	if (r->ep < 0)
		die_errno("epoll_create1", "start fewer threads: -w");
	if (epoll_ctl(r->ep, EPOLL_CTL_ADD, r->srv.listen_fd, &event))
		die_errno("epoll_ctl", NULL);
}

static void setup(const struct server *srv)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all;
	int error;

	reactors = calloc((size_t)srv->workers, sizeof(*reactors));
	if (!reactors)
		die_errno("calloc", "start fewer threads: -w");
	for (int i = 0; i < srv->workers; i++)
		set_up_reactor(&reactors[i], srv, i == 0);
	pthread_attr_init(&attr);
	/* SIGTERM is always the main thread's, which is the first reactor. */
	sigfillset(&all);
	pthread_attr_setsigmask_np(&attr, &all);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	for (int i = 1; i < srv->workers; i++) {
		error = pthread_create(&thread, &attr, react, &reactors[i]);
		if (error)
			die_error(error, "pthread_create", "start fewer threads: -w");
	}
	pthread_attr_destroy(&attr);
}

static void run(const struct server *srv)
{
	(void)srv;
	react(&reactors[0]);
}

const struct model model = {
	.name = "multi_reactor_reuseport",
	.summary =
		"an epoll loop per thread, each with a listening socket of its own (SO_REUSEPORT)",
	.family = "hybrid",
	.flags = USES_MAX_CONNS | USES_WORKERS | USES_ACCEPT_BATCH | LISTENS_AGAIN,
	.workers = ONE_PER_CPU,
	.fds_per_worker = 2,
	.setup = setup,
	.run = run,
	.nonblocking = true,
};
