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
#include "loadgen/stamps.h"

enum {
	EVENTS = 256,
	RECVS_MOST = 4, /* of one connection before the others, and the clock, have their turn */
};

struct epoll_engine {
	int fd;
	uint32_t *unread; /* connections left with bytes to read; each is in it once ... */
	uint32_t unread_count;
	bool *is_unread; /* ... for which this is, by its index */
	struct epoll_event events[EVENTS];
};

static void epoll_close(struct traffic *t)
{
	struct epoll_engine *e = t->engine_data;

	if (e->fd >= 0)
		close(e->fd);
	free(e->unread);
	free(e->is_unread);
	free(e);
	t->engine_data = NULL;
}

static const char *epoll_open(struct traffic *t)
{
	struct epoll_engine *e = calloc(1, sizeof(*e));
	const char *reason = "out of memory";

	if (!e)
		return reason;
	e->fd = -1;
	t->engine_data = e;
	e->unread = calloc(t->lane_count + 1, sizeof(*e->unread));
	e->is_unread = calloc(t->lane_count + 1, sizeof(*e->is_unread));
	if (e->unread && e->is_unread) {
		reason = "epoll_create1 failed; raise the descriptor limit (ulimit -n)";
		e->fd = epoll_create1(EPOLL_CLOEXEC);
	}
	if (e->fd >= 0)
		return NULL;
	epoll_close(t);
	return reason;
}

static int epoll_connect(struct traffic *t, struct lane *c)
{
	struct epoll_engine *e = t->engine_data;
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
		.data.u64 = (uint64_t)c->generation << 32 | (uint64_t)(c - t->lanes),
	};

	if (connect(c->fd, &t->server.any, t->server.length) < 0 && errno != EINPROGRESS)
		return errno;
	/* If it is established already, this very call makes it ready to be reported. */
	return epoll_ctl(e->fd, EPOLL_CTL_ADD, c->fd, &event) < 0 ? errno : 0;
}

static void epoll_send(struct traffic *t, struct lane *c)
{
	while (c->unsent_bytes) {
		size_t length;
		const char *data = traffic_produce(t, c, t->scratch, TRAFFIC_BUFFER, &length);
		ssize_t n = send(c->fd, data, length, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n >= 0) {
			traffic_sent(t, c, (size_t)n);
		} else if (errno == EAGAIN) {
			return; /* EPOLLOUT will come */
		} else if (errno != EINTR) {
			traffic_send_failed(t, c);
			return;
		}
	}
}

/* Closing the only descriptor of a socket takes it out of the epoll set. */
static void epoll_drop(struct traffic *t, struct lane *c)
{
	(void)t;
	close(c->fd);
}

/* An edge is reported once: remember a socket that is not empty, to read on in the next turn. */
__attribute__((noinline, cold)) static void remember_unread(struct traffic *t, struct lane *c)
{
	struct epoll_engine *e = t->engine_data;
	uint32_t index = (uint32_t)(c - t->lanes);

	if (e->is_unread[index])
		return;
	e->is_unread[index] = true;
	e->unread[e->unread_count++] = index;
}

/* recv(2); where stamps are wanted, recvmsg(2), which brings the kernel's along. */
static inline ssize_t receive(struct traffic *t, const struct lane *c)
{
	if (__builtin_expect(t->stamps, 0))
		return stamps_receive(c->fd, t->buffer, TRAFFIC_BUFFER, MSG_DONTWAIT,
				      &t->arrived_ns);
	return recv(c->fd, t->buffer, TRAFFIC_BUFFER, MSG_DONTWAIT);
}

/* What recv(2) returned, and errno, mean; false if the connection is gone, *empty if it is empty. */
static bool take(struct traffic *t, struct lane *c, ssize_t n, bool *empty)
{
	*empty = false;
	if (n > 0)
		return traffic_received(t, c, t->buffer, (size_t)n);
	if (n < 0 && errno == EINTR)
		return true;
	*empty = n < 0 && errno == EAGAIN;
	if (*empty)
		return true;
	if (n == 0)
		traffic_eof(t, c);
	else
		traffic_recv_failed(t, c, errno);
	return false;
}

