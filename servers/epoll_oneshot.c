// SPDX-License-Identifier: MIT
/*
 * epoll_oneshot: several threads wait on one epoll set, each event is for one of them
 * (EPOLLONESHOT, Linux 2.6.2, 2004).
 *
 * All threads run the same loop. A socket that is reported is disarmed by the kernel in the same
 * step. So the thread that got it has it for itself, without a lock, until it arms it again with
 * epoll_ctl(EPOLL_CTL_MOD). The next event of that connection may go to another thread.
 *
 * What to look for: one more system call for each event than in epoll_lt.c, which arms a socket
 * once and for all. For that, whoever is free takes the next event: no thread is idle while
 * connections wait, however the load is spread over them. Compare multi_reactor_reuseport.c, where
 * a connection has one thread for ever. A thread takes few events at a time, because nobody else
 * can help it with those. The connection crosses from thread to thread through the kernel:
 * conn_hand_over() and conn_take_over(). Without EPOLLONESHOT two threads could be in one
 * connection at a time.
 *
 * Limits: descriptors, and fs.epoll.max_user_watches. All threads share one ready list and its
 *         lock in the kernel.
 * Needs:  Linux.
 * Try:    build/servers/epoll_oneshot -w 4 -p 9000 &  strace -f -p $! &  nc 127.0.0.1 9000
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

#define EVENTS 16 /* taken per wait */

static int ep;

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

/* The listening socket: one thread accepts at a time. Returns whether it is armed. */
static bool arm_listener(const struct server *srv)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.fd = srv->listen_fd};

	return epoll_ctl(ep, EPOLL_CTL_MOD, srv->listen_fd, &event) == 0;
}

static void *react(void *arg)
{
	const struct server *srv = arg;
	struct epoll_event events[EVENTS];
	bool has_listener = false; /* it was reported to this thread, which has to arm it again */

	while (!server_stopping()) {
		int n;

		if (has_listener && server_accepting(srv))
			has_listener = !arm_listener(srv); /* if not, again in a moment */
		n = epoll_wait(ep, events, EVENTS, server_wait_ms(!has_listener));
		stats_waited(n);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			die_errno("epoll_wait", NULL);
		}
		for (int i = 0; i < n; i++) {
			if (events[i].data.fd != srv->listen_fd) {
				serve(events[i].data.fd);
				continue;
			}
			accept_clients(srv);
			/* At once, so that others accept while we serve what came with it. */
			has_listener = !server_accepting(srv) || !arm_listener(srv);
		}
	}
	arm_listener(srv); /* it is shut down, so this wakes the next one */
	return NULL;
}

static void setup(const struct server *srv)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.fd = srv->listen_fd};
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
	/* SIGTERM is always the main thread's, which is one of those that wait. */
	sigfillset(&all);
	pthread_attr_setsigmask_np(&attr, &all);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	for (int i = 1; i < srv->workers; i++) {
		error = pthread_create(&thread, &attr, react, (void *)srv);
		if (error)
			die_error(error, "pthread_create", "start fewer threads: -w");
	}
	pthread_attr_destroy(&attr);
}

static void run(const struct server *srv)
{
	react((void *)srv);
}

const struct model model = {
	.name = "epoll_oneshot",
	.summary = "several threads wait on one epoll set, which gives each event to one of them",
	.family = "readiness",
	.flags = USES_MAX_CONNS | USES_WORKERS | USES_ACCEPT_BATCH,
	.workers = ONE_PER_CPU,
	.setup = setup,
	.run = run,
	.nonblocking = true,
};
