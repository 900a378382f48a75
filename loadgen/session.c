// SPDX-License-Identifier: MIT
#include "loadgen/session.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/die.h"
#include "loadgen/edge.h"
#include "loadgen/random.h"
#include "loadgen/session_state.h"
#include "loadgen/turns.h"

#define TICK_NS        (10 * NS_PER_MS) /* housekeeping */
#define SLOW_NS        (50 * NS_PER_MS) /* slow readers and writers move bytes so often */
#define SETUP_WAIT_NS  NS_PER_MS        /* how soon the start signal is noticed */
#define GONE_NS        NS_PER_S         /* refused for so long with nothing up: server gone */
#define SETUP_RATE_RPS 20e3
#define SPIN_MOST_NS   (5 * NS_PER_US) /* a spin that takes longer was not on a CPU all the time */
#define ABSENT_NS      (100 * NS_PER_MS) /* housekeeping this late: the worker was not there */

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint32_t session_share(int64_t connections, unsigned int worker, unsigned int workers)
{
	return (uint32_t)(connections / workers + (worker < connections % workers));
}

/*
 * No batch of events takes a tenth of a second. Who is so late, with its housekeeping or to begin
 * with, was stopped, or had no CPU; the kernel counts the latter as starved, the former nowhere.
 */
static void note_absence(struct session *s, uint64_t due_ns)
{
	uint64_t until_ns = earlier(s->now_ns, window_end(&s->window));

	if (s->now_ns < due_ns + ABSENT_NS)
		return;
	if (due_ns < s->window.from_ns)
		due_ns = s->window.from_ns;
	if (until_ns > due_ns)
		s->record->absent_ns += until_ns - due_ns;
}

static void tick(struct session *s)
{
	uint64_t scan_gap = (uint64_t)s->options->timeout_ns / 16;

	if (s->running)
		note_absence(s, s->tick_ns);
	s->tick_ns = s->now_ns + TICK_NS;
	if (s->traffic.stamps)
		arrival_clock(s);
	if (s->now_ns >= s->scan_ns) {
		s->scan_ns = s->now_ns + (scan_gap < NS_PER_S ? scan_gap : NS_PER_S);
		for (uint32_t i = 0; i < s->traffic.lane_count; i++)
			lane_check_timeout(s, &s->traffic.lanes[i]);
	}
	if (s->start_ns && s->now_ns >= s->slow_ns) {
		s->slow_ns = s->now_ns + SLOW_NS;
		slow_turns(s, SLOW_NS);
	}
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
	if (s->running && !s->open_loop && !s->opening.queue.length &&
	    s->now_ns + TICK_NS < s->next_edge_ns)
		return TICK_NS;
	if (lanes_may_open(s))
		until = earlier(until, s->opening.at_ns);
	if (s->running)
		until = earlier(until, s->send_until_ns);
	if (s->running && s->open_loop && s->free.length && s->due_ns < s->send_until_ns) {
		if (s->due_ns <= s->now_ns)
			return 0;
		until = earlier(until, pace_until(&s->pace, s->due_ns, s->now_ns, pacing));
	}
	return until > s->now_ns ? until - s->now_ns : 0;
}

/* One turn of the loop. */
static void turn(struct session *s)
{
	uint64_t before_ns = s->now_ns, timeout_ns;
	bool pacing, nothing, idle = s->idle;

	if (s->running && s->open_loop)
		requests_send(s);
	idle &= s->now_ns == before_ns;
	before_ns = s->now_ns;
	timeout_ns = wait_time(s, &pacing);
	s->engine->wait(&s->traffic, timeout_ns);
	nothing = s->now_ns == before_ns;
	if (nothing) {
		s->now_ns = clock_now_ns();
		/* Work done since before_ns was read is not spinning; then this turn does not
		 * count. */
		if (pacing && idle)
			s->record->spun_ns += earlier(s->now_ns - before_ns, SPIN_MOST_NS);
		if (timeout_ns && s->now_ns - before_ns > timeout_ns)
			pace_learn(&s->pace, s->now_ns - before_ns - timeout_ns);
	}
	s->idle = nothing && s->now_ns < s->tick_ns && !s->opening.queue.length;
	lanes_open(s);
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

static void usage_begins(struct session *s)
{
	s->starved_before_ns = starved_ns();
	getrusage(RUSAGE_SELF, &s->usage);
	s->spin_before_ns = s->record->spun_ns;
}

static void usage_ends(struct session *s)
{
	struct record *r = s->record;
	struct rusage now;

	getrusage(RUSAGE_SELF, &now);
	r->starved_ns += starved_ns() - s->starved_before_ns;
	r->user_ns += timeval_ns(now.ru_utime) - timeval_ns(s->usage.ru_utime);
	r->system_ns += timeval_ns(now.ru_stime) - timeval_ns(s->usage.ru_stime);
	r->spin_ns += r->spun_ns - s->spin_before_ns;
	account_inflight(s);
	r->inflight_ns += window_inflight(&s->window);
}

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
	for (uint32_t i = 0; i < s->traffic.lane_count; i++) {
		struct lane *c = &s->traffic.lanes[i];

		if (c->state == LANE_CLOSED)
			lane_queue(s, c);
		else if (c->state == LANE_READY && c->population != POPULATION_IDLE)
			request_resume(s, c);
	}
}

