// SPDX-License-Identifier: MIT
/*
 * A worker's session over an engine that moves no bytes: replies come from the test itself. It
 * stands in for the table in loadgen/engine.c, which is therefore not linked. The clock is the
 * test's, too: it goes on by READING_NS with each reading, and by a wait's time-out if nothing
 * happened, however busy the machine is. tenk-wrap: clock_gettime
 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "loadgen/engine.h"
#include "loadgen/session.h"

enum { CONNECTIONS = 8, READING_NS = 500, LATE_NS = 5000000 };

int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

static uint64_t time_ns = 1000 * NS_PER_S;

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
	(void)clock;
	time_ns += READING_NS;
	now->tv_sec = (time_t)(time_ns / NS_PER_S);
	now->tv_nsec = (long)(time_ns % NS_PER_S);
	return 0;
}

/* What the pretended server does. */
static struct {
	bool refuses;       /* every connect */
	bool refuses_later; /* every connect but the first of each connection */
	uint32_t mute;      /* connections with a lower index are never answered */
	uint64_t wrong_at;  /* this reply, counted from 1, has a wrong byte */
	uint64_t closes_at; /* instead of this reply the server closes */
	uint64_t replies;
	uint64_t no_stamp_each;  /* each so manyth reply has no stamp; 0: none is without */
	uint64_t stamp_ahead_ns; /* the stamps' clock is not the one they are read with */
} server;

static bool waiting[CONNECTIONS];    /* a request has been sent and not been answered */
static bool connecting[CONNECTIONS]; /* connect has been called */
static uint32_t connects[CONNECTIONS];

static uint32_t index_of(const struct traffic *t, const struct lane *c)
{
	return (uint32_t)(c - t->lanes);
}

static const char *fake_open(struct traffic *t)
{
	t->engine_data = &server;
	return NULL;
}

static void fake_close(struct traffic *t)
{
	t->engine_data = NULL;
}

static int fake_connect(struct traffic *t, struct lane *c)
{
	uint32_t i = index_of(t, c);

	if (server.refuses || (server.refuses_later && connects[i]))
		return ECONNREFUSED;
	connects[i]++;
	connecting[i] = true;
	return 0;
}

static void fake_send(struct traffic *t, struct lane *c)
{
	waiting[index_of(t, c)] = true;
}

static void fake_drop(struct traffic *t, struct lane *c)
{
	uint32_t i = index_of(t, c);

	waiting[i] = connecting[i] = false;
	close(c->fd);
}

/* Send what is asked for straight back, or whatever else the server does. */
static void answer(struct traffic *t, struct lane *c)
{
	char request[256];
	size_t length;
	const char *data = traffic_produce(t, c, request, sizeof(request), &length);
	char reply[256];

	memcpy(reply, data, length);
	traffic_sent(t, c, length);
	waiting[index_of(t, c)] = false;
	server.replies++;
	if (server.replies == server.closes_at) {
		traffic_eof(t, c);
		return;
	}
	if (server.replies == server.wrong_at)
		reply[length - 1] ^= 1;
	t->arrived_ns = time_ns + server.stamp_ahead_ns;
	if (server.no_stamp_each && server.replies % server.no_stamp_each == 0)
		t->arrived_ns = 0;
	traffic_received(t, c, reply, length);
}

static void parent(void);

static void fake_wait(struct traffic *t, uint64_t timeout_ns)
{
	bool nothing = true;

	parent();

	for (uint32_t i = 0; i < t->lane_count; i++) {
		struct lane *c = &t->lanes[i];

		if (connecting[i]) {
			connecting[i] = false;
			traffic_connected(t, c);
			nothing = false;
		} else if (waiting[i] && i >= server.mute) {
			answer(t, c);
			nothing = false;
		}
	}
	if (nothing)
		time_ns += timeout_ns;
}

static const struct engine fake = {
	.name = "fake",
	.open = fake_open,
	.close = fake_close,
	.connect = fake_connect,
	.send = fake_send,
	.drop = fake_drop,
	.wait = fake_wait,
};

const struct engine *const engines[] = {&fake, NULL};

const struct engine *engine_find(const char *name)
{
	return strcmp(name, "fake") == 0 ? &fake : NULL;
}

