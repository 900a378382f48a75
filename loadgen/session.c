// SPDX-License-Identifier: MIT
#include "loadgen/session.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/die.h"
#include "loadgen/random.h"
#include "loadgen/turns.h"

#define TICK_NS          (10 * NS_PER_MS) /* housekeeping */
#define SLOW_NS          (50 * NS_PER_MS) /* slow readers and writers move bytes so often */
#define SETUP_WAIT_NS    NS_PER_MS        /* how soon the start signal is noticed */
#define CONNECT_LIMIT_NS (5 * NS_PER_S)   /* a connect may take this long, or --timeout */
#define GONE_NS          NS_PER_S         /* refused for so long with nothing up: server gone */
#define BACKOFF_FIRST_NS NS_PER_MS
#define BACKOFF_LAST_NS  (250 * NS_PER_MS)
#define SETUP_RATE_RPS   20e3
#define PACE_FIRST_NS    (200 * NS_PER_US) /* wake so long before an arrival and spin to it */
#define SPIN_MOST_NS     (5 * NS_PER_US) /* a spin that takes longer was not on a CPU all the time */
#define PACE_LEAST_NS    (50 * NS_PER_US)
#define PACE_MOST_NS     NS_PER_MS
#define SETTLE_DRAWS     10000000          /* arrivals drawn to count the unsent ones: some 0.2 s */
#define ABSENT_NS        (100 * NS_PER_MS) /* housekeeping this late: the worker was not there */
#define OPEN_BURST       32                /* connects between two looks at the sockets */

static void ring_push(struct ring *r, uint32_t item)
{
	uint32_t at = r->head + r->length++;

	r->items[at < r->size ? at : at - r->size] = item;
}

static uint32_t ring_pop(struct ring *r)
{
	uint32_t item = r->items[r->head];

	r->head = r->head + 1 < r->size ? r->head + 1 : 0;
	r->length--;
	return item;
}

static bool ring_init(struct ring *r, uint32_t size)
{
	*r = (struct ring){.items = calloc(size, sizeof(*r->items)), .size = size};
	return r->items;
}

uint32_t session_share(int64_t connections, unsigned int worker, unsigned int workers)
{
	return (uint32_t)(connections / workers + (worker < connections % workers));
}

static bool in_window(const struct session *s, uint64_t ns)
{
	return ns - s->from_ns < s->window_ns;
}

static struct tally *tally_of(struct session *s, const struct conn *c)
{
	return &s->record->tallies[c->population];
}

static uint32_t index_of(const struct session *s, const struct conn *c)
{
	return (uint32_t)(c - s->conns);
}

static uint32_t id_of(const struct session *s, const struct conn *c)
{
	return s->first_id + index_of(s, c);
}

static struct stamp *stamp_of(struct session *s, struct conn *c, uint32_t number)
{
	if (s->pipeline == 1)
		return &c->stamp;
	return &s->stamps[(size_t)index_of(s, c) * s->pipeline + number % s->pipeline];
}

/* The window's next edge has been passed: what lies before it is known only now. */
static void pass_edge(struct session *s)
{
	uint64_t window_end_ns = s->from_ns + s->window_ns;
	uint64_t until_edge = s->outstanding[POPULATION_ACTIVE] * (s->edge_ns - s->inflight_at_ns);

	if (s->edge_ns == s->from_ns && s->edge_ns != window_end_ns) {
		s->inflight_before_ns = s->inflight_ns + until_edge;
		s->edge_ns = window_end_ns;
	} else {
		s->record->inflight_ns = s->inflight_ns + until_edge - s->inflight_before_ns;
		s->edge_ns = UINT64_MAX;
	}
}

/*
 * Little's law needs the requests in flight without the help of the histograms: keep the integral
 * of their number over time, brought up to date before each change.
 */
static inline void account_inflight(struct session *s)
{
	while (__builtin_expect(s->now_ns >= s->edge_ns, 0))
		pass_edge(s);
	s->inflight_ns += s->outstanding[POPULATION_ACTIVE] * (s->now_ns - s->inflight_at_ns);
	s->inflight_at_ns = s->now_ns;
}

/* How many more requests this connection may take now. */
static inline uint32_t room_of(const struct session *s, const struct conn *c)
{
	uint32_t depth = c->population == POPULATION_ACTIVE ? s->pipeline : 1;
	uint32_t room = depth - conn_outstanding(c);

	if (c->state != CONN_READY)
		return 0;
	return room < c->quota ? room : c->quota;
}

/* --- connections come and go -------------------------------------------------------------- */

static void queue_opening(struct session *s, struct conn *c)
{
	if (!c->in_open) {
		c->in_open = true;
		ring_push(&s->opening, index_of(s, c));
	}
}

/* Something failed that is likely to fail again: wait before the next connect, ever longer. */
static void back_off(struct session *s)
{
	if (s->now_ns < s->open_at_ns)
		return;
	s->backoff_ns = s->backoff_ns ? 2 * s->backoff_ns : BACKOFF_FIRST_NS;
	if (s->backoff_ns > BACKOFF_LAST_NS)
		s->backoff_ns = BACKOFF_LAST_NS;
	s->open_at_ns = s->now_ns + s->backoff_ns;
}

