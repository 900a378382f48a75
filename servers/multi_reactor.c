// SPDX-License-Identifier: MIT
/*
 * multi_reactor: one thread accepts, and deals the connections to a level-triggered epoll loop per
 * thread.
 *
 * This is epoll_lt.c, -w times over, behind one thread that does nothing but accept(2). It gives
 * connection 1 to the first loop, connection 2 to the second, and so on in a circle. From then on
 * a connection stays with its loop until it ends, so the loops share nothing. memcached and the
 * C++ library muduo are made like this.
 *
 * What to look for: the hand-over is one system call, and there is no queue of ours. The acceptor
 * puts the connection on the kernel's list of another thread's epoll, and that thread, asleep in
 * epoll_wait(2), gets the first event. It happens once per connection, not once per request: with
 * long connections it is lost in the rest. Each loop gets the same number of connections. That is
 * fair only if they are equally busy. In multi_reactor_reuseport.c the kernel deals, by a hash,
 * and no thread is needed for it.
 *
 * Limits: descriptors; each thread takes one for itself. With many short connections, the one
 *         acceptor.
 * Needs:  Linux.
 * Try:    build/servers/multi_reactor -w 2 -p 9000 &  strace -f -p $!  and some nc 127.0.0.1 9000
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

#define EVENTS 512 /* taken per wait; what is ready beyond that comes with the next */

/* One thread, and what in epoll_lt.c is the process. It has no listening socket to watch. */
struct reactor {
	int ep;
};

static struct reactor *reactors;

/* From epoll_ctl(2) on the connection is the reactor's: its first event may be there at once. */
static void deal(struct conn *c, const struct reactor *r)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = conn_hand_over(c)};

	if (epoll_ctl(r->ep, EPOLL_CTL_ADD, event.data.fd, &event)) {
		warn("epoll_ctl: %s; this client is turned away", strerror(errno));
		conn_close(c);
	}
}

static void accept_clients(const struct server *srv)
{
	int next = 0, fd;

	while ((fd = server_accept_wait(srv, SOCK_NONBLOCK)) >= 0) {
		struct conn *c = conn_open(fd);

		if (!c)
			continue;
		deal(c, &reactors[next]);
		next = (next + 1) % srv->workers;
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
					    .data.fd = conn_fd(c)};

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

	while (!server_stopping()) {
		int n = epoll_wait(r->ep, events, EVENTS, -1);

		stats_waited(n);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			die_errno("epoll_wait", NULL);
		}
		for (int i = 0; i < n; i++)
			serve(r, conn_take_over(events[i].data.fd));
	}
	return NULL;
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
	pthread_attr_init(&attr);
	/* SIGTERM is always the main thread's, which is the acceptor. */
	sigfillset(&all);
	pthread_attr_setsigmask_np(&attr, &all);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	for (int i = 0; i < srv->workers; i++) {
		reactors[i].ep = epoll_create1(EPOLL_CLOEXEC);
		if (reactors[i].ep < 0)
			die_errno("epoll_create1", "start fewer threads: -w");
		error = pthread_create(&thread, &attr, react, &reactors[i]);
		if (error)
			die_error(error, "pthread_create", "start fewer threads: -w");
	}
	pthread_attr_destroy(&attr);
}

/* A reactor that sleeps in epoll_wait(2) need not be told to stop: it ends with the process. */
static void run(const struct server *srv)
{
	accept_clients(srv);
}

const struct model model = {
	.name = "multi_reactor",
	.summary = "one thread accepts and deals the connections to an epoll loop per thread",
	.family = "hybrid",
	.flags = USES_MAX_CONNS | USES_WORKERS,
	.workers = ONE_PER_CPU,
	.fds_per_worker = 1,
	.setup = setup,
	.run = run,
};