static struct options options;
static struct record record;
static struct tally *active = &record.tallies[POPULATION_ACTIVE];

static const char *server_cpu;
static struct control control;
static uint64_t window_in_ns; /* --warmup-passes: from being warm on */
static int64_t start_in_ns;   /* from the beginning of the set-up on */

/* What the parent does meanwhile: a warm worker is told when the window begins. */
static uint64_t warm_replies;
static uint64_t give_up_at; /* replies after which the parent stops the run; 0: never */

static void parent(void)
{
	if (give_up_at && server.replies >= give_up_at)
		control.stop = 1;
	if (!record.warm || control.window_ns || !options.warmup_passes)
		return;
	warm_replies = server.replies;
	control.window_ns = time_ns + window_in_ns - LATE_NS;
}

static int reset(void **state)
{
	(void)state;
	memset(&server, 0, sizeof(server));
	start_in_ns = 20 * (int64_t)NS_PER_MS;
	server_cpu = NULL;
	window_in_ns = give_up_at = 0;
	memset(&record, 0, sizeof(record));
	memset(waiting, 0, sizeof(waiting));
	memset(connecting, 0, sizeof(connecting));
	memset(connects, 0, sizeof(connects));
	options_defaults(&options);
	options.url = "echo://127.0.0.1:9";
	options.engine = "fake";
	options.connections = CONNECTIONS;
	options.duration_ns = 100 * (int64_t)NS_PER_MS;
	options.warmup_ns = 10 * (int64_t)NS_PER_MS;
	options.drain_ns = 50 * (int64_t)NS_PER_MS;
	options.connect_rate_rps = 1e6;
	return 0;
}

static void run(void)
{
	struct target target;
	struct session_setup setup = {.options = &options,
				      .target = &target,
				      .server.any.sa_family = AF_INET,
				      .url = options.url,
				      .seed = (uint64_t)options.seed,
				      .control = &control,
				      .record = &record,
				      .server_cpu = server_cpu};

	control = (struct control){.start_ns = clock_now_ns() + (uint64_t)start_in_ns};
	assert_null(target_parse(options.url, &target));
	session_run(&setup);
}

static uint64_t all_errors(const uint64_t errors[FAILURES])
{
	uint64_t n = 0;

	for (int i = 0; i < FAILURES; i++)
		n += errors[i];
	return n;
}

/* Every request of the window is in exactly one of the counts, and in every histogram once. */
static void assert_conserved(void)
{
	assert_int_equal(active->sent, active->completed + active->unanswered +
					       all_errors(active->request_errors));
	assert_int_equal(hist_count(&record.response), active->sent + active->unsent);
	assert_int_equal(hist_count(&record.service), active->sent);
	assert_int_equal(hist_count(&record.lag), active->sent + active->unsent);
	assert_int_equal(hist_infinite(&record.response),
			 active->sent + active->unsent - active->completed);
	assert_int_equal(record.phase, WORKER_DONE);
}

static void a_closed_loop_keeps_every_connection_busy(void **state)
{
	(void)state;
	run();
	assert_conserved();
	assert_true(active->completed > 100);
	assert_int_equal(active->completed, active->sent);
	assert_int_equal(active->up, CONNECTIONS);
	assert_int_equal(active->opened, CONNECTIONS);
	assert_int_equal(hist_count(&record.connect), CONNECTIONS);
	assert_int_equal(hist_max(&record.lag), 0);
	/* Eight in flight, but for the instants between a reply and the next request. */
	assert_in_range(record.inflight_ns, 790 * NS_PER_MS, 800 * NS_PER_MS);
	assert_int_equal(record.served, record.replies_in_window);
}

static void the_integral_of_requests_in_flight_is_rate_times_service_time(void **state)
{
	double sum;

	(void)state;
	options.rate_rps = 20e3;
	run();
	assert_conserved();
	sum = hist_mean_finite(&record.service) * (double)active->completed;
	assert_true(sum > 0.95 * (double)record.inflight_ns);
	assert_true(sum < 1.05 * (double)record.inflight_ns + 8 * 1e6);
}