/* Close, without counting anything; the requests on it are over. */
static void forget(struct session *s, struct conn *c)
{
	if (c->state == CONN_READY)
		tally_of(s, c)->up--;
	else if (c->state == CONN_CONNECTING)
		s->connecting--;
	account_inflight(s);
	s->outstanding[c->population] -= conn_outstanding(c);
	c->answered = c->asked;
	c->unsent_bytes = 0;
	c->state = CONN_CLOSED;
	c->generation++;
	memset(&c->reply, 0, sizeof(c->reply));
	s->engine->drop(s, c);
	c->fd = -1;
}

static void record_unanswered(struct session *s, struct conn *c)
{
	if (c->population == POPULATION_ACTIVE) {
		hist_record_infinite(&s->record->response, 1);
		hist_record_infinite(&s->record->service, 1);
	} else {
		hist_record_infinite(&tally_of(s, c)->latency, 1);
	}
}

/*
 * --prime: an active or idle connection counts as up only when the server has answered it once.
 * connect(2) succeeds by the kernel's doing; the server may be thousands of accepts behind.
 */
static bool primes(const struct session *s, const struct conn *c)
{
	return !s->running && !s->start_ns && s->options->prime &&
	       (c->population == POPULATION_ACTIVE || c->population == POPULATION_IDLE);
}

/* One of its requests is over: what the set-up waited for, if it still goes on. */
static void primed(struct session *s, const struct conn *c)
{
	if (primes(s, c) && s->pending)
		s->pending--;
}

/* The connection is of no more use, because of `failure`; so are the requests on it. */
static void lose(struct session *s, struct conn *c, enum failure failure)
{
	struct tally *tally = tally_of(s, c);

	if (conn_outstanding(c) == 0)
		tally->connection_errors[failure]++;
	for (uint32_t n = c->answered; n != c->asked; n++) {
		const struct stamp *stamp = stamp_of(s, c, n);

		s->record->failures++;
		if (!in_window(s, stamp->intended_ns))
			continue;
		tally->request_errors[failure]++;
		record_unanswered(s, c);
	}
	if (primes(s, c) && conn_outstanding(c) && s->pending)
		s->pending--; /* given up */
	forget(s, c);
	if (!s->running)
		return;
	/* A time-out has been waiting enough. */
	if (failure != FAILURE_TIMEOUT)
		back_off(s);
	queue_opening(s, c);
}

/* Close because its work is done, and open it anew. */
static void renew(struct session *s, struct conn *c)
{
	if (s->options->close == CLOSE_RST) {
		struct linger linger = {.l_onoff = 1, .l_linger = 0};

		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	}
	forget(s, c);
	if (s->running)
		queue_opening(s, c);
}

static int make_socket(struct session *s, struct conn *c)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1, small = 4096, error;
	struct sockaddr_in source = {.sin_family = AF_INET};

	if (fd < 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
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
	close(fd);
	errno = error;
	return -1;
}

static uint32_t quota_of(const struct session *s, const struct conn *c)
{
	if (c->population == POPULATION_SHORT_LIVED || c->population == POPULATION_IDLE)
		return 1;
	if (c->population == POPULATION_SILENT)
		return 0;
	if (c->population == POPULATION_ACTIVE && s->options->requests_per_connection)
		return (uint32_t)s->options->requests_per_connection;
	return UINT32_MAX;
}

static void open_conn(struct session *s, struct conn *c)
{
	int error;

	c->fd = make_socket(s, c);
	if (c->fd < 0) {
		session_unconnected(s, c, errno);
		return;
	}
	c->state = CONN_CONNECTING;
	s->connecting++;
	c->quota = quota_of(s, c);
	s->now_ns = clock_now_ns();
	c->stamp.sent_ns = s->now_ns;
	error = s->engine->connect(s, c);
	if (error)
		session_unconnected(s, c, error);
}

static void open_due(struct session *s)
{
	for (int i = 0; i < OPEN_BURST && s->opening.length && s->now_ns >= s->open_at_ns; i++) {
		struct conn *c = &s->conns[ring_pop(&s->opening)];

		c->in_open = false;
		if (s->connect_gap_ns)
			s->open_at_ns += s->connect_gap_ns;
		/* What was not opened in time is not made up for in a burst. */
		if (s->open_at_ns + TICK_NS < s->now_ns)
			s->open_at_ns = s->now_ns;
		open_conn(s, c);
	}
}

void session_unconnected(struct session *s, struct conn *c, int error)
{
	enum failure failure = failure_of_connect(error);

	tally_of(s, c)->connection_errors[failure]++;
	if (c->state != CONN_CLOSED)
		forget(s, c);
	if (s->running) {
		if (failure == FAILURE_REFUSED) {
			s->record->gone++;
			if (!s->lost_since_ns)
				s->lost_since_ns = s->now_ns;
		}
		back_off(s);
		queue_opening(s, c);
		return;
	}
	if (s->pending)
		s->pending--;
	if (failure == FAILURE_REFUSED && !*s->record->message)
		snprintf(s->record->message, sizeof(s->record->message),
			 "connect to %s: %s; is the server running?", s->url, strerror(error));
}

/* --- requests ----------------------------------------------------------------------------- */

/* Begin a request; the bytes go out with the engine's next send on the connection. */
static void begin(struct session *s, struct conn *c, uint64_t intended_ns, uint64_t now_ns)
{
	struct stamp *stamp = stamp_of(s, c, c->asked);

	stamp->intended_ns = intended_ns;
	stamp->sent_ns = now_ns;
	c->asked++;
	c->quota--;
	c->unsent_bytes += (uint32_t)s->client.request_bytes;
	account_inflight(s);
	s->outstanding[c->population]++;
	if (in_window(s, intended_ns)) {
		tally_of(s, c)->sent++;
		if (c->population == POPULATION_ACTIVE)
			hist_record(&s->record->lag, now_ns - intended_ns);
	}
}

