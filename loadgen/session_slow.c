// SPDX-License-Identifier: MIT
/* Slow readers and writers: the session moves their bytes itself, a few at a time. */
#include "loadgen/session_state.h"

#include <errno.h>
#include <sys/socket.h>

#include "common/clock.h"

/* Read at most `most` bytes of what has come. */
static void slow_read(struct session *s, struct lane *c, size_t most)
{
	ssize_t n = recv(c->fd, s->traffic.buffer, most, MSG_DONTWAIT);

	if (n > 0) {
		c->moved_ns = s->now_ns;
		traffic_received(&s->traffic, c, s->traffic.buffer, (size_t)n);
	} else if (n == 0) {
		traffic_eof(&s->traffic, c);
	} else if (errno != EAGAIN && errno != EINTR) {
		traffic_recv_failed(&s->traffic, c, errno);
	}
}

static void slow_write(struct session *s, struct lane *c, size_t most)
{
	size_t length;
	const char *data =
		traffic_produce(&s->traffic, c, s->traffic.scratch, TRAFFIC_BUFFER, &length);
	ssize_t n = send(c->fd, data, length < most ? length : most, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n > 0) {
		c->moved_ns = s->now_ns;
		traffic_sent(&s->traffic, c, (size_t)n);
	} else if (n < 0 && errno != EAGAIN && errno != EINTR) {
		traffic_send_failed(&s->traffic, c);
	}
}

static void slow_step(struct session *s, struct lane *c, size_t quantum)
{
	bool writer = c->population == POPULATION_SLOW_WRITERS;

	if (c->state != LANE_READY)
		return;
	if (lane_outstanding(c) == 0 && s->now_ns < s->send_until_ns) {
		request_begin(s, c, s->now_ns, s->now_ns);
		c->moved_ns = s->now_ns;
		if (!writer) {
			s->engine->send(&s->traffic, c);
			return;
		}
	}
	if (writer && c->unsent_bytes)
		slow_write(s, c, quantum);
	else
		slow_read(s, c, writer ? TRAFFIC_BUFFER : quantum);
}

void slow_turns(struct session *s, uint64_t every_ns)
{
	double rate = (double)s->options->slow_rate_bytes;
	size_t quantum = (size_t)(rate * (double)every_ns / (double)NS_PER_S);

	if (quantum == 0)
		quantum = 1;
	if (quantum > TRAFFIC_BUFFER)
		quantum = TRAFFIC_BUFFER;
	for (uint32_t i = 0; i < s->traffic.lane_count; i++) {
		if (lane_is_slow(&s->traffic.lanes[i]))
			slow_step(s, &s->traffic.lanes[i], quantum);
	}
}