static void a_reply_has_arrived_when_its_stamp_says(void **state)
{
	double apart_ns;

	(void)state;
	options.stamps = STAMPS_KERNEL;
	run();
	assert_conserved();
	assert_int_equal(record.unstamped, 0);
	assert_int_equal(hist_count(&record.arrival), active->completed);
	/* The kernel stamps it, then we read the clock: by one reading earlier. */
	apart_ns = hist_mean_finite(&record.service) - hist_mean_finite(&record.arrival);
	assert_in_range((uint64_t)apart_ns, READING_NS - 10, READING_NS + 10);
}

static void a_reply_without_a_stamp_is_counted_and_has_no_arrival(void **state)
{
	(void)state;
	options.stamps = STAMPS_KERNEL;
	server.no_stamp_each = 4;
	run();
	assert_conserved();
	assert_in_range(record.unstamped, active->completed / 4 - 2, active->completed / 4 + 2);
	assert_int_equal(hist_count(&record.arrival), active->completed - record.unstamped);
}

static void a_stamp_of_another_time_of_day_is_not_believed(void **state)
{
	(void)state;
	options.stamps = STAMPS_KERNEL;
	server.stamp_ahead_ns = NS_PER_S;
	run();
	assert_conserved();
	assert_int_equal(record.unstamped, active->completed);
	assert_int_equal(hist_count(&record.arrival), 0);
}

static void without_stamps_nothing_has_an_arrival(void **state)
{
	(void)state;
	run();
	assert_int_equal(hist_count(&record.arrival) + record.unstamped, 0);
}

static void unanswered_requests_are_infinite(void **state)
{
	(void)state;
	server.mute = 2;
	run();
	assert_conserved();
	/* Their one request each was in the warm-up, so the window knows nothing of them ... */
	assert_int_equal(active->unanswered, 0);
	/* ... but that they were in flight all the time. */
	assert_in_range(record.inflight_ns, 790 * NS_PER_MS, 800 * NS_PER_MS);
	reset(NULL);
	server.mute = 2;
	options.warmup_ns = 0;
	run();
	assert_conserved();
	assert_int_equal(active->unanswered, 2);
	assert_int_equal(hist_infinite(&record.service), 2);
}

static void what_was_never_sent_is_infinite_too(void **state)
{
	(void)state;
	server.mute = CONNECTIONS;
	options.rate_rps = 1000;
	options.arrival = ARRIVAL_FIXED;
	options.warmup_ns = 0;
	run();
	assert_conserved();
	assert_int_equal(active->sent, CONNECTIONS);
	assert_int_equal(active->unanswered, CONNECTIONS);
	assert_int_equal(active->unsent, 100 - CONNECTIONS);
	assert_int_equal(hist_infinite(&record.response), 100);
	assert_true(hist_percentile(&record.response, 1) == HIST_INFINITE);
}

static void more_arrivals_than_can_be_drawn_are_all_counted(void **state)
{
	const double due = 1e8; /* in a window of 100 ms */

	(void)state;
	server.mute = CONNECTIONS;
	options.rate_rps = 1e9;
	options.warmup_ns = 0;
	options.arrival = ARRIVAL_FIXED;
	run();
	assert_conserved();
	assert_int_equal(active->sent + active->unsent, 100000000);
	assert_int_equal(active->unsent_estimated, 0);
	reset(NULL);
	server.mute = CONNECTIONS;
	options.rate_rps = 1e9;
	options.warmup_ns = 0;
	run();
	assert_conserved();
	/* A Poisson number: within five standard deviations. */
	assert_true(fabs((double)(active->sent + active->unsent) - due) < 5 * sqrt(due));
	assert_in_range(active->unsent_estimated, 80000000, 95000000);
}

static void a_worker_that_begins_late_was_absent_from_the_window(void **state)
{
	(void)state;
	options.warmup_ns = 0;
	options.duration_ns = (int64_t)NS_PER_S;
	start_in_ns = -500 * (int64_t)NS_PER_MS;
	run();
	assert_conserved();
	assert_in_range(record.absent_ns, 500 * NS_PER_MS, NS_PER_S);
	reset(NULL);
	options.warmup_ns = (int64_t)NS_PER_S; /* then it is late for the warm-up only */
	start_in_ns = -500 * (int64_t)NS_PER_MS;
	options.duration_ns = 10 * (int64_t)NS_PER_MS;
	run();
	assert_in_range(record.absent_ns, 0, options.duration_ns);
}