const char *session_produce(const struct session *s, const struct conn *c, char *scratch,
			    size_t scratch_bytes, size_t *length)
{
	size_t one = s->client.request_bytes;
	uint32_t requests = 1;

	/* Hardly ever is there more than one, and a division costs as much as the rest. */
	if (c->unsent_bytes > one)
		requests = (uint32_t)((c->unsent_bytes + one - 1) / one);

	return client_produce(&s->client, id_of(s, c), c->asked - requests,
			      requests * one - c->unsent_bytes, c->unsent_bytes, scratch,
			      scratch_bytes, length);
}

void session_sent(struct session *s, struct conn *c, size_t bytes)
{
	assert(bytes <= c->unsent_bytes);
	c->unsent_bytes -= (uint32_t)bytes;
	if (in_window(s, s->now_ns))
		s->record->bytes_out += bytes;
}

static void add_free(struct session *s, struct conn *c)
{
	if (c->in_free || !room_of(s, c))
		return;
	if (s->free.length == 0)
		s->free_since_ns = s->now_ns;
	c->in_free = true;
	ring_push(&s->free, index_of(s, c));
}

/* Open loop: send what is due while there is a connection free for it. */
static void send_due(struct session *s)
{
	while (s->due_ns <= s->now_ns && s->free.length && s->due_ns < s->send_until_ns) {
		struct conn *c = &s->conns[ring_pop(&s->free)];
		uint64_t possible_ns;

		c->in_free = false;
		if (!room_of(s, c))
			continue;
		s->now_ns = clock_now_ns();
		possible_ns = s->due_ns > s->free_since_ns ? s->due_ns : s->free_since_ns;
		if (in_window(s, s->due_ns))
			hist_record(&s->record->late, s->now_ns - possible_ns);
		begin(s, c, s->due_ns, s->now_ns);
		s->due_ns = arrival_next(&s->arrival);
		if (s->due_ns != ARRIVAL_NEVER)
			s->due_ns += s->start_ns;
		add_free(s, c);
		s->engine->send(s, c);
	}
}

/* Fill a closed-loop connection up with requests. */
static void send_next(struct session *s, struct conn *c)
{
	uint32_t room = room_of(s, c);

	if (s->now_ns >= s->send_until_ns || !room)
		return;
	for (; room; room--)
		begin(s, c, s->now_ns, s->now_ns);
	s->engine->send(s, c);
}

/* The connection can do something: what, depends on whose it is. */
static void resume(struct session *s, struct conn *c)
{
	switch ((enum population)c->population) {
	case POPULATION_ACTIVE:
		if (!s->running)
			return;
		if (s->open_loop) {
			add_free(s, c);
			send_due(s);
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
			begin(s, c, s->now_ns, s->now_ns);
			s->engine->send(s, c);
		}
		return;
	default:
		return;
	}
}

void session_connected(struct session *s, struct conn *c)
{
	struct tally *tally = tally_of(s, c);

	s->now_ns = clock_now_ns();
	hist_record(&s->record->connect, s->now_ns - c->stamp.sent_ns);
	c->state = CONN_READY;
	s->connecting--;
	tally->up++;
	tally->opened++;
	s->lost_since_ns = 0;
	if (primes(s, c)) {
		/* One more than it may make under load; that of an idle connection is the only one. */
		if (c->population == POPULATION_ACTIVE)
			c->quota++;
		begin(s, c, s->now_ns, s->now_ns);
		s->engine->send(s, c);
		return;
	}
	if (!s->running && s->pending)
		s->pending--;
	resume(s, c);
}

/* The oldest request of a connection has its reply. */
static void finish(struct session *s, struct conn *c, enum reply_result result)
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
		if (in_window(s, stamp->intended_ns)) {
			tally->request_errors[FAILURE_STATUS]++;
			record_unanswered(s, c);
		}
		return;
	}
	s->backoff_ns = 0;
	if (c->population != POPULATION_ACTIVE) {
		if (in_window(s, stamp->intended_ns)) {
			tally->completed++;
			hist_record(&tally->latency, s->now_ns - stamp->sent_ns);
		}
		return;
	}
	if (in_window(s, s->now_ns)) {
		r->replies_in_window++;
		c->served++;
	}
	if (in_window(s, stamp->intended_ns)) {
		tally->completed++;
		hist_record(&r->response, s->now_ns - stamp->intended_ns);
		hist_record(&r->service, s->now_ns - stamp->sent_ns);
	}
}

bool session_received(struct session *s, struct conn *c, const char *data, size_t length)
{
	uint32_t generation = c->generation;
	size_t used;

	s->now_ns = clock_now_ns();
	if (in_window(s, s->now_ns))
		s->record->bytes_in += length;
	while (length) {
		enum reply_result result;

		if (conn_outstanding(c) == 0) {
			s->record->wrong++;
			if (!*s->record->mismatch)
				client_explain_extra(id_of(s, c), c->answered, data, length,
						     s->record->mismatch,
						     sizeof(s->record->mismatch));
			lose(s, c, FAILURE_TOO_MUCH);
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
			lose(s, c, result == REPLY_GARBAGE ? FAILURE_GARBAGE : FAILURE_MISMATCH);
			return false;
		}
		finish(s, c, result);
		primed(s, c);
		data += used;
		length -= used;
	}
	if (conn_outstanding(c) == 0 &&
	    ((c->quota == 0 && c->population != POPULATION_IDLE) || reply_closes(&c->reply))) {
		renew(s, c);
		return false;
	}
	resume(s, c);
	return c->generation == generation;
}

