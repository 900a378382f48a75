// SPDX-License-Identifier: MIT
/*
 * sigio: one thread, readiness, told by queued real-time signals (Linux 2.4, 2001).
 *
 * Each socket is told to send a signal when something changes (O_ASYNC), a real-time one
 * (F_SETSIG) to this thread (F_SETOWN_EX). The signal carries the descriptor, and the kernel
 * queues one for each change. It is blocked, so it interrupts nothing: we take one after the other
 * from the queue with sigtimedwait(2). Between poll and epoll this was how Linux served 10,000
 * connections.
 *
 * What to look for: a signal tells of a change, as an edge of epoll_et.c does, and here too we
 * serve a connection until the kernel says EAGAIN. But epoll remembers that a socket is ready,
 * once. The queue has an entry for each segment that arrived, even if a receive has taken its
 * bytes long ago, and one system call takes one of them. (signalfd(2) can take many; this is the
 * call of that time, and it has the timeout that we need while nobody may be accepted.) A signal
 * may also be for a connection that is closed, or whose descriptor another client has by now: so
 * it is a hint, and a receive in vain does no harm.
 *
 * The queue is bounded (ulimit -i, for all processes of a user together). When it is full the
 * kernel sends a plain SIGIO, which carries nothing: something changed somewhere. Then we empty
 * the queue and ask poll(2) about every connection: it falls back to what it was to replace, under
 * load.
 *
 * Limits: descriptors. Three fcntl(2) for each new connection.
 * Needs:  Linux.
 * Try:    build/servers/sigio -p 9000 &  strace -p $! &  nc 127.0.0.1 9000
 *         (ulimit -i 20; build/servers/sigio -p 9000) and 100 clients: look for poll in strace -c
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/die.h"
#include "servers/lib/conn.h"
#include "servers/lib/model.h"
#include "servers/lib/stats.h"

#define CHANGED SIGRTMIN /* the signal that carries a descriptor */
#define STEPS   32       /* of one connection before the others get theirs */
#define SIGNALS 512      /* taken from the queue before those still ready get their turn */

/* What we keep in each connection. */
struct mine {
	bool is_ready; /* it is in the list */
};

static sigset_t signals;    /* CHANGED, and SIGIO when the queue overflowed */
static struct conn **ready; /* connections still ready; each at most once */
static int n_ready;
static struct pollfd *polled; /* all connections, after an overflow */
static bool more_clients;     /* some may wait in the backlog that no signal will report */

/* Have the kernel send us a signal for each change of `fd`, which does not block. */
static int tell_us(int fd)
{
	/* To the thread: its own queue, which no other thread of the process takes from. */
	struct f_owner_ex me = {.type = F_OWNER_TID, .pid = gettid()};

	if (fcntl(fd, F_SETSIG, CHANGED) || fcntl(fd, F_SETOWN_EX, &me))
		return -1;
	return fcntl(fd, F_SETFL, O_NONBLOCK | O_ASYNC);
}

static void serve(struct conn *c)
{
	struct mine *mine = conn_mine(c);
	enum conn_io io = IO_OK;

	for (int i = 0; i < STEPS && io == IO_OK; i++)
		io = conn_step(c);
	if (io == IO_CLOSED) {
		conn_close(c);
	} else if (io == IO_OK) {
		mine->is_ready = true;
		ready[n_ready++] = c;
	}
}

/* A change is reported once: drain the backlog, or remember that it is not empty. */
static void accept_clients(const struct server *srv)
{
	while (server_accepting(srv)) {
		int fd = server_accept(srv, SOCK_NONBLOCK);
		struct conn *c;

		if (fd == ACCEPT_FULL)
			break;
		if (fd < 0)
			return;
		c = conn_open(fd);
		if (!c)
			continue;
		if (tell_us(fd)) {
			warn("fcntl: %s; this client is turned away", strerror(errno));
			conn_close(c);
		} else {
			serve(c); /* what came before O_ASYNC was on is told by no signal */
		}
	}
	more_clients = true;
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

/* Something changed for `fd`, whoever has it now. */
static void changed(const struct server *srv, int fd)
{
	struct conn *c = conn_of(fd);
	struct mine *mine;

	if (fd == srv->listen_fd) {
		accept_clients(srv);
	} else if (c) {
		mine = conn_mine(c);
		if (!mine->is_ready) /* in the list, its turn comes anyway */
			serve(c);
	}
}

/* To ignore a signal throws away those in the queue. What they told poll(2) will tell. */
static void empty_queue(void)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN}, take = {.sa_handler = SIG_DFL};

	if (sigaction(CHANGED, &ignore, NULL) || sigaction(CHANGED, &take, NULL))
		die_errno("sigaction", NULL);
}

static void poll_all(const struct server *srv)
{
	struct conn *c;
	nfds_t n = 0;
	int at = 0;

	empty_queue();
	while ((c = conn_each(&at)))
		polled[n++] = (struct pollfd){
			.fd = conn_fd(c),
			.events = conn_next(c) == OP_RECV ? POLLIN : POLLOUT,
		};
	if (poll(polled, n, 0) < 0 && errno != EINTR)
		die_errno("poll", NULL);
	for (nfds_t i = 0; i < n; i++) {
		if (polled[i].revents)
			changed(srv, polled[i].fd);
	}
	changed(srv, srv->listen_fd);
}

static void setup(const struct server *srv)
{
	ready = calloc((size_t)srv->max_conns, sizeof(struct conn *));
	polled = calloc((size_t)srv->max_conns, sizeof(*polled));
	if (!ready || !polled)
		die_errno("calloc", "lower -c");
	sigemptyset(&signals);
	sigaddset(&signals, CHANGED);
	sigaddset(&signals, SIGIO);
	if (sigprocmask(SIG_BLOCK, &signals, NULL))
		die_errno("sigprocmask", NULL);
	if (tell_us(srv->listen_fd))
		die_errno("fcntl", NULL);
	more_clients = true; /* some may have come before O_ASYNC was on */
}

static void run(const struct server *srv)
{
	int taken = 0; /* signals, since the ready ones had their turn */

	while (!server_stopping()) {
		bool accepting = server_accepting(srv);
		struct timespec timeout = {0};
		siginfo_t info;
		int ms, signo;

		if (more_clients && accepting) {
			more_clients = false;
			accept_clients(srv);
			/* That took time and slots, so the answer may be another now. */
			accepting = !more_clients;
		}
		ms = n_ready ? 0 : server_wait_ms(accepting);
		timeout.tv_nsec = ms * 1000000L;
		signo = sigtimedwait(&signals, &info, ms < 0 ? NULL : &timeout);
		stats_waited(signo > 0);
		if (signo < 0 && errno != EAGAIN && errno != EINTR)
			die_errno("sigtimedwait", NULL);
		if (signo == SIGIO) /* it is the lower number, so it comes first */
			poll_all(srv);
		else if (signo > 0)
			changed(srv, info.si_fd);
		if (signo < 0 || ++taken >= SIGNALS) {
			serve_ready();
			taken = 0;
		}
	}
}

const struct model model = {
	.name = "sigio",
	.summary = "one thread, told of changes by queued real-time signals (O_ASYNC, F_SETSIG)",
	.family = "readiness",
	.flags = USES_MAX_CONNS,
	.conn_bytes = sizeof(struct mine),
	.setup = setup,
	.run = run,
	.nonblocking = true,
};
