// SPDX-License-Identifier: MIT
/* A session's requests: when each is sent, what its reply means, what is left of them at the end. */
#include "loadgen/session_state.h"

#include <assert.h>

#include "common/clock.h"

#define SETTLE_DRAWS 10000000 /* arrivals drawn to count the unsent ones: some 0.2 s */

/* How many more requests this connection may take now. */
static inline uint32_t room_of(const struct session *s, const struct lane *c)
{
	uint32_t depth = c->population == POPULATION_ACTIVE ? s->pipeline : 1;
	uint32_t room = depth - lane_outstanding(c);

	if (c->state != LANE_READY)
		return 0;
	return room < c->quota ? room : c->quota;
}

/* The same where requests are of different lengths. Last and apart, so that the others' way is as
 * short as without it.
 */
static __attribute__((noinline)) void begin_varied(struct session *s, struct lane *c)
{
	c->unsent_bytes += (uint32_t)client_request_bytes(&s->client, id_of(s, c), c->asked - 1);
}

/* Begin a request; the bytes go out with the engine's next send on the connection. */
void request_begin(struct session *s, struct lane *c, uint64_t intended_ns, uint64_t now_ns)
{
	struct stamp *stamp = stamp_of(s, c, c->asked);

	stamp->intended_ns = intended_ns;
	stamp->sent_ns = now_ns;
	c->asked++;
	c->quota--;
	c->unsent_bytes += (uint32_t)s->client.request_bytes;
	account_inflight(s);
	s->outstanding[c->population]++;
	if (window_has(&s->window, intended_ns)) {
		tally_of(s, c)->sent++;
		if (c->population == POPULATION_ACTIVE)
			hist_record(&s->record->lag, now_ns - intended_ns);
	}
	if (__builtin_expect(s->client.request_bytes == 0, 0))
		begin_varied(s, c);
}

/* The same where requests are of different lengths: go back from the latest one. */
static __attribute__((noinline)) const char *produce_varied(const struct session *s,
							    const struct lane *c, size_t *length)
{
	uint32_t number = c->asked - 1;
	size_t left = c->unsent_bytes, one;

	while ((one = client_request_bytes(&s->client, id_of(s, c), number)) < left) {
		left -= one;
		number--;
	}
	return client_produce(&s->client, id_of(s, c), number, one - left, left, NULL, 0, length);
}

const char *traffic_produce(const struct traffic *t, const struct lane *c, char *scratch,
			    size_t scratch_bytes, size_t *length)
{
	const struct session *s = session_of(t);
	size_t one = s->client.request_bytes;
	uint32_t requests = 1;

	/* Hardly ever is there more than one, and a division costs as much as the rest. */
	if (c->unsent_bytes > one) {
		if (one == 0)
			return produce_varied(s, c, length);
		requests = (uint32_t)((c->unsent_bytes + one - 1) / one);
	}

	return client_produce(&s->client, id_of(s, c), c->asked - requests,
			      requests * one - c->unsent_bytes, c->unsent_bytes, scratch,
			      scratch_bytes, length);
}

void traffic_sent(struct traffic *t, struct lane *c, size_t bytes)
{
	struct session *s = session_of(t);
	assert(bytes <= c->unsent_bytes);
	c->unsent_bytes -= (uint32_t)bytes;
	if (window_has(&s->window, s->now_ns))
		s->record->bytes_out += bytes;
}

static void add_free(struct session *s, struct lane *c)
{
	if (c->in_free || !room_of(s, c))
		return;
	if (s->free.length == 0)
		s->free_since_ns = s->now_ns;
	c->in_free = true;
	ring_push(&s->free, index_of(s, c));
}

/* Open loop: send what is due while there is a connection free for it. */
void requests_send(struct session *s)
{
	while (s->due_ns <= s->now_ns && s->free.length && s->due_ns < s->send_until_ns) {
		struct lane *c = &s->traffic.lanes[ring_pop(&s->free)];
		uint64_t possible_ns;

		c->in_free = false;
		if (!room_of(s, c))
			continue;
		s->now_ns = clock_now_ns();
		possible_ns = s->due_ns > s->free_since_ns ? s->due_ns : s->free_since_ns;
		if (window_has(&s->window, s->due_ns))
			hist_record(&s->record->late, s->now_ns - possible_ns);
		request_begin(s, c, s->due_ns, s->now_ns);
		s->due_ns = arrival_next(&s->arrival);
		if (s->due_ns != ARRIVAL_NEVER)
			s->due_ns += s->start_ns;
		add_free(s, c);
		s->engine->send(&s->traffic, c);
	}
}