void session_eof(struct session *s, struct conn *c)
{
	s->now_ns = clock_now_ns();
	if (conn_outstanding(c)) {
		enum reply_result result = client_eof(&c->reply);

		if (result != REPLY_MORE) {
			finish(s, c, result);
			primed(s, c);
			if (conn_outstanding(c) == 0) {
				renew(s, c);
				return;
			}
		}
	}
	lose(s, c, FAILURE_CLOSED);
}

void session_recv_failed(struct session *s, struct conn *c, int error)
{
	lose(s, c, failure_of_recv(error));
}

void session_send_failed(struct session *s, struct conn *c)
{
	lose(s, c, FAILURE_WRITE);
}

/* --- slow readers and writers --------------------------------------------------------------- */

/* Read at most `most` bytes of what has come. */
static void slow_read(struct session *s, struct conn *c, size_t most)
{
	ssize_t n = recv(c->fd, s->buffer, most, MSG_DONTWAIT);

	if (n > 0) {
		c->moved_ns = s->now_ns;
		session_received(s, c, s->buffer, (size_t)n);
	} else if (n == 0) {
		session_eof(s, c);
	} else if (errno != EAGAIN && errno != EINTR) {
		session_recv_failed(s, c, errno);
	}
}

static void slow_write(struct session *s, struct conn *c, size_t most)
{
	size_t length;
	const char *data = session_produce(s, c, s->scratch, SESSION_BUFFER, &length);
	ssize_t n = send(c->fd, data, length < most ? length : most, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n > 0) {
		c->moved_ns = s->now_ns;
		session_sent(s, c, (size_t)n);
	} else if (n < 0 && errno != EAGAIN && errno != EINTR) {
		session_send_failed(s, c);
	}
}

static void slow_turn(struct session *s, struct conn *c, size_t quantum)
{
	bool writer = c->population == POPULATION_SLOW_WRITERS;

	if (c->state != CONN_READY)
		return;
	if (conn_outstanding(c) == 0 && s->now_ns < s->send_until_ns) {
		begin(s, c, s->now_ns, s->now_ns);
		c->moved_ns = s->now_ns;
		if (!writer) {
			s->engine->send(s, c);
			return;
		}
	}
	if (writer && c->unsent_bytes)
		slow_write(s, c, quantum);
	else
		slow_read(s, c, writer ? SESSION_BUFFER : quantum);
}

/* --- housekeeping --------------------------------------------------------------------------- */

static void check_timeout(struct session *s, struct conn *c)
{
	uint64_t limit = (uint64_t)s->options->timeout_ns, since;

	if (c->state == CONN_CONNECTING) {
		if (limit < CONNECT_LIMIT_NS)
			limit = CONNECT_LIMIT_NS;
		if (c->stamp.sent_ns + limit < s->now_ns)
			session_unconnected(s, c, ETIMEDOUT);
		return;
	}
	if (c->state != CONN_READY || conn_outstanding(c) == 0)
		return;
	/* A slow connection is slow on purpose: its time counts from the last byte moved. */
	since = conn_is_slow(c) ? c->moved_ns : stamp_of(s, c, c->answered)->sent_ns;
	if (since + limit < s->now_ns)
		lose(s, c, FAILURE_TIMEOUT);
}

/*
 * No batch of events takes a tenth of a second. Who is so late with its housekeeping was stopped,
 * or had no CPU; the kernel counts the latter as starved, the former nowhere.
 */
static void note_absence(struct session *s)
{
	uint64_t from_ns = s->tick_ns, until_ns = s->now_ns, end_ns = s->from_ns + s->window_ns;

	if (!s->running || until_ns - from_ns < ABSENT_NS)
		return;
	if (from_ns < s->from_ns)
		from_ns = s->from_ns;
	if (until_ns > end_ns)
		until_ns = end_ns;
	if (until_ns > from_ns)
		s->record->absent_ns += until_ns - from_ns;
}

