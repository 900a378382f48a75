// SPDX-License-Identifier: MIT
/*
 * libevent: the loop of the library libevent, level-triggered epoll below (Provos, 2000).
 *
 * As epoll_lt.c, but the loop is the library's. We say which function to call when a socket is
 * ready (an event), and the library waits, finds the function and calls it (a reactor). The same
 * program runs on kqueue, event ports and poll.
 *
 * What to look for: what is left of epoll_lt.c is what a model decides, and the rest has become the
 * library's: the array of events, the pointer in each, the list of what to call. It costs a lookup
 * and a queue per event. Its listener accepts until the backlog is empty. It has no file I/O, so a
 * file is read in the loop: everybody waits.
 *
 * Limits: descriptors, and fs.epoll.max_user_watches.
 * Needs:  libevent 2.1.
 * tenk-needs: libevent_core>=2.1
 * tenk-package: libevent-dev
 * Try:    build/servers/libevent -p 9000 &  strace -p $! &  nc 127.0.0.1 9000
 */
#include <errno.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <string.h>
#include <sys/socket.h>

#include "common/die.h"
#include "servers/lib/conn.h"
#include "servers/lib/model.h"
#include "servers/lib/stats.h"

/* What we keep in each connection. */
struct mine {
	struct event *event; /* it waits for that */
};

static struct event_base *base;
static struct evconnlistener *listener;
static bool watched = true;      /* the listening socket */
static struct event *pause_over; /* a timer, while that is not watched */
static int events;               /* calls of ours in this turn of the loop */

/* --- connections ---------------------------------------------------------------------------- */

static void close_conn(struct conn *c)
{
	struct mine *mine = conn_mine(c);

	if (mine->event)
		event_free(mine->event); /* before close(2): the library tells the kernel */
	conn_close(c);
}

static void serve(evutil_socket_t fd, short what, void *arg);

/* Have serve() called whenever the connection is ready for that: EV_READ or EV_WRITE. */
static bool watch(struct conn *c, short what)
{
	struct mine *mine = conn_mine(c);

	if (mine->event)
		event_del(mine->event);
	else
		mine->event = event_new(base, conn_fd(c), what | EV_PERSIST, serve, c);
	return mine->event &&
	       !event_assign(mine->event, base, conn_fd(c), what | EV_PERSIST, serve, c) &&
	       !event_add(mine->event, NULL);
}

static void serve(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;
	bool was_to_read = conn_next(c) == OP_RECV;
	enum conn_io io = conn_turn(c);
	bool is_to_read = io == IO_OK;

	(void)fd;
	(void)what;
	events++;
	if (io != IO_CLOSED && is_to_read != was_to_read &&
	    !watch(c, is_to_read ? EV_READ : EV_WRITE))
		io = IO_CLOSED;
	if (io == IO_CLOSED)
		close_conn(c);
}

/* --- accepting ------------------------------------------------------------------------------ */

/*
 * Take the listener off the loop while no client may be accepted. A timer ends the wait meanwhile.
 */
static void watch_listener(const struct server *srv)
{
	bool accepting = server_accepting(srv);
	struct timeval wait = {.tv_usec = server_wait_ms(accepting) * 1000};

	if (accepting == watched)
		return;
	watched = accepting;
	if (accepting ? evconnlistener_enable(listener) || event_del(pause_over)
		      : evconnlistener_disable(listener) || event_add(pause_over, &wait))
		die_errno("epoll_ctl, in libevent", NULL);
}

static void look_again(evutil_socket_t fd, short what, void *arg)
{
	(void)fd; /* run() looks before each wait */
	(void)what;
	(void)arg;
}

static void accepted(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *peer, int len,
		     void *arg)
{
	const struct server *srv = arg;
	struct conn *c = conn_open(server_accepted(srv, fd));

	(void)l;
	(void)peer;
	(void)len;
	events++;
	if (c && !watch(c, EV_READ)) {
		warn("event_add: %s; this client is turned away", strerror(errno));
		close_conn(c);
	}
	watch_listener(srv); /* or the library goes on accepting */
}

static void not_accepted(struct evconnlistener *l, void *arg)
{
	(void)l;
	events++;
	server_accepted(arg, -errno);
}

/* --- the loop ------------------------------------------------------------------------------- */

static void say(int severity, const char *message)
{
	if (severity >= EVENT_LOG_WARN)
		warn("libevent: %s", message);
}

static void say_nothing(int severity, const char *message)
{
	(void)severity;
	(void)message;
}

/* The library has several ways to wait and would take select(2) where epoll cannot be had. */
static struct event_base *new_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *made = NULL;

	if (config && !event_config_require_features(config, EV_FEATURE_O1))
		made = event_base_new_with_config(config);
	if (config)
		event_config_free(config);
	return made;
}

static void setup(const struct server *srv)
{
	event_set_log_callback(say_nothing); /* what goes wrong here, we say */
	base = new_base();
	if (!base)
		die_errno("epoll_create1, in event_base_new", NULL);
	listener = evconnlistener_new(base, accepted, (void *)srv, LEV_OPT_CLOSE_ON_EXEC, 0,
				      srv->listen_fd);
	pause_over = event_new(base, -1, EV_PERSIST, look_again, NULL);
	if (!listener || !pause_over)
		die_errno("evconnlistener_new", NULL);
	evconnlistener_set_error_cb(listener, not_accepted);
	event_set_log_callback(say);
}

static void run(const struct server *srv)
{
	while (!server_stopping()) {
		int res;

		watch_listener(srv);
		res = event_base_loop(base, EVLOOP_ONCE); /* wait, and call what is ready */
		stats_waited(events);
		events = 0;
		if (res < 0)
			die_errno("epoll_wait, in event_base_loop", NULL);
	}
}

const struct model model = {
	.name = "libevent",
	.summary = "the loop of the library libevent, over level-triggered epoll",
	.family = "library",
	.needs = "libevent",
	.flags = USES_MAX_CONNS,
	.conn_bytes = sizeof(struct mine),
	.setup = setup,
	.run = run,
	.nonblocking = true,
};