static void a_timed_out_connection_is_opened_anew(void **state)
{
	(void)state;
	server.mute = 1;
	options.warmup_ns = 0;
	options.timeout_ns = 20 * (int64_t)NS_PER_MS;
	run();
	assert_conserved();
	assert_in_range(active->request_errors[FAILURE_TIMEOUT], 1, 5);
	/* Each time but the last: what times out in the drain is not opened anew. */
	assert_in_range(active->opened, CONNECTIONS + active->request_errors[FAILURE_TIMEOUT] - 1,
			CONNECTIONS + active->request_errors[FAILURE_TIMEOUT]);
}

static void a_wrong_byte_is_noticed_and_explained(void **state)
{
	(void)state;
	server.wrong_at = 50;
	options.warmup_ns = 0;
	run();
	assert_conserved();
	assert_int_equal(record.wrong, 1);
	assert_int_equal(active->request_errors[FAILURE_MISMATCH], 1);
	assert_non_null(strstr(record.mismatch, "byte 63 of 64"));
	assert_int_equal(active->opened, CONNECTIONS + 1);
}

static void a_close_is_counted_with_its_request(void **state)
{
	(void)state;
	server.closes_at = 50;
	options.warmup_ns = 0;
	run();
	assert_conserved();
	assert_int_equal(active->request_errors[FAILURE_CLOSED], 1);
	assert_int_equal(all_errors(active->connection_errors), 0);
	assert_int_equal(active->up, CONNECTIONS);
}

static void short_connections_are_renewed_after_their_quota(void **state)
{
	(void)state;
	options.requests_per_connection = 3;
	options.warmup_ns = 0;
	run();
	assert_conserved();
	assert_int_equal(all_errors(active->request_errors), 0);
	assert_true(active->opened >= active->completed / 3);
	assert_true(active->opened <= active->completed / 3 + 2 * CONNECTIONS);
}

static void an_absent_server_fails_the_worker(void **state)
{
	(void)state;
	server.refuses = true;
	run();
	assert_int_equal(record.phase, WORKER_FAILED);
	assert_int_equal(record.exit_status, EXIT_FAILURE);
	assert_non_null(strstr(record.message, "Connection refused"));
}

static void a_server_that_goes_ends_the_run_early(void **state)
{
	uint64_t begun = clock_now_ns();

	(void)state;
	server.refuses_later = true;
	options.timeout_ns = 50 * (int64_t)NS_PER_MS;
	options.duration_ns = 60 * (int64_t)NS_PER_S;
	server.mute = CONNECTIONS;
	run();
	assert_true(clock_now_ns() - begun < 20 * NS_PER_S);
	assert_conserved();
	assert_true(record.gone > 0);
	assert_int_equal(active->up, 0);
}

static void a_window_begins_when_every_connection_has_had_its_passes(void **state)
{
	(void)state;
	options.warmup_passes = 7;
	window_in_ns = 30 * NS_PER_MS + LATE_NS;
	run();
	assert_conserved();
	/* Each turn answers each connection once. */
	assert_in_range(warm_replies, 7 * CONNECTIONS, 9 * CONNECTIONS);
	assert_true(active->completed > 100);
	assert_int_equal(record.absent_ns, 0);
	assert_in_range(record.inflight_ns, 790 * NS_PER_MS, 800 * NS_PER_MS);
	assert_in_range(record.ended_ns - control.window_ns, 100 * NS_PER_MS, 101 * NS_PER_MS);
}

static void who_hears_late_of_the_window_was_absent_from_its_beginning(void **state)
{
	(void)state;
	options.warmup_passes = 1;
	run();
	assert_conserved();
	assert_in_range(record.absent_ns, LATE_NS, LATE_NS + NS_PER_MS);
	assert_in_range(record.inflight_ns, 750 * NS_PER_MS, 761 * NS_PER_MS);
	assert_in_range(record.ended_ns - control.window_ns, 100 * NS_PER_MS, 101 * NS_PER_MS);
}