static void tick(struct session *s)
{
	size_t quantum =
		(size_t)(s->options->slow_rate_bytes * (int64_t)SLOW_NS / (int64_t)NS_PER_S);
	uint64_t scan_gap = (uint64_t)s->options->timeout_ns / 16;

	note_absence(s);
	s->tick_ns = s->now_ns + TICK_NS;
	if (s->now_ns >= s->scan_ns) {
		s->scan_ns = s->now_ns + (scan_gap < NS_PER_S ? scan_gap : NS_PER_S);
		for (uint32_t i = 0; i < s->conn_count; i++)
			check_timeout(s, &s->conns[i]);
	}
	if (s->start_ns && s->now_ns >= s->slow_ns) {
		s->slow_ns = s->now_ns + SLOW_NS;
		if (quantum == 0)
			quantum = 1;
		if (quantum > SESSION_BUFFER)
			quantum = SESSION_BUFFER;
		for (uint32_t i = 0; i < s->conn_count; i++) {
			if (conn_is_slow(&s->conns[i]))
				slow_turn(s, &s->conns[i], quantum);
		}
	}
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* How long to wait for the sockets; *pacing says that 0 means to spin towards an arrival. */
static uint64_t wait_time(const struct session *s, bool *pacing)
{
	uint64_t until = earlier(s->tick_ns, s->next_edge_ns);

	*pacing = false;
	/*
	 * A closed loop need not be on time. A time-out that is never due before the kernel's own
	 * tick spares it setting the timer for each wait, which on a virtual machine leaves the
	 * guest.
	 */
	if (s->running && !s->open_loop && !s->opening.length &&
	    s->now_ns + TICK_NS < s->next_edge_ns)
		return TICK_NS;
	if (s->opening.length)
		until = earlier(until, s->open_at_ns);
	if (s->running)
		until = earlier(until, s->send_until_ns);
	if (s->running && s->open_loop && s->free.length && s->due_ns < s->send_until_ns) {
		uint64_t spin = s->options->pace == PACE_HYBRID ? s->pace_ns : 0;

		if (s->due_ns <= s->now_ns)
			return 0;
		if (s->options->pace == PACE_SPIN || s->due_ns - s->now_ns <= spin) {
			*pacing = true;
			return 0;
		}
		until = earlier(until, s->due_ns - spin);
	}
	return until > s->now_ns ? until - s->now_ns : 0;
}

/*
 * A sleep ended by its time-out, `late_ns` after it. How late that is depends on the machine and
 * its idle states, so it is learnt: spinning begins early enough for the worst of the latest
 * wake-ups.
 */
static void learn_pace(struct session *s, uint64_t late_ns)
{
	uint64_t want = late_ns + late_ns / 2;

	if (want > PACE_MOST_NS)
		want = PACE_MOST_NS;
	s->pace_ns -= s->pace_ns / 64;
	if (s->pace_ns < want)
		s->pace_ns = want;
	if (s->pace_ns < PACE_LEAST_NS)
		s->pace_ns = PACE_LEAST_NS;
}

/* One turn of the loop. */
static void turn(struct session *s)
{
	uint64_t before_ns = s->now_ns, timeout_ns;
	bool pacing, nothing, idle = s->idle;

	if (s->running && s->open_loop)
		send_due(s);
	idle &= s->now_ns == before_ns;
	before_ns = s->now_ns;
	timeout_ns = wait_time(s, &pacing);
	s->engine->wait(s, timeout_ns);
	nothing = s->now_ns == before_ns;
	if (nothing) {
		s->now_ns = clock_now_ns();
		/* Work done since before_ns was read is not spinning; then this turn does not
		 * count. */
		if (pacing && idle)
			s->record->spun_ns += earlier(s->now_ns - before_ns, SPIN_MOST_NS);
		if (timeout_ns && s->now_ns - before_ns > timeout_ns)
			learn_pace(s, s->now_ns - before_ns - timeout_ns);
	}
	s->idle = nothing && s->now_ns < s->tick_ns && !s->opening.length;
	if (s->opening.length)
		open_due(s);
	if (s->now_ns >= s->tick_ns)
		tick(s);
}

static uint64_t timeval_ns(struct timeval t)
{
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_usec * NS_PER_US;
}

/* Time this process was ready to run and had no CPU; 0 where the kernel does not tell. */
static uint64_t starved_ns(void)
{
	FILE *in = fopen("/proc/self/schedstat", "re");
	uint64_t ran = 0, waited = 0;

	if (in) {
		if (fscanf(in, "%" SCNu64 " %" SCNu64, &ran, &waited) != 2)
			waited = 0;
		fclose(in);
	}
	return waited;
}

static void window_begins(struct session *s)
{
	s->starved_before_ns = starved_ns();
	getrusage(RUSAGE_SELF, &s->usage);
	s->spin_before_ns = s->record->spun_ns;
}

static void window_ends(struct session *s)
{
	struct record *r = s->record;
	struct rusage now;

	getrusage(RUSAGE_SELF, &now);
	r->starved_ns += starved_ns() - s->starved_before_ns;
	r->user_ns += timeval_ns(now.ru_utime) - timeval_ns(s->usage.ru_utime);
	r->system_ns += timeval_ns(now.ru_stime) - timeval_ns(s->usage.ru_stime);
	r->spin_ns += r->spun_ns - s->spin_before_ns;
	account_inflight(s);
	if (s->edge_ns != UINT64_MAX) /* cut short: the window ends here */
		r->inflight_ns = s->inflight_ns - s->inflight_before_ns;
}

/* --- the run -------------------------------------------------------------------------------- */

void session_init_arrivals(const struct session *s, struct arrival *a, uint64_t seed)
{
	const struct options *o = s->options;

	if (o->arrival == ARRIVAL_TRACE)
		arrival_init_trace(a, s->trace_ns, s->trace_length);
	else
		arrival_init(a, (enum arrival_kind)o->arrival, o->rate_rps, seed);
}

/* This worker's share of the arrivals. */
static void init_share(struct session *s, uint64_t seed)
{
	session_init_arrivals(s, &s->arrival, seed);
	arrival_share(&s->arrival, s->worker, (unsigned int)s->options->workers);
}

static void begin_arrivals(struct session *s)
{
	if (!s->open_loop)
		return;
	s->due_ns = arrival_next(&s->arrival);
	if (s->due_ns != ARRIVAL_NEVER)
		s->due_ns += s->start_ns;
}

/* Let every connection do what it is there for. */
static void set_going(struct session *s)
{
	for (uint32_t i = 0; i < s->conn_count; i++) {
		struct conn *c = &s->conns[i];

		if (c->state == CONN_CLOSED)
			queue_opening(s, c);
		else if (c->state == CONN_READY && c->population != POPULATION_IDLE)
			resume(s, c);
	}
}

static void set_connect_gap(struct session *s)
{
	const struct options *o = s->options;

	s->connect_gap_ns = o->connect_rate_rps > 0
				    ? (uint64_t)(1e9 / o->connect_rate_rps * (double)o->workers)
				    : 0;
}

static void start_load(struct session *s)
{
	const struct options *o = s->options;

	s->running = true;
	s->from_ns = s->start_ns + (uint64_t)o->warmup_ns;
	s->window_ns = (uint64_t)o->duration_ns;
	s->send_until_ns = s->from_ns + s->window_ns;
	account_inflight(s);
	s->edge_ns = s->from_ns;
	set_connect_gap(s);
	s->open_at_ns = s->now_ns;
	s->scan_ns = s->now_ns;
	begin_arrivals(s);
	set_going(s);
	if (s->taker)
		taker_start(s->taker, s);
}

static bool server_is_gone(const struct session *s)
{
	return s->lost_since_ns && s->now_ns - s->lost_since_ns > GONE_NS &&
	       s->record->tallies[POPULATION_ACTIVE].up == 0;
}

static bool stopped(const struct session *s)
{
	return shared_load(&s->control->stop);
}

/* The requests of the window that are still on this connection. */
static void count_unanswered(struct session *s, struct conn *c)
{
	for (uint32_t n = c->answered; c->state == CONN_READY && n != c->asked; n++) {
		const struct stamp *stamp = stamp_of(s, c, n);

		if (in_window(s, stamp->intended_ns)) {
			tally_of(s, c)->unanswered++;
			record_unanswered(s, c);
		}
	}
}

/* The arrivals of the window before end_ns that were never sent. */
static void count_unsent(struct session *s, uint64_t end_ns)
{
	struct record *r = s->record;
	uint64_t unsent, estimated;

	if (!s->open_loop || s->due_ns >= end_ns)
		return;
	unsent = in_window(s, s->due_ns) + arrival_count(&s->arrival, s->from_ns - s->start_ns,
							 end_ns - s->start_ns, SETTLE_DRAWS,
							 &estimated);
	r->tallies[POPULATION_ACTIVE].unsent += unsent;
	r->tallies[POPULATION_ACTIVE].unsent_estimated += estimated;
	hist_record_infinite(&r->response, unsent);
	hist_record_infinite(&r->lag, unsent);
}

/* How evenly the connections were served. */
static void sum_served(struct session *s)
{
	struct record *r = s->record;

	for (uint32_t i = 0; i < s->conn_count; i++) {
		const struct conn *c = &s->conns[i];

		if (c->population == POPULATION_ACTIVE) {
			r->served += c->served;
			r->served_squares += (uint64_t)c->served * c->served;
			r->servants++;
		}
	}
}

/* Count what the end of the run left undone. */
static void settle(struct session *s)
{
	for (uint32_t i = 0; i < s->conn_count; i++)
		count_unanswered(s, &s->conns[i]);
	count_unsent(s, earlier(s->send_until_ns, s->record->ended_ns));
	sum_served(s);
}

static uint64_t undrained(const struct session *s)
{
	uint64_t n = 0;

	for (int i = 0; i < POPULATIONS; i++)
		n += s->outstanding[i];
	return n;
}

static void load(struct session *s)
{
	uint64_t until;
	bool measuring = false;

	start_load(s);
	while (s->now_ns < s->send_until_ns && !stopped(s) && !server_is_gone(s)) {
		if (!measuring && s->now_ns >= s->from_ns) {
			window_begins(s);
			measuring = true;
		}
		if (__builtin_expect(s->now_ns >= s->next_edge_ns, 0))
			taker_edge(s->taker, s);
		turn(s);
	}
	if (s->taker)
		taker_end(s->taker, s);
	/* What was due before the end, and would have been sent had the client not been late. */
	if (s->open_loop && !stopped(s))
		send_due(s);
	if (measuring)
		window_ends(s);
	s->record->ended_ns = s->now_ns;
	s->running = false;
	s->send_until_ns = 0;
	until = s->now_ns + (uint64_t)s->options->drain_ns;
	while (undrained(s) && s->now_ns < until && !stopped(s))
		turn(s);
	s->send_until_ns = s->from_ns + s->window_ns;
	settle(s);
}

/* --- a run in slices ------------------------------------------------------------------------ */

void session_turn(struct session *s)
{
	turn(s);
}

bool session_is_over(const struct session *s)
{
	return stopped(s) || server_is_gone(s);
}

bool session_is_deserted(const struct session *s)
{
	return s->lost_since_ns && s->record->tallies[POPULATION_ACTIVE].up == 0;
}

/* Slow connections rested with a request on them: move its times to the other end of the rest. */
static void wake_slow(struct session *s)
{
	uint64_t rest_ns = s->now_ns - s->rest_since_ns;

	for (uint32_t i = 0; i < s->conn_count; i++) {
		struct conn *c = &s->conns[i];

		if (conn_is_slow(c) && conn_outstanding(c)) {
			struct stamp *stamp = stamp_of(s, c, c->answered);

			stamp->intended_ns += rest_ns;
			stamp->sent_ns += rest_ns;
			c->moved_ns += rest_ns;
		}
	}
}

void session_begin_turn(struct session *s, uint64_t begin_ns, uint32_t number)
{
	s->now_ns = clock_now_ns();
	wake_slow(s);
	s->running = true;
	s->start_ns = begin_ns;
	s->window_ns = 0; /* nothing is in it */
	s->send_until_ns = UINT64_MAX;
	s->open_at_ns = s->tick_ns = s->scan_ns = s->free_since_ns = s->now_ns;
	set_connect_gap(s);
	account_inflight(s);
	if (s->open_loop)
		init_share(s, random_seed(s->seed, number + UINT64_C(1)));
	begin_arrivals(s);
	set_going(s);
}

/* The time of an edge: after every time that any request has been stamped with. */
static void step_clock(struct session *s)
{
	uint64_t now_ns = clock_now_ns();

	s->now_ns = now_ns > s->now_ns ? now_ns : s->now_ns + 1;
	account_inflight(s);
}

void session_open_window(struct session *s)
{
	step_clock(s);
	s->from_ns = s->now_ns;
	s->window_ns = UINT64_MAX / 2;
	s->inflight_before_ns = s->inflight_ns;
	window_begins(s);
}

void session_close_window(struct session *s)
{
	step_clock(s);
	s->send_until_ns = s->now_ns;
	if (s->window_ns) {
		s->window_ns = s->now_ns - s->from_ns;
		s->record->window_ns += s->window_ns;
		s->record->inflight_ns += s->inflight_ns - s->inflight_before_ns;
		window_ends(s);
	}
	/* What was due before, and would have been sent had the client not been late. */
	if (s->open_loop && !stopped(s))
		send_due(s);
	s->record->ended_ns = s->now_ns;
	s->running = false;
}

/* Something other than a slow connection is waiting for the server. */
static bool is_draining(const struct session *s)
{
	return s->connecting || s->outstanding[POPULATION_ACTIVE] ||
	       s->outstanding[POPULATION_IDLE] || s->outstanding[POPULATION_SHORT_LIVED];
}

/* Give up what the drain has left. Slow connections keep what they have. */
static void abandon(struct session *s)
{
	for (uint32_t i = 0; i < s->conn_count; i++) {
		struct conn *c = &s->conns[i];

		if (conn_is_slow(c) || stopped(s))
			count_unanswered(s, c);
		else if (c->state == CONN_CONNECTING)
			session_unconnected(s, c, ETIMEDOUT);
		else if (conn_outstanding(c))
			lose(s, c, FAILURE_TIMEOUT);
	}
}

void session_end_turn(struct session *s)
{
	uint64_t until_ns = s->now_ns + (uint64_t)s->options->timeout_ns;
	uint64_t end_ns = s->send_until_ns;
	bool slow =
		s->outstanding[POPULATION_SLOW_READERS] || s->outstanding[POPULATION_SLOW_WRITERS];

	while (s->opening.length)
		s->conns[ring_pop(&s->opening)].in_open = false;
	s->send_until_ns = 0;
	s->next_edge_ns = UINT64_MAX;
	while (is_draining(s) && s->now_ns < until_ns && !stopped(s))
		turn(s);
	if (is_draining(s) || slow)
		abandon(s);
	if (s->window_ns)
		count_unsent(s, end_ns);
	s->rest_since_ns = s->now_ns;
}

/* How many connections this worker has, and which numbers they have over all workers. */
static void count_connections(struct session *s, const struct session_setup *setup)
{
	const struct options *o = setup->options;
	const int64_t sizes[POPULATIONS] = {
		[POPULATION_ACTIVE] = o->connections,
		[POPULATION_IDLE] = o->idle,
		[POPULATION_SILENT] = o->silent,
		[POPULATION_SLOW_READERS] = o->slow_readers,
		[POPULATION_SLOW_WRITERS] = o->slow_writers,
		[POPULATION_SHORT_LIVED] = o->short_lived,
	};
	unsigned int workers = (unsigned int)o->workers;

	for (int p = 0; p < POPULATIONS; p++) {
		uint32_t share = session_share(sizes[p], setup->worker, workers);

		s->record->tallies[p].connections = share;
		s->conn_count += share;
		for (unsigned int w = 0; w < setup->worker; w++)
			s->first_id += session_share(sizes[p], w, workers);
	}
}

static bool allocate(struct session *s)
{
	size_t bytes = (s->conn_count + 1) * sizeof(*s->conns);

	s->conns = aligned_alloc(64, bytes);
	if (!s->conns)
		return false;
	memset(s->conns, 0, bytes);
	if (s->pipeline > 1) {
		s->stamps = calloc((size_t)s->conn_count * s->pipeline, sizeof(*s->stamps));
		if (!s->stamps)
			return false;
	}
	s->buffer = malloc(SESSION_BUFFER);
	s->scratch = malloc(SESSION_BUFFER);
	return s->buffer && s->scratch && ring_init(&s->free, s->conn_count + 1) &&
	       ring_init(&s->opening, s->conn_count + 1);
}

static void place_connections(struct session *s)
{
	struct conn *c = s->conns;

	for (int p = 0; p < POPULATIONS; p++) {
		for (uint64_t n = s->record->tallies[p].connections; n; n--, c++) {
			c->fd = -1;
			c->population = (uint8_t)p;
			if (p != POPULATION_SHORT_LIVED) {
				queue_opening(s, c);
				s->pending++;
			}
		}
	}
}

/* NULL, or why the worker cannot start; then record->exit_status is set. */
static const char *set_up(struct session *s, const struct session_setup *setup)
{
	const struct options *o = setup->options;

	count_connections(s, setup);
	s->record->exit_status = EXIT_FAILURE;
	if (!allocate(s) || !client_init(&s->client, setup->target, (size_t)o->size_bytes,
					 s->pipeline, o->verify == VERIFY_FULL, s->seed))
		return "out of memory; fewer connections or a smaller pipeline";
	if (setup->turns) {
		s->taker = taker_create(setup->turns, setup->turn_target, setup->worker,
					setup->server_cpu);
		if (!s->taker)
			return "out of memory; fewer targets";
	}
	place_connections(s);
	if (s->open_loop)
		init_share(s, s->seed);
	s->record->exit_status = EXIT_UNSUPPORTED;
	return s->engine->open(s);
}

static void clean_up(struct session *s)
{
	for (uint32_t i = 0; s->conns && i < s->conn_count; i++) {
		if (s->conns[i].state != CONN_CLOSED)
			s->engine->drop(s, &s->conns[i]);
	}
	if (s->engine_data)
		s->engine->close(s);
	client_free(&s->client);
	taker_free(s->taker);
	free(s->conns);
	free(s->stamps);
	free(s->buffer);
	free(s->scratch);
	free(s->free.items);
	free(s->opening.items);
}

/* Show the parent that this worker is alive. */
static void beat(struct session *s)
{
	shared_store(&s->record->beats, s->record->beats + 1);
}

/* Open the connections; false when the server is not there at all. */
static bool connect_all(struct session *s)
{
	uint64_t opened = 0, since_ns;

	s->now_ns = clock_now_ns();
	s->open_at_ns = s->now_ns;
	since_ns = s->now_ns;
	while (s->pending && !stopped(s) && !*s->record->message) {
		uint32_t pending = s->pending;

		turn(s);
		beat(s);
		if (s->pending != pending)
			since_ns = s->now_ns;
		else if (s->options->prime &&
			 s->now_ns - since_ns > (uint64_t)s->options->timeout_ns)
			break; /* the server has stopped answering; the window will show it */
	}
	for (int p = 0; p < POPULATIONS; p++)
		opened += s->record->tallies[p].opened;
	/*
	 * Who was there and closed again, or answered wrongly, is to be judged, not to be called
	 * absent.
	 */
	if (!opened && !*s->record->message && !stopped(s) && s->conn_count &&
	    s->record->tallies[POPULATION_SHORT_LIVED].connections != s->conn_count)
		snprintf(s->record->message, sizeof(s->record->message),
			 "connect to %s: no connection could be opened", s->url);
	return !*s->record->message;
}

/* The requests that open idle connections are over before another target has the turn. */
static void await_idle(struct session *s)
{
	uint64_t until_ns = s->now_ns + (uint64_t)s->options->timeout_ns;

	while (s->outstanding[POPULATION_IDLE] && s->now_ns < until_ns && !stopped(s)) {
		turn(s);
		beat(s);
	}
}

/* Wait for the start signal, and load. */
static void load_at_once(struct session *s)
{
	while (!s->start_ns && !stopped(s)) {
		s->tick_ns = s->now_ns + SETUP_WAIT_NS;
		turn(s);
		s->start_ns = __atomic_load_n(&s->control->start_ns, __ATOMIC_ACQUIRE);
	}
	while (s->now_ns < s->start_ns && !stopped(s)) {
		s->tick_ns = s->start_ns;
		turn(s);
	}
	shared_store(&s->record->phase, WORKER_RUNNING);
	if (!stopped(s))
		load(s);
}

static void take_turns(struct session *s)
{
	s->rest_since_ns = s->now_ns;
	shared_store(&s->record->phase, WORKER_RUNNING);
	taker_run(s->taker, s);
	sum_served(s);
}

void session_run(const struct session_setup *setup)
{
	const struct options *o = setup->options;
	struct session s = {
		.options = o,
		.engine = engine_find(o->engine),
		.control = setup->control,
		.record = setup->record,
		.server = setup->server,
		.sources = setup->sources,
		.source_count = setup->source_count,
		.url = setup->url,
		.seed = setup->seed,
		.worker = setup->worker,
		.trace_ns = setup->trace_ns,
		.trace_length = setup->trace_length,
		.next_edge_ns = UINT64_MAX,
		.pipeline = (uint32_t)o->pipeline,
		.pace_ns = PACE_FIRST_NS,
		.edge_ns = UINT64_MAX,
		.open_loop = o->rate_rps > 0 || o->arrival == ARRIVAL_TRACE,
	};
	double rate = o->connect_rate_rps > 0 ? o->connect_rate_rps : SETUP_RATE_RPS;
	const char *reason = set_up(&s, setup);

	s.connect_gap_ns = (uint64_t)(1e9 / rate * (double)o->workers);
	if (s.taker && !reason)
		taker_await_connect(s.taker, s.record);
	if (reason) {
		snprintf(setup->record->message, sizeof(setup->record->message), "%s", reason);
	} else if (!connect_all(&s)) {
		setup->record->exit_status = EXIT_FAILURE;
	} else {
		if (s.taker)
			await_idle(&s);
		shared_store(&setup->record->phase, WORKER_READY);
		if (s.taker && o->arrangement == ARRANGEMENT_TURNS)
			take_turns(&s);
		else
			load_at_once(&s);
	}
	clean_up(&s);
	shared_store(&setup->record->phase, *setup->record->message ? WORKER_FAILED : WORKER_DONE);
}
