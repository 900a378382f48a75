// SPDX-License-Identifier: MIT
/* A session's connections: opened, lost, renewed, and given up when they take too long. */
#include "loadgen/session_state.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"

#define CONNECT_LIMIT_NS (5 * NS_PER_S) /* a connect may take this long, or --timeout */
#define OPEN_BURST       32             /* connects between two looks at the sockets */

void lane_queue(struct session *s, struct lane *c)
{
	if (!c->in_open) {
		c->in_open = true;
		ring_push(&s->opening.queue, index_of(s, c));
	}
}

/* Close, without counting anything; the requests on it are over. */
static void lane_forget(struct session *s, struct lane *c)
{
	if (c->state == LANE_READY)
		tally_of(s, c)->up--;
	else if (c->state == LANE_CONNECTING)
		s->connecting--;
	account_inflight(s);
	s->outstanding[c->population] -= lane_outstanding(c);
	c->answered = c->asked;
	c->unsent_bytes = 0;
	c->state = LANE_CLOSED;
	c->generation++;
	memset(&c->reply, 0, sizeof(c->reply));
	s->engine->drop(&s->traffic, c);
	c->fd = -1;
}

/*
 * --prime: an active or idle connection counts as up only when the server has answered it once.
 * connect(2) succeeds by the kernel's doing; the server may be thousands of accepts behind.
 */
static bool primes(const struct session *s, const struct lane *c)
{
	return !s->running && !s->start_ns && s->options->prime &&
	       (c->population == POPULATION_ACTIVE || c->population == POPULATION_IDLE);
}

/* One of its requests is over: what the set-up waited for, if it still goes on. */
void lane_primed(struct session *s, const struct lane *c)
{
	if (primes(s, c) && s->pending)
		s->pending--;
}

/* The connection is of no more use, because of `failure`; so are the requests on it. */
void lane_lose(struct session *s, struct lane *c, enum failure failure)
{
	struct tally *tally = tally_of(s, c);

	if (lane_outstanding(c) == 0)
		tally->connection_errors[failure]++;
	for (uint32_t n = c->answered; n != c->asked; n++) {
		const struct stamp *stamp = stamp_of(s, c, n);

		s->record->failures++;
		if (!window_has(&s->window, stamp->intended_ns))
			continue;
		tally->request_errors[failure]++;
		request_record_infinite(s, c, n);
	}
	if (primes(s, c) && lane_outstanding(c) && s->pending)
		s->pending--; /* given up */
	lane_forget(s, c);
	if (!s->running)
		return;
	/* A time-out has been waiting enough. */
	if (failure != FAILURE_TIMEOUT)
		opening_back_off(&s->opening, s->now_ns);
	lane_queue(s, c);
}

/* Close because its work is done, and open it anew. */
void lane_renew(struct session *s, struct lane *c)
{
	if (s->options->close == CLOSE_RST) {
		struct linger linger = {.l_onoff = 1, .l_linger = 0};

		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	}
	lane_forget(s, c);
	if (s->running)
		lane_queue(s, c);
}