static void a_window_that_is_over_before_it_is_heard_of_has_nothing_in_it(void **state)
{
	(void)state;
	options.warmup_passes = 1;
	options.duration_ns = LATE_NS / 2;
	run();
	assert_conserved();
	assert_int_equal(active->sent, 0);
	assert_int_equal(record.absent_ns, LATE_NS / 2);
}

static void a_connection_that_is_never_answered_keeps_a_worker_from_being_warm(void **state)
{
	(void)state;
	options.warmup_passes = 1;
	options.timeout_ns = 60 * (int64_t)NS_PER_S;
	server.mute = 1;
	give_up_at = 5000;
	run();
	assert_int_equal(record.warm, 0);
	assert_int_equal(active->sent, 0);
	assert_conserved();
}

static void the_edges_of_the_window_have_its_replies_and_the_server_s_clock(void **state)
{
	char self[32];
	uint64_t replies;

	(void)state;
	run();
	assert_int_equal(record.to.at_ns, 0);
	reset(NULL);
	snprintf(self, sizeof(self), "pid:%d", (int)getpid());
	server_cpu = self;
	run();
	assert_conserved();
	replies = record.to.replies - record.from.replies;
	/* Edges are taken between two turns, each of which brings a reply to each connection. */
	assert_in_range(replies + CONNECTIONS - record.replies_in_window, 0, 2 * CONNECTIONS);
	assert_in_range(record.to.at_ns - record.from.at_ns, 99 * NS_PER_MS, 101 * NS_PER_MS);
	/* The test's clock is read for the server's, too. */
	assert_true(record.from.server.known && record.to.server.known);
	assert_in_range(record.to.server.total_ns - record.from.server.total_ns, 99 * NS_PER_MS,
			101 * NS_PER_MS);
}

static void only_their_own_share_of_connections_is_opened(void **state)
{
	uint32_t sum = 0;

	(void)state;
	for (unsigned int w = 0; w < 7; w++)
		sum += session_share(60000, w, 7);
	assert_int_equal(sum, 60000);
	assert_int_equal(session_share(3, 0, 4) + session_share(3, 3, 4), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_closed_loop_keeps_every_connection_busy, reset),
		cmocka_unit_test_setup(
			the_integral_of_requests_in_flight_is_rate_times_service_time, reset),
		cmocka_unit_test_setup(a_reply_has_arrived_when_its_stamp_says, reset),
		cmocka_unit_test_setup(a_reply_without_a_stamp_is_counted_and_has_no_arrival,
				       reset),
		cmocka_unit_test_setup(a_stamp_of_another_time_of_day_is_not_believed, reset),
		cmocka_unit_test_setup(without_stamps_nothing_has_an_arrival, reset),
		cmocka_unit_test_setup(unanswered_requests_are_infinite, reset),
		cmocka_unit_test_setup(what_was_never_sent_is_infinite_too, reset),
		cmocka_unit_test_setup(more_arrivals_than_can_be_drawn_are_all_counted, reset),
		cmocka_unit_test_setup(a_worker_that_begins_late_was_absent_from_the_window, reset),
		cmocka_unit_test_setup(a_timed_out_connection_is_opened_anew, reset),
		cmocka_unit_test_setup(a_wrong_byte_is_noticed_and_explained, reset),
		cmocka_unit_test_setup(a_close_is_counted_with_its_request, reset),
		cmocka_unit_test_setup(short_connections_are_renewed_after_their_quota, reset),
		cmocka_unit_test_setup(an_absent_server_fails_the_worker, reset),
		cmocka_unit_test_setup(a_server_that_goes_ends_the_run_early, reset),
		cmocka_unit_test_setup(a_window_begins_when_every_connection_has_had_its_passes,
				       reset),
		cmocka_unit_test_setup(who_hears_late_of_the_window_was_absent_from_its_beginning,
				       reset),
		cmocka_unit_test_setup(
			a_window_that_is_over_before_it_is_heard_of_has_nothing_in_it, reset),
		cmocka_unit_test_setup(
			a_connection_that_is_never_answered_keeps_a_worker_from_being_warm, reset),
		cmocka_unit_test_setup(
			the_edges_of_the_window_have_its_replies_and_the_server_s_clock, reset),
		cmocka_unit_test(only_their_own_share_of_connections_is_opened),
	};

	return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