/*
 * Read until the socket is empty, or for RECVS_MOST times: a reply without end must keep nobody
 * else, and no time-out, waiting. False if the connection is gone.
 */
__attribute__((noinline)) static bool empty_socket(struct traffic *t, struct lane *c)
{
	bool empty = false, there = true;

	for (int i = 0; i < RECVS_MOST && there && !empty; i++)
		there = take(t, c, receive(t, c), &empty);
	if (there && !empty)
		remember_unread(t, c);
	return there;
}

/* Read what came; false if the connection is gone. */
static bool epoll_receive(struct traffic *t, struct lane *c, bool until_end)
{
	ssize_t n;

	if (until_end)
		return empty_socket(t, c);
	n = receive(t, c);
	if (n <= 0 || n == TRAFFIC_BUFFER) {
		bool empty;

		return take(t, c, n, &empty) && (empty || empty_socket(t, c));
	}
	/* Less than was asked for: that was all. */
	return traffic_received(t, c, t->buffer, (size_t)n);
}

/* Read on where reading was broken off. */
__attribute__((noinline, cold)) static void read_on(struct traffic *t)
{
	struct epoll_engine *e = t->engine_data;
	uint32_t n = e->unread_count;

	/* What is still not empty goes back into the list, behind the place it is read from. */
	e->unread_count = 0;
	for (uint32_t i = 0; i < n; i++) {
		struct lane *c = &t->lanes[e->unread[i]];

		e->is_unread[e->unread[i]] = false;
		/* It may have been closed, or even opened anew, meanwhile; to read does no harm. */
		if (c->state == LANE_READY && empty_socket(t, c) && c->unsent_bytes)
			epoll_send(t, c);
	}
}

static int socket_error(int fd)
{
	int error = 0;
	socklen_t length = sizeof(error);

	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
	return error;
}

/* Stamps of what was sent are told as an error; a real one comes with EPOLLHUP or EPOLLRDHUP. */
__attribute__((noinline, cold)) static uint32_t read_departure(struct traffic *t, struct lane *c,
							       uint32_t events)
{
	traffic_departed(t, c, stamps_departure(c->fd));
	return events & ~(uint32_t)EPOLLERR;
}

static void epoll_event(struct traffic *t, struct lane *c, uint32_t events)
{
	bool ended;
	uint32_t generation = c->generation;

	if (__builtin_expect(t->departures, 0) && events & EPOLLERR && c->state == LANE_READY)
		events = read_departure(t, c, events);
	ended = events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
	if (c->state == LANE_CONNECTING) {
		int error = socket_error(c->fd);

		if (error) {
			traffic_unconnected(t, c, error);
			return;
		}
		if (!(events & EPOLLOUT))
			return;
		traffic_connected(t, c);
		if (c->generation != generation)
			return;
	}
	if (lane_is_slow(c)) {
		if (c->unsent_bytes && c->population == POPULATION_SLOW_READERS)
			epoll_send(t, c);
		return;
	}
	if ((events & EPOLLIN || ended) && !epoll_receive(t, c, ended))
		return;
	if (c->unsent_bytes)
		epoll_send(t, c);
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

static void epoll_turn(struct traffic *t, uint64_t timeout_ns)
{
	struct epoll_engine *e = t->engine_data;
	int n;

	if (__builtin_expect(e->unread_count != 0, 0)) {
		read_on(t);
		timeout_ns = 0;
	}
	n = epoll_pause(e->fd, e->events, timeout_ns);
	for (int i = 0; i < n; i++) {
		uint64_t data = e->events[i].data.u64;
		struct lane *c = &t->lanes[(uint32_t)data];

		/* The next one's memory comes while this one's system calls run. */
		if (i + 1 < n)
			__builtin_prefetch(&t->lanes[(uint32_t)e->events[i + 1].data.u64], 1);
		/* The socket this was about may have been closed earlier in the batch. */
		if (c->generation == data >> 32)
			epoll_event(t, c, e->events[i].events);
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