static int make_socket(struct session *s, struct lane *c)
{
	int fd = socket(s->traffic.server.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
			0);
	int on = 1, small = 4096, error;
	struct sockaddr_in source = {.sin_family = AF_INET};

	if (fd < 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (s->traffic.stamps) {
		error = stamps_enable(fd, s->traffic.departures);
		if (error)
			goto failed;
	}
	if (c->population == POPULATION_SLOW_READERS)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	if (s->source_count == 0)
		return fd;
	/* Choose the port at connect(2), when the whole 4-tuple is known, not among all bound. */
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	source.sin_addr.s_addr = s->sources[id_of(s, c) % s->source_count];
	if (bind(fd, (struct sockaddr *)&source, sizeof(source)) == 0)
		return fd;
	error = errno;
failed:
	close(fd);
	errno = error;
	return -1;
}

static uint32_t quota_of(const struct session *s, const struct lane *c)
{
	if (c->population == POPULATION_SHORT_LIVED || c->population == POPULATION_IDLE)
		return 1;
	if (c->population == POPULATION_SILENT)
		return 0;
	if (c->population == POPULATION_ACTIVE && s->options->requests_per_connection)
		return (uint32_t)s->options->requests_per_connection;
	return UINT32_MAX;
}

static void open_lane(struct session *s, struct lane *c)
{
	int error;

	c->fd = make_socket(s, c);
	if (c->fd < 0) {
		traffic_unconnected(&s->traffic, c, errno);
		return;
	}
	c->state = LANE_CONNECTING;
	s->connecting++;
	c->quota = quota_of(s, c);
	s->now_ns = clock_now_ns();
	c->stamp.sent_ns = s->now_ns;
	error = s->engine->connect(&s->traffic, c);
	if (error)
		traffic_unconnected(&s->traffic, c, error);
}

bool lanes_may_open(const struct session *s)
{
	uint32_t queued = s->opening.queue.length;

	return queued && (s->start_ns || !s->ahead || s->pending < queued + s->ahead);
}

void lanes_open(struct session *s)
{
	uint32_t item;

	for (int i = 0; i < OPEN_BURST && lanes_may_open(s); i++) {
		if (!opening_take(&s->opening, s->now_ns, &item))
			return;
		s->traffic.lanes[item].in_open = false;
		open_lane(s, &s->traffic.lanes[item]);
	}
}

void traffic_unconnected(struct traffic *t, struct lane *c, int error)
{
	struct session *s = session_of(t);
	enum failure failure = failure_of_connect(error);

	tally_of(s, c)->connection_errors[failure]++;
	if (c->state != LANE_CLOSED)
		lane_forget(s, c);
	if (s->start_ns) {
		if (failure == FAILURE_REFUSED) {
			s->record->gone++;
			if (!s->lost_since_ns)
				s->lost_since_ns = s->now_ns;
		}
		if (!s->running) /* in the drain */
			return;
		opening_back_off(&s->opening, s->now_ns);
		lane_queue(s, c);
		return;
	}
	s->connect_error = error;
	if (s->pending)
		s->pending--;
	if (failure == FAILURE_REFUSED && !*s->record->message)
		snprintf(s->record->message, sizeof(s->record->message),
			 "connect to %s: %s; is the server running?", s->url, strerror(error));
}

void traffic_connected(struct traffic *t, struct lane *c)
{
	struct session *s = session_of(t);
	struct tally *tally = tally_of(s, c);

	s->now_ns = clock_now_ns();
	hist_record(&s->record->connect, s->now_ns - c->stamp.sent_ns);
	c->state = LANE_READY;
	s->connecting--;
	tally->up++;
	tally->opened++;
	s->lost_since_ns = 0;
	if (primes(s, c)) {
		/* One more than it may make under load; that of an idle connection is the only one. */
		if (c->population == POPULATION_ACTIVE)
			c->quota++;
		request_begin(s, c, s->now_ns, s->now_ns);
		s->engine->send(&s->traffic, c);
		return;
	}
	if (!s->running && s->pending)
		s->pending--;
	request_resume(s, c);
}

void lane_check_timeout(struct session *s, struct lane *c)
{
	uint64_t limit = (uint64_t)s->options->timeout_ns, since;

	if (c->state == LANE_CONNECTING) {
		if (limit < CONNECT_LIMIT_NS)
			limit = CONNECT_LIMIT_NS;
		if (c->stamp.sent_ns + limit < s->now_ns)
			traffic_unconnected(&s->traffic, c, ETIMEDOUT);
		return;
	}
	if (c->state != LANE_READY || lane_outstanding(c) == 0)
		return;
	/* A slow connection is slow on purpose: its time counts from the last byte moved. */
	since = lane_is_slow(c) ? c->moved_ns : stamp_of(s, c, c->answered)->sent_ns;
	if (since + limit < s->now_ns)
		lane_lose(s, c, FAILURE_TIMEOUT);
}
