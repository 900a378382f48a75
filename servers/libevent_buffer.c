// SPDX-License-Identifier: MIT
/*
 * libevent_buffer: libevent's bufferevents: the library receives and sends, we see buffers.
 *
 * As libevent.c, but a function of ours is called when bytes have been received, not when a socket
 * is ready (a proactor made of a reactor). What we write goes into a buffer that the library sends
 * when it can. There is no short send and no EAGAIN in this file.
 *
 * What to look for: a bufferevent would receive and keep all that a client sends, and all that we
 * write. So both need a mark. Above it we have the library stop receiving, or stop writing until
 * what was written is out: that is what holds a client that does not read. (The library has a mark
 * for receiving too, bufferevent_setwatermark(3). But above it, it calls us again and again, and
 * uses a whole CPU.) Convenience has a price that strace shows: one ioctl(2) before each receive to
 * learn how much there is, a receive in pieces of 4 KiB, and for each reply a turn of the loop and
 * two calls of epoll_ctl(2), to wait for writing and then not to. Every byte is copied once more,
 * in and out. A file is read in the loop: everybody waits.
 *
 * Limits: descriptors, and fs.epoll.max_user_watches.
 * Needs:  libevent 2.1.
 * tenk-needs: libevent_core>=2.1
 * tenk-package: libevent-dev
 * Try:    build/servers/libevent_buffer -p 9000 &  strace -p $! &  nc 127.0.0.1 9000
 */
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <string.h>
#include <sys/socket.h>

#include "common/die.h"
#include "servers/lib/conn.h"
#include "servers/lib/model.h"
#include "servers/lib/stats.h"

#define MARK  16384 /* bytes received, or written and not sent, beyond which a connection waits */
#define STEPS 4     /* of one connection before the others get theirs */

/* What we keep in each connection. */
struct mine {
	struct bufferevent *buffers; /* and the socket, which it closes */
	bool is_full;                /* more was received than we took: no more for now */
	bool at_end;                 /* nothing more will come from the client */
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
	struct bufferevent *buffers = mine->buffers;

	conn_free(c);
	/* The socket is the library's to close, and last: its number may be reused at once. */
	bufferevent_free(buffers);
}

/* Give it what was received. False when there is nothing. */
static bool feed(struct conn *c, struct mine *mine)
{
	struct evbuffer *input = bufferevent_get_input(mine->buffers);
	size_t len = evbuffer_get_contiguous_space(input); /* bytes in the first of its pieces */

	if (len > 0)
		evbuffer_drain(input,
			       conn_feed(c, (char *)evbuffer_pullup(input, (ssize_t)len), len));
	else if (mine->at_end)
		conn_done(c, 0);
	else
		return false;
	return true;
}

/* Have what it owes sent. */
static void put_out(struct conn *c, struct mine *mine)
{
	size_t len;
	char *buf = conn_buf(c, &len);

	conn_done(c, bufferevent_write(mine->buffers, buf, len) ? -ENOMEM : (ssize_t)len);
}

/* Above the mark, receive no more; below it, go on. False when that cannot be had. */
static bool receive_or_not(struct mine *mine)
{
	bool is_full = evbuffer_get_length(bufferevent_get_input(mine->buffers)) >= MARK;

	if (is_full == mine->is_full || mine->at_end)
		return true;
	mine->is_full = is_full;
	return is_full ? !bufferevent_disable(mine->buffers, EV_READ)
		       : !bufferevent_enable(mine->buffers, EV_READ);
}

static void go_on(struct conn *c)
{
	struct mine *mine = conn_mine(c);
	struct evbuffer *output = bufferevent_get_output(mine->buffers);
	bool goes_on = true;

	events++;
	for (int steps = 0; goes_on; steps++) {
		size_t unsent = evbuffer_get_length(output);
		/* While anything is unsent, we may stop: sent() comes back here. */
		bool may_write = unsent == 0 || (unsent < MARK && steps < STEPS);

		switch (conn_next(c)) {
		case OP_RECV:
			goes_on = may_write && feed(c, mine);
			break;
		case OP_SEND:
			goes_on = may_write;
			if (goes_on)
				put_out(c, mine);
			break;
		case OP_READ:
			conn_step(c);
			break;
		case OP_SHUTDOWN:
			goes_on = unsent == 0;
			if (goes_on)
				conn_step(c);
			break;
		case OP_CLOSE:
			if (unsent == 0) {
				close_conn(c);
				return;
			}
			goes_on = false; /* and the mark holds: it may still be sending to us */
			break;
		}
	}
	if (!receive_or_not(mine))
		close_conn(c);
}

/* Bytes have come. */
static void received(struct bufferevent *buffers, void *arg)
{
	(void)buffers;
	go_on(arg);
}

/* All that was written has been sent. */
static void sent(struct bufferevent *buffers, void *arg)
{
	(void)buffers;
	go_on(arg);
}

static void ended(struct bufferevent *buffers, short what, void *arg)
{
	struct conn *c = arg;
	struct mine *mine = conn_mine(c);

	(void)buffers;
	if (what & BEV_EVENT_EOF) {
		mine->at_end = true;
		go_on(c);
	} else if (what & BEV_EVENT_ERROR) {
		events++;
		close_conn(c);
	}
}

static void open_conn(int fd)
{
	struct conn *c = conn_new(fd);
	struct mine *mine;

	if (!c) {
		server_turn_away(fd);
		return;
	}
	mine = conn_mine(c);
	mine->buffers = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!mine->buffers) {
		warn("bufferevent_socket_new: %s; this client is turned away", strerror(ENOMEM));
		conn_close(c);
		return;
	}
	bufferevent_setcb(mine->buffers, received, sent, ended, c);
	if (bufferevent_enable(mine->buffers, EV_READ | EV_WRITE)) {
		warn("bufferevent_enable: %s; this client is turned away", strerror(errno));
		close_conn(c);
	}
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

	(void)l;
	(void)peer;
	(void)len;
	events++;
	open_conn(server_accepted(srv, fd));
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
	.name = "libevent_buffer",
	.summary = "libevent's bufferevents: the library receives and sends, we see buffers",
	.family = "library",
	.needs = "libevent",
	.flags = USES_MAX_CONNS,
	.conn_bytes = sizeof(struct mine),
	.setup = setup,
	.run = run,
	.nonblocking = true,
};
