// SPDX-License-Identifier: MIT
/*
 * The epoll engine. A socket is registered once, edge-triggered, for everything, and never again:
 * there is no epoll_ctl(2) per request. Edge-triggered is also what makes epoll_wait(2) cheap here:
 * a level-triggered socket is put back on the ready list and polled once more after each report.
 *
 * A recv(2) that returns less than was asked for has emptied the socket, so no second one is needed
 * to see EAGAIN; whatever comes later is a new edge.
 */
#include "loadgen/engine.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "loadgen/session.h"

enum { EVENTS = 256 };

struct epoll_engine {
	int fd;
	struct epoll_event events[EVENTS];
};

static const char *epoll_open(struct session *s)
{
	struct epoll_engine *e = malloc(sizeof(*e));

	if (!e)
		return "out of memory";
	e->fd = epoll_create1(EPOLL_CLOEXEC);
	if (e->fd < 0) {
		free(e);
		return "epoll_create1 failed; raise the descriptor limit (ulimit -n)";
	}
	s->engine_data = e;
	return NULL;
}

static void epoll_close(struct session *s)
{
	struct epoll_engine *e = s->engine_data;

	close(e->fd);
	free(e);
	s->engine_data = NULL;
}

static int epoll_connect(struct session *s, struct conn *c)
{
	struct epoll_engine *e = s->engine_data;
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
		.data.u64 = (uint64_t)c->generation << 32 | (uint64_t)(c - s->conns),
	};

	if (connect(c->fd, (struct sockaddr *)&s->server, sizeof(s->server)) < 0 &&
	    errno != EINPROGRESS)
		return errno;
	/* If it is established already, this very call makes it ready to be reported. */
	return epoll_ctl(e->fd, EPOLL_CTL_ADD, c->fd, &event) < 0 ? errno : 0;
}

static void epoll_send(struct session *s, struct conn *c)
{
	while (c->unsent_bytes) {
		size_t length;
		const char *data = session_produce(s, c, s->scratch, SESSION_BUFFER, &length);
		ssize_t n = send(c->fd, data, length, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n >= 0) {
			session_sent(s, c, (size_t)n);
		} else if (errno == EAGAIN) {
			return; /* EPOLLOUT will come */
		} else if (errno != EINTR) {
			session_send_failed(s, c);
			return;
		}
	}
}

/* Closing the only descriptor of a socket takes it out of the epoll set. */
static void epoll_drop(struct session *s, struct conn *c)
{
	(void)s;
	close(c->fd);
}

/* Read until the socket is empty; false if the connection is gone. */
static bool epoll_receive(struct session *s, struct conn *c, bool until_end)
{
	for (;;) {
		ssize_t n = recv(c->fd, s->buffer, SESSION_BUFFER, MSG_DONTWAIT);

		if (n > 0) {
			if (!session_received(s, c, s->buffer, (size_t)n))
				return false;
			if (n < SESSION_BUFFER && !until_end)
				return true;
		} else if (n == 0) {
			session_eof(s, c);
			return false;
		} else if (errno == EAGAIN) {
			return true;
		} else if (errno != EINTR) {
			session_recv_failed(s, c, errno);
			return false;
		}
	}
}

static int socket_error(int fd)
{
	int error = 0;
	socklen_t length = sizeof(error);

	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
	return error;
}

static void epoll_event(struct session *s, struct conn *c, uint32_t events)
{
	bool ended = events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
	uint32_t generation = c->generation;

	if (c->state == CONN_CONNECTING) {
		int error = socket_error(c->fd);

		if (error) {
			session_unconnected(s, c, error);
			return;
		}
		if (!(events & EPOLLOUT))
			return;
		session_connected(s, c);
		if (c->generation != generation)
			return;
	}
	if (conn_is_slow(c)) {
		if (c->unsent_bytes && c->population == POPULATION_SLOW_READERS)
			epoll_send(s, c);
		return;
	}
	if ((events & EPOLLIN || ended) && !epoll_receive(s, c, ended))
		return;
	if (c->unsent_bytes)
		epoll_send(s, c);
}

static int epoll_pause(int fd, struct epoll_event *events, uint64_t timeout_ns)
{
	struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / NS_PER_S),
				   .tv_nsec = (long)(timeout_ns % NS_PER_S)};
	int n = epoll_pwait2(fd, events, EVENTS, &timeout, NULL);

	if (n < 0 && errno == ENOSYS) /* before Linux 5.11 */
		n = epoll_wait(fd, events, EVENTS, (int)(timeout_ns / NS_PER_MS));
	return n;
}

static void epoll_turn(struct session *s, uint64_t timeout_ns)
{
	struct epoll_engine *e = s->engine_data;
	int n = epoll_pause(e->fd, e->events, timeout_ns);

	for (int i = 0; i < n; i++) {
		uint64_t data = e->events[i].data.u64;
		struct conn *c = &s->conns[(uint32_t)data];

		/* The next one's memory comes while this one's system calls run. */
		if (i + 1 < n)
			__builtin_prefetch(&s->conns[(uint32_t)e->events[i + 1].data.u64], 1);
		/* The socket this was about may have been closed earlier in the batch. */
		if (c->generation == data >> 32)
			epoll_event(s, c, e->events[i].events);
	}
}

const struct engine engine_epoll = {
	.name = "epoll",
	.open = epoll_open,
	.close = epoll_close,
	.connect = epoll_connect,
	.send = epoll_send,
	.drop = epoll_drop,
	.wait = epoll_turn,
};