/* Fill a closed-loop connection up with requests. */
static void send_next(struct session *s, struct lane *c)
{
	uint32_t room = room_of(s, c);

	if (s->now_ns >= s->send_until_ns || !room)
		return;
	for (; room; room--)
		request_begin(s, c, s->now_ns, s->now_ns);
	s->engine->send(&s->traffic, c);
}

/* The connection can do something: what, depends on whose it is. */
void request_resume(struct session *s, struct lane *c)
{
	switch ((enum population)c->population) {
	case POPULATION_ACTIVE:
		if (!s->running)
			return;
		if (s->open_loop) {
			add_free(s, c);
			requests_send(s);
		} else {
			send_next(s, c);
		}
		return;
	case POPULATION_SHORT_LIVED:
		if (s->running)
			send_next(s, c);
		return;
	case POPULATION_IDLE:
		/* Its one request makes sure that the server really serves it. */
		if (room_of(s, c)) {
			request_begin(s, c, s->now_ns, s->now_ns);
			s->engine->send(&s->traffic, c);
		}
		return;
	default:
		return;
	}
}

/* Of the class of an active connection's request. */
static struct hist *class_of(const struct session *s, const struct lane *c, uint32_t number)
{
	return &s->record->classes[http_class_of(&s->client.http, id_of(s, c), number)];
}

void request_record_infinite(struct session *s, struct lane *c, uint32_t number)
{
	if (c->population == POPULATION_ACTIVE) {
		if (s->record->class_count)
			hist_record_infinite(class_of(s, c, number), 1);
		hist_record_infinite(&s->record->response, 1);
		hist_record_infinite(&s->record->service, 1);
		if (s->traffic.stamps)
			hist_record_infinite(&s->record->arrival, 1);
	} else {
		hist_record_infinite(&tally_of(s, c)->latency, 1);
	}
}

/* What is not recorded of every run. Apart, so that the way of the others is short. */
static __attribute__((noinline)) void record_beside(struct session *s, const struct lane *c,
						    const struct stamp *stamp)
{
	if (s->traffic.stamps)
		arrival_record(s, c, stamp);
	if (s->record->class_count)
		hist_record(class_of(s, c, c->answered - 1), s->now_ns - stamp->intended_ns);
}

/* The oldest request of a connection has its reply. */
static void finish(struct session *s, struct lane *c, enum reply_result result)
{
	const struct stamp *stamp = stamp_of(s, c, c->answered);
	struct record *r = s->record;
	struct tally *tally = tally_of(s, c);

	r->replies++;
	c->answered++;
	account_inflight(s);
	s->outstanding[c->population]--;
	if (__builtin_expect(result == REPLY_STATUS, 0)) {
		r->bad_replies++;
		r->failures++;
		if (window_has(&s->window, stamp->intended_ns)) {
			tally->request_errors[FAILURE_STATUS]++;
			request_record_infinite(s, c, c->answered - 1);
		}
		return;
	}
	s->opening.backoff_ns = 0;
	if (c->population != POPULATION_ACTIVE) {
		if (window_has(&s->window, stamp->intended_ns)) {
			tally->completed++;
			hist_record(&tally->latency, s->now_ns - stamp->sent_ns);
		}
		return;
	}
	if (window_has(&s->window, s->now_ns)) {
		r->replies_in_window++;
		c->served++;
	}
	if (window_has(&s->window, stamp->intended_ns)) {
		tally->completed++;
		hist_record(&r->response, s->now_ns - stamp->intended_ns);
		hist_record(&r->service, s->now_ns - stamp->sent_ns);
		if (__builtin_expect(s->beside, 0))
			record_beside(s, c, stamp);
	}
}