/* The time of an edge: after every time that any request has been stamped with. */
static void step_clock(struct session *s)
{
	uint64_t now_ns = clock_now_ns();

	s->now_ns = now_ns > s->now_ns ? now_ns : s->now_ns + 1;
	account_inflight(s);
}

static void plan_window(struct session *s, uint64_t from_ns)
{
	window_plan(&s->window, from_ns, (uint64_t)s->options->duration_ns);
	s->send_until_ns = window_end(&s->window);
}

/* --warmup-passes: nobody knows yet when the window will begin. */
static void await_window(struct session *s)
{
	s->seeking = true;
	s->window.from_ns = s->send_until_ns = UINT64_MAX;
}

/* Has every active connection had its passes, answered or not? Each is looked at until it has. */
static bool had_passes(struct session *s)
{
	uint32_t passes = (uint32_t)s->options->warmup_passes + s->options->prime;

	for (; s->had_passes < s->traffic.lane_count; s->had_passes++) {
		const struct lane *c = &s->traffic.lanes[s->had_passes];

		if (c->population == POPULATION_ACTIVE && c->answered < passes)
			return false;
	}
	return true;
}

/* Tell the parent that the passes are over, and hear from it when the window begins. */
static void seek_window(struct session *s)
{
	uint64_t from_ns = __atomic_load_n(&s->control->window_ns, __ATOMIC_ACQUIRE), end_ns;

	if (!from_ns) {
		if (!shared_load(&s->record->warm) && had_passes(s))
			shared_store(&s->record->warm, 1);
		return;
	}
	s->seeking = false;
	step_clock(s);
	plan_window(s, from_ns);
	end_ns = window_end(&s->window);
	if (s->now_ns <= from_ns)
		return;
	/* Without a CPU it hears too late, and has no part in what has passed. */
	from_ns = earlier(s->now_ns, end_ns);
	s->record->absent_ns += from_ns - s->window.from_ns;
	s->window.from_ns = from_ns;
	s->window.length_ns = end_ns - from_ns;
	s->window.edge_ns = s->window.length_ns ? from_ns : UINT64_MAX;
}

