// SPDX-License-Identifier: MIT
/*
 * leader_followers: several threads take turns at waiting; the one that waits takes one event, lets
 * the next one wait, and serves what it got.
 *
 * The design of that name in Pattern-Oriented Software Architecture 2 (2000). One thread is the
 * leader: it holds the lock and waits for one event. Then it gives the lock away, which makes a
 * follower the leader, and serves the event by itself. So nothing is put into a queue, and no event
 * changes threads between the wait and the reply.
 *
 * What to look for: the lock is the program's, and it is held while the thread sleeps in
 * epoll_wait(2). In epoll_oneshot.c all threads sleep there together, and the kernel chooses one:
 * diff servers/epoll_oneshot.c servers/leader_followers.c. A leader takes one event at a time,
 * because it keeps no other for later: one wait for each request, however many are ready.
 *
 * Limits: descriptors, and fs.epoll.max_user_watches. One thread waits at a time.
 * Needs:  Linux.
 * Try:    build/servers/leader_followers -w 4 -p 9000 &  strace -f -p $! &  nc 127.0.0.1 9000
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "common/die.h"
#include "servers/lib/conn.h"
#include "servers/lib/model.h"
#include "servers/lib/stats.h"

#define NOBODY (-1) /* the leader has accepted, or was woken for nothing */

static int ep;

/* Whoever holds it is the leader; whoever waits for it is a follower. */
static pthread_mutex_t leader = PTHREAD_MUTEX_INITIALIZER;
static bool watched = true; /* the listening socket; the leader's */

static void accept_clients(const struct server *srv)
{
	for (int i = 0; i < srv->accept_batch && server_accepting(srv); i++) {
		int fd = server_accept(srv, SOCK_NONBLOCK);
		struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.fd = fd};
		struct conn *c;

		if (fd < 0)
			return;
		c = conn_open(fd);
		if (!c)
			continue;
		conn_hand_over(c);
		if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event)) {
			warn("epoll_ctl: %s; this client is turned away", strerror(errno));
			conn_close(c);
		}
	}
}

/* It is ours alone until it is armed again: from then on it may be another thread's. */
static void serve(int fd)
{
	struct conn *c = conn_take_over(fd);
	enum conn_io io = conn_turn(c);

	if (io != IO_CLOSED) {
		struct epoll_event event = {
			.events = (io == IO_OK ? EPOLLIN : EPOLLOUT) | EPOLLONESHOT, .data.fd = fd};

		conn_hand_over(c);
		if (epoll_ctl(ep, EPOLL_CTL_MOD, fd, &event))
			io = IO_CLOSED;
	}
	if (io == IO_CLOSED)
		conn_close(c); /* it is disarmed: no event of it comes again */
}

/* As the leader: wait for one event. Returns the connection that is ready, or NOBODY. */
static int lead(const struct server *srv)
{
	bool accepting = server_accepting(srv);
	struct epoll_event event = {.events = accepting ? EPOLLIN : 0, .data.fd = srv->listen_fd};
	int n;

	if (accepting != watched) {
		if (epoll_ctl(ep, EPOLL_CTL_MOD, srv->listen_fd, &event))
			die_errno("epoll_ctl", NULL);
		watched = accepting;
	}
	n = epoll_wait(ep, &event, 1, server_wait_ms(accepting));
	stats_waited(n);
	if (n < 0 && errno != EINTR)
		die_errno("epoll_wait", NULL);
	if (n <= 0)
		return NOBODY;
	if (event.data.fd != srv->listen_fd)
		return event.data.fd;
	accept_clients(srv);
	return NOBODY;
}

static void *react(void *arg)
{
	const struct server *srv = arg;

	for (;;) {
		int ready = NOBODY;

		pthread_mutex_lock(&leader);
		while (ready == NOBODY && !server_stopping())
			ready = lead(srv);
		pthread_mutex_unlock(&leader); /* the next one leads */
		if (ready == NOBODY)
			return NULL;
		serve(ready);
	}
}

static void setup(const struct server *srv)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = srv->listen_fd};
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all;
	int error;

	ep = epoll_create1(EPOLL_CLOEXEC);
	if (ep < 0)
		die_errno("epoll_create1", NULL);
	if (epoll_ctl(ep, EPOLL_CTL_ADD, srv->listen_fd, &event))
		die_errno("epoll_ctl", NULL);
	pthread_attr_init(&attr);
	/* SIGTERM is always the main thread's, which takes no turns. */
	sigfillset(&all);
	pthread_attr_setsigmask_np(&attr, &all);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	for (int i = 0; i < srv->workers; i++) {
		error = pthread_create(&thread, &attr, react, (void *)srv);
		if (error)
			die_error(error, "pthread_create", "start fewer threads: -w");
	}
	pthread_attr_destroy(&attr);
}

/* A thread that waits need not be told to stop: it ends with the process. */
static void run(const struct server *srv)
{
	server_wait_stop(srv);
}

const struct model model = {
	.name = "leader_followers",
	.summary = "several threads take turns at waiting for one event, and serve it themselves",
	.family = "hybrid",
	.flags = USES_MAX_CONNS | USES_WORKERS | USES_ACCEPT_BATCH,
	.workers = ONE_PER_CPU,
	.setup = setup,
	.run = run,
	.nonblocking = true,
};