bool traffic_received(struct traffic *t, struct lane *c, const char *data, size_t length)
{
	struct session *s = session_of(t);
	uint32_t generation = c->generation;
	size_t used;

	s->now_ns = clock_now_ns();
	if (window_has(&s->window, s->now_ns))
		s->record->bytes_in += length;
	while (length) {
		enum reply_result result;

		if (lane_outstanding(c) == 0) {
			s->record->wrong++;
			if (!*s->record->mismatch)
				client_explain_extra(id_of(s, c), c->answered, data, length,
						     s->record->mismatch,
						     sizeof(s->record->mismatch));
			lane_lose(s, c, FAILURE_TOO_MUCH);
			return false;
		}
		result = client_feed(&s->client, &c->reply, id_of(s, c), c->answered, data, length,
				     &used);
		if (result == REPLY_MORE)
			return true;
		if (result == REPLY_GARBAGE || result == REPLY_MISMATCH) {
			s->record->wrong++;
			if (!*s->record->mismatch)
				client_explain(&s->client, &c->reply, id_of(s, c), c->answered,
					       data, length, s->record->mismatch,
					       sizeof(s->record->mismatch));
			lane_lose(s, c,
				  result == REPLY_GARBAGE ? FAILURE_GARBAGE : FAILURE_MISMATCH);
			return false;
		}
		finish(s, c, result);
		lane_primed(s, c);
		data += used;
		length -= used;
	}
	if (lane_outstanding(c) == 0 &&
	    ((c->quota == 0 && c->population != POPULATION_IDLE) || reply_closes(&c->reply))) {
		lane_renew(s, c);
		return false;
	}
	request_resume(s, c);
	return c->generation == generation;
}

void traffic_eof(struct traffic *t, struct lane *c)
{
	struct session *s = session_of(t);
	s->now_ns = clock_now_ns();
	t->arrived_ns = 0; /* the end of a connection has no stamp */
	if (lane_outstanding(c)) {
		enum reply_result result = client_eof(&c->reply);

		if (result != REPLY_MORE) {
			finish(s, c, result);
			lane_primed(s, c);
			if (lane_outstanding(c) == 0) {
				lane_renew(s, c);
				return;
			}
		}
	}
	lane_lose(s, c, FAILURE_CLOSED);
}

void traffic_recv_failed(struct traffic *t, struct lane *c, int error)
{
	struct session *s = session_of(t);
	lane_lose(s, c, failure_of_recv(error));
}

void traffic_send_failed(struct traffic *t, struct lane *c)
{
	struct session *s = session_of(t);
	lane_lose(s, c, FAILURE_WRITE);
}

/* The requests of the window that are still on this connection. */
void requests_unanswered(struct session *s, struct lane *c)
{
	for (uint32_t n = c->answered; c->state == LANE_READY && n != c->asked; n++) {
		const struct stamp *stamp = stamp_of(s, c, n);

		if (window_has(&s->window, stamp->intended_ns)) {
			tally_of(s, c)->unanswered++;
			request_record_infinite(s, c, n);
		}
	}
}

/*
 * Whose class would they have been of? Which request it is follows from the connection, and they
 * never had one: so each class has its share of them.
 */
static void unsent_by_class(struct session *s, uint64_t unsent)
{
	uint64_t done = 0;
	double upto = 0;

	for (uint32_t i = 0; i < s->record->class_count; i++) {
		bool last = i + 1 == s->record->class_count;
		uint64_t next;

		upto += ask_class_share(s->client.http.ask, i);
		next = last ? unsent : (uint64_t)((double)unsent * (upto < 1 ? upto : 1));
		hist_record_infinite(&s->record->classes[i], next - done);
		done = next;
	}
}

/* The arrivals of the window before end_ns that were never sent. */
void requests_unsent(struct session *s, uint64_t end_ns)
{
	struct record *r = s->record;
	uint64_t unsent, estimated;

	if (!s->open_loop || s->due_ns >= end_ns)
		return;
	unsent = window_has(&s->window, s->due_ns) +
		 arrival_count(&s->arrival, s->window.from_ns - s->start_ns, end_ns - s->start_ns,
			       SETTLE_DRAWS, &estimated);
	r->tallies[POPULATION_ACTIVE].unsent += unsent;
	r->tallies[POPULATION_ACTIVE].unsent_estimated += estimated;
	hist_record_infinite(&r->response, unsent);
	hist_record_infinite(&r->lag, unsent);
	unsent_by_class(s, unsent);
}
