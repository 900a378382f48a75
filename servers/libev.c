// SPDX-License-Identifier: MIT
/*
 * libev: the loop of the library libev, level-triggered epoll below (Lehmann, 2007).
 *
 * As libevent.c, but smaller. A watcher is a struct of ours that we start and stop; the library
 * allocates nothing per connection, and there are no buffers, listeners or locks.
 *
 * What to look for: starting and stopping a watcher makes no system call. The library collects what
 * has changed and tells the kernel just before it waits, so that a change and its opposite in one
 * turn cost nothing. It never takes a socket off the kernel's list: it counts on close(2) to do
 * that. Idle, it still wakes once a minute, to see whether somebody set the clock. It has no
 * asynchronous file I/O, so a file is read in the loop: everybody waits.
 *
 * Limits: descriptors, and fs.epoll.max_user_watches.
 * Needs:  libev 4.
 * tenk-needs-header: ev.h
 * tenk-links: ev
 * tenk-package: libev-dev
 * Try:    build/servers/libev -p 9000 &  strace -p $! &  nc 127.0.0.1 9000
 */
#include <errno.h>
#include <ev.h>
#include <string.h>
#include <sys/socket.h>

#include "common/die.h"
#include "servers/lib/conn.h"
#include "servers/lib/model.h"
#include "servers/lib/stats.h"

/* What we keep in each connection. Its .data is the connection. */
struct mine {
	ev_io watcher;
};

static struct ev_loop *loop;
static ev_io listener;
static ev_timer pause_over; /* while that is not watched */
static int events;          /* calls of ours in this turn of the loop */

/* --- connections ---------------------------------------------------------------------------- */

static void close_conn(struct conn *c)
{
	struct mine *mine = conn_mine(c);

	ev_io_stop(loop, &mine->watcher);
	conn_close(c); /* close(2) takes it off the kernel's list */
}

static void serve(struct ev_loop *l, ev_io *watcher, int what)
{
	struct conn *c = watcher->data;
	bool was_to_read = conn_next(c) == OP_RECV;
	enum conn_io io;
	bool is_to_read;

	events++;
	if (what & EV_ERROR) {
		warn("epoll_ctl, in libev: %s; this client is turned away", strerror(errno));
		close_conn(c);
		return;
	}
	io = conn_turn(c);
	is_to_read = io == IO_OK;
	if (io == IO_CLOSED) {
		close_conn(c);
	} else if (is_to_read != was_to_read) {
		ev_io_stop(l, watcher);
		ev_io_set(watcher, conn_fd(c), is_to_read ? EV_READ : EV_WRITE);
		ev_io_start(l, watcher);
	}
}

/* --- accepting ------------------------------------------------------------------------------ */

static void accept_clients(struct ev_loop *l, ev_io *watcher, int what)
{
	const struct server *srv = watcher->data;

	events++;
	if (what & EV_ERROR)
		die_errno("epoll_ctl, in libev", NULL);
	for (int i = 0; i < srv->accept_batch && server_accepting(srv); i++) {
		int fd = server_accept(srv, SOCK_NONBLOCK);
		struct mine *mine;
		struct conn *c;

		if (fd < 0)
			return;
		c = conn_open(fd);
		if (!c)
			continue;
		mine = conn_mine(c);
		mine->watcher.data = c;
		ev_io_init(&mine->watcher, serve, fd, EV_READ);
		ev_io_start(l, &mine->watcher);
	}
}

/* Take the listener off the loop while no client may be accepted. A timer ends the wait meanwhile.
 */
static void watch_listener(const struct server *srv)
{
	if (server_accepting(srv)) {
		ev_io_start(loop, &listener);
		ev_timer_stop(loop, &pause_over);
	} else {
		ev_io_stop(loop, &listener);
		ev_timer_start(loop, &pause_over);
	}
}

static void look_again(struct ev_loop *l, ev_timer *timer, int what)
{
	(void)l; /* run() looks before each wait */
	(void)timer;
	(void)what;
}

/* --- the loop ------------------------------------------------------------------------------- */

static void give_up(const char *call)
{
	die_errno(call, NULL);
}

static void setup(const struct server *srv)
{
	loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	if (!loop)
		die_errno("epoll_create1, in ev_loop_new", NULL);
	ev_set_syserr_cb(give_up);
	ev_io_init(&listener, accept_clients, srv->listen_fd, EV_READ);
	listener.data = (void *)srv;
	ev_timer_init(&pause_over, look_again, server_wait_ms(false) / 1e3,
		      server_wait_ms(false) / 1e3);
}

static void run(const struct server *srv)
{
	while (!server_stopping()) {
		watch_listener(srv);
		ev_run(loop, EVRUN_ONCE); /* wait, and call what is ready */
		stats_waited(events);
		events = 0;
	}
}

const struct model model = {
	.name = "libev",
	.summary = "the loop of the library libev, over level-triggered epoll",
	.family = "library",
	.needs = "libev",
	.flags = USES_MAX_CONNS | USES_ACCEPT_BATCH,
	.conn_bytes = sizeof(struct mine),
	.setup = setup,
	.run = run,
	.nonblocking = true,
};