static void start_load(struct session *s)
{
	const struct options *o = s->options;

	s->running = true;
	account_inflight(s);
	if (o->warmup_passes)
		await_window(s);
	else
		plan_window(s, s->start_ns + (uint64_t)o->warmup_ns);
	note_absence(s, s->start_ns);
	opening_set_rate(&s->opening, s->options->connect_rate_rps,
			 (unsigned int)s->options->workers);
	s->opening.at_ns = s->now_ns;
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

/* How evenly the connections were served. */
static void sum_served(struct session *s)
{
	struct record *r = s->record;

	for (uint32_t i = 0; i < s->traffic.lane_count; i++) {
		const struct lane *c = &s->traffic.lanes[i];

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
	for (uint32_t i = 0; i < s->traffic.lane_count; i++)
		requests_unanswered(s, &s->traffic.lanes[i]);
	requests_unsent(s, earlier(s->send_until_ns, s->record->ended_ns));
	sum_served(s);
}

static uint64_t undrained(const struct session *s)
{
	uint64_t n = 0;

	for (int i = 0; i < POPULATIONS; i++)
		n += s->outstanding[i];
	return n;
}

/*
 * In the drain, where connections are for a few requests each: one that is answered leaves, though
 * it might have asked for more. A server that has no room for all comes to those that wait.
 */
static void leave_room(struct session *s)
{
	for (uint32_t i = 0; i < s->traffic.lane_count; i++) {
		struct lane *c = &s->traffic.lanes[i];

		if (c->population == POPULATION_ACTIVE && c->state == LANE_READY &&
		    !lane_outstanding(c))
			lane_renew(s, c); /* not queued: it is over */
	}
}

static struct reading take_edge(const struct session *s)
{
	return edge_take(s->record, (uint32_t)s->options->workers, &s->server);
}

static void load(struct session *s)
{
	uint64_t until;
	bool measuring = false;

	start_load(s);
	while (s->now_ns < s->send_until_ns && !stopped(s) && !server_is_gone(s)) {
		if (__builtin_expect(s->seeking, 0))
			seek_window(s);
		if (!measuring && s->now_ns >= s->window.from_ns) {
			usage_begins(s);
			if (s->server.kind != SERVER_CPU_NONE)
				s->record->from = take_edge(s);
			measuring = true;
		}
		if (__builtin_expect(s->now_ns >= s->next_edge_ns, 0))
			taker_edge(s->taker, s);
		turn(s);
	}
	if (s->seeking)
		s->window.from_ns = s->now_ns; /* it never began */
	if (measuring && s->server.kind != SERVER_CPU_NONE)
		s->record->to = take_edge(s);
	if (s->taker)
		taker_end(s->taker, s);
	/* What was due before the end, and would have been sent had the client not been late. */
	if (s->open_loop && !stopped(s))
		requests_send(s);
	if (measuring)
		usage_ends(s);
	s->record->ended_ns = s->now_ns;
	s->running = false;
	s->send_until_ns = 0;
	until = s->now_ns + (uint64_t)s->options->drain_ns;
	while (undrained(s) && s->now_ns < until && !stopped(s)) {
		if (s->options->requests_per_connection)
			leave_room(s);
		turn(s);
	}
	s->send_until_ns = window_end(&s->window);
	settle(s);
}

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

	for (uint32_t i = 0; i < s->traffic.lane_count; i++) {
		struct lane *c = &s->traffic.lanes[i];

		if (lane_is_slow(c) && lane_outstanding(c)) {
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
	s->window.length_ns = 0; /* nothing is in it */
	s->send_until_ns = UINT64_MAX;
	s->opening.at_ns = s->tick_ns = s->scan_ns = s->free_since_ns = s->now_ns;
	opening_set_rate(&s->opening, s->options->connect_rate_rps,
			 (unsigned int)s->options->workers);
	account_inflight(s);
	if (s->open_loop)
		init_share(s, random_seed(s->seed, number + UINT64_C(1)));
	begin_arrivals(s);
	set_going(s);
}

void session_open_window(struct session *s)
{
	step_clock(s);
	window_open(&s->window, s->now_ns);
	usage_begins(s);
}

void session_close_window(struct session *s)
{
	step_clock(s);
	s->send_until_ns = s->now_ns;
	if (s->window.length_ns) {
		window_close(&s->window, s->now_ns);
		s->record->window_ns += s->window.length_ns;
		usage_ends(s);
	}
	/* What was due before, and would have been sent had the client not been late. */
	if (s->open_loop && !stopped(s))
		requests_send(s);
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
	for (uint32_t i = 0; i < s->traffic.lane_count; i++) {
		struct lane *c = &s->traffic.lanes[i];

		if (lane_is_slow(c) || stopped(s))
			requests_unanswered(s, c);
		else if (c->state == LANE_CONNECTING)
			traffic_unconnected(&s->traffic, c, ETIMEDOUT);
		else if (lane_outstanding(c))
			lane_lose(s, c, FAILURE_TIMEOUT);
	}
}

void session_end_turn(struct session *s)
{
	uint64_t until_ns = s->now_ns + (uint64_t)s->options->timeout_ns;
	uint64_t end_ns = s->send_until_ns;
	bool slow =
		s->outstanding[POPULATION_SLOW_READERS] || s->outstanding[POPULATION_SLOW_WRITERS];

	while (s->opening.queue.length)
		s->traffic.lanes[ring_pop(&s->opening.queue)].in_open = false;
	s->send_until_ns = 0;
	s->next_edge_ns = UINT64_MAX;
	while (is_draining(s) && s->now_ns < until_ns && !stopped(s))
		turn(s);
	if (is_draining(s) || slow)
		abandon(s);
	if (s->window.length_ns)
		requests_unsent(s, end_ns);
	s->rest_since_ns = s->now_ns;
}

/* How many connections this worker has, and which numbers they have over all workers. */
static void count_connections(struct session *s, const struct session_setup *setup)
{
	const struct options *o = setup->options;
	unsigned int workers = (unsigned int)o->workers;

	for (int p = 0; p < POPULATIONS; p++) {
		int64_t size = options_population(o, (enum population)p);
		uint32_t share = session_share(size, setup->worker, workers);

		s->record->tallies[p].connections = share;
		s->traffic.lane_count += share;
		for (unsigned int w = 0; w < setup->worker; w++)
			s->first_id += session_share(size, w, workers);
	}
}

static bool allocate(struct session *s)
{
	size_t bytes = (s->traffic.lane_count + 1) * sizeof(*s->traffic.lanes);

	s->traffic.lanes = aligned_alloc(64, bytes);
	if (!s->traffic.lanes)
		return false;
	memset(s->traffic.lanes, 0, bytes);
	if (s->pipeline > 1) {
		s->stamps = calloc((size_t)s->traffic.lane_count * s->pipeline, sizeof(*s->stamps));
		if (!s->stamps)
			return false;
	}
	if (s->way) {
		s->departed = calloc(s->traffic.lane_count + 1, sizeof(*s->departed));
		if (!s->departed)
			return false;
	}
	s->traffic.buffer = malloc(TRAFFIC_BUFFER);
	s->traffic.scratch = malloc(TRAFFIC_BUFFER);
	return s->traffic.buffer && s->traffic.scratch &&
	       ring_init(&s->free, s->traffic.lane_count + 1) &&
	       ring_init(&s->opening.queue, s->traffic.lane_count + 1);
}

static void place_connections(struct session *s)
{
	struct lane *c = s->traffic.lanes;

	for (int p = 0; p < POPULATIONS; p++) {
		for (uint64_t n = s->record->tallies[p].connections; n; n--, c++) {
			c->fd = -1;
			c->population = (uint8_t)p;
			if (p != POPULATION_SHORT_LIVED) {
				lane_queue(s, c);
				s->pending++;
			}
		}
	}
}

/* NULL, or why the worker cannot start; then record->exit_status is set. */
static const char *set_up(struct session *s, const struct session_setup *setup)
{
	const struct options *o = setup->options;
	char reason[256];
	bool usage;

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
	} else if (setup->worker == 0) {
		/* It was there when the options were checked; if it has gone, the verdict says so. */
		(void)server_cpu_open(&s->server, setup->server_cpu, &usage, reason,
				      sizeof(reason));
	}
	if (s->client.http.ask)
		s->record->class_count = (uint32_t)s->client.http.ask->class_count;
	s->beside = s->traffic.stamps || s->record->class_count;
	place_connections(s);
	s->traffic.room_bytes =
		client_composes(&s->client) ? s->client.request_bytes * s->pipeline : 0;
	if (s->open_loop)
		init_share(s, s->seed);
	if (s->traffic.stamps)
		arrival_clock(s);
	s->record->exit_status = EXIT_UNSUPPORTED;
	return s->engine->open(&s->traffic);
}

static void clean_up(struct session *s)
{
	for (uint32_t i = 0; s->traffic.lanes && i < s->traffic.lane_count; i++) {
		if (s->traffic.lanes[i].state != LANE_CLOSED)
			s->engine->drop(&s->traffic, &s->traffic.lanes[i]);
	}
	if (s->traffic.engine_data)
		s->engine->close(&s->traffic);
	client_free(&s->client);
	taker_free(s->taker);
	server_cpu_close(&s->server);
	free(s->traffic.lanes);
	free(s->stamps);
	free(s->departed);
	free(s->traffic.buffer);
	free(s->traffic.scratch);
	free(s->free.items);
	free(s->opening.queue.items);
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
	s->opening.at_ns = s->now_ns;
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
	if (!opened && !*s->record->message && !stopped(s) && s->traffic.lane_count &&
	    s->record->tallies[POPULATION_SHORT_LIVED].connections != s->traffic.lane_count)
		snprintf(s->record->message, sizeof(s->record->message),
			 "connect to %s: no connection could be opened: %s", s->url,
			 s->connect_error ? strerror(s->connect_error) : "no answer");
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

/* Every worker's share, at least one connection; 0: any number. */
static uint32_t ahead_of(const struct options *o)
{
	return (uint32_t)((o->connect_ahead + o->workers - 1) / o->workers);
}

void session_run(const struct session_setup *setup)
{
	const struct options *o = setup->options;
	struct session s = {
		.options = o,
		.engine = engine_find(o->engine),
		.control = setup->control,
		.record = setup->record,
		.traffic.server = setup->server,
		.sources = setup->sources,
		.source_count = setup->source_count,
		.url = setup->url,
		.seed = setup->seed,
		.worker = setup->worker,
		.trace_ns = setup->trace_ns,
		.trace_length = setup->trace_length,
		.traffic.stamps = o->stamps == STAMPS_KERNEL,
		.traffic.departures = setup->way != NULL,
		.way = setup->way,
		.next_edge_ns = UINT64_MAX,
		.pipeline = (uint32_t)o->pipeline,
		.ahead = ahead_of(o),
		.window.edge_ns = UINT64_MAX,
		.open_loop = o->rate_rps > 0 || o->arrival == ARRIVAL_TRACE,
	};
	double rate = o->connect_rate_rps > 0 ? o->connect_rate_rps : SETUP_RATE_RPS;
	const char *reason = set_up(&s, setup);

	opening_set_rate(&s.opening, rate, (unsigned int)o->workers);
	pace_init(&s.pace, (enum pace_kind)o->pace);
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
