// SPDX-License-Identifier: MIT
/*
 * epoll_exclusive: a level-triggered epoll loop per thread, all on the same listening socket
 * (EPOLLEXCLUSIVE, Linux 4.5, 2016).
 *
 * As multi_reactor_reuseport.c, with one backlog for all. Each thread watches the listening socket
 * in an epoll set of its own. Without EPOLLEXCLUSIVE a new client would wake all threads that wait,
 * one of them would get it, and the others would have been woken for nothing (the thundering herd).
 * With it the kernel wakes one, or a few.
 *
 * What to look for: a client goes to a thread that waits, not to one chosen beforehand: a busy
 * thread keeps nobody waiting in a backlog of its own. But idle threads are not chosen in turn: of
 * 400 clients that came one after the other to four idle threads, one thread got 350 and two got
 * none, and there they stay (multi_reactor_reuseport.c: about 100 each). A thread that was woken
 * may find that another one was faster: accept(2) says EAGAIN. And the flag cannot be changed by
 * EPOLL_CTL_MOD: not to accept for a while means to take the socket off the list and to put it
 * there again. --exclusive=0 leaves the flag out: the thundering herd, to compare with.
 *
 * Limits: descriptors; each thread takes one for itself.
 * Needs:  Linux 4.5.
 * Try:    build/servers/epoll_exclusive -w 4 -p 9000 &  strace -f -p $! &  nc 127.0.0.1 9000
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
	const struct server *srv;
	int ep;
};

static struct reactor *reactors;
static long exclusive = 1; /* --exclusive */

static void accept_clients(struct reactor *r)
{
	for (int i = 0; i < r->srv->accept_batch && server_accepting(r->srv); i++) {
		int fd = server_accept(r->srv, SOCK_NONBLOCK);
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

/* Returns whether it is on the list. */
static bool watch_listener(struct reactor *r)
{
	struct epoll_event event = {.events = EPOLLIN | (exclusive ? EPOLLEXCLUSIVE : 0),
				    .data.ptr = LISTENER};

	return epoll_ctl(r->ep, EPOLL_CTL_ADD, r->srv->listen_fd, &event) == 0;
}

static void *react(void *arg)
{
	struct reactor *r = arg;
	struct epoll_event events[EVENTS];
	bool watched = true; /* the listening socket */

	while (!server_stopping()) {
		bool accepting = server_accepting(r->srv);
		int n;

		if (accepting && !watched) {
			watched = watch_listener(r); /* if not, it is tried again in a moment */
		} else if (watched && !accepting) {
			if (epoll_ctl(r->ep, EPOLL_CTL_DEL, r->srv->listen_fd, NULL))
				die_errno("epoll_ctl", NULL);
			watched = false;
		}
		n = epoll_wait(r->ep, events, EVENTS, server_wait_ms(watched));
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

static void set_up_reactor(struct reactor *r, const struct server *srv)
{
	r->srv = srv;
	r->ep = epoll_create1(EPOLL_CLOEXEC);
	if (r->ep < 0)
		die_errno("epoll_create1", "start fewer threads: -w");
	if (!watch_listener(r))
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
		set_up_reactor(&reactors[i], srv);
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

static const struct model_option options[] = {
	{"exclusive", "0|1",
	 "1: a client wakes one waiting thread, or a few (default); 0: all that wait", 0, 1,
	 &exclusive},
	{0},
};

const struct model model = {
	.name = "epoll_exclusive",
	.summary = "an epoll loop per thread, all on one listening socket (EPOLLEXCLUSIVE)",
	.family = "readiness",
	.needs = "Linux 4.5",
	.flags = USES_MAX_CONNS | USES_WORKERS | USES_ACCEPT_BATCH,
	.workers = ONE_PER_CPU,
	.fds_per_worker = 1,
	.setup = setup,
	.run = run,
	.nonblocking = true,
	.options = options,
};
