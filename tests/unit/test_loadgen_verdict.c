// SPDX-License-Identifier: MIT
/* The verdict, reason by reason, on results made up for it; and the reports of such results. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "loadgen/report.h"
#include "loadgen/verdict.h"

static struct options options;
static struct target target;
static struct record total;
static struct result result;
static struct verdict verdict;

#define ACTIVE (&total.tallies[POPULATION_ACTIVE])

/* A run without fault: 10,000 requests of 100 us in a window of 1 s, one in flight on average. */
static int make_good(void **state)
{
	(void)state;
	options_defaults(&options);
	options.url = "echo://127.0.0.1:9";
	options.connections = 1;
	options.rate_rps = 10e3;
	options.duration_ns = 1000000000;
	memset(&total, 0, sizeof(total));
	result = (struct result){.options = &options,
				 .target = &target,
				 .total = &total,
				 .window_s = 1,
				 .busiest_worker = 0.4,
				 .workers_ended = 1,
				 .measured = true};
	result.disturbance = (struct host_counters){.network = true, .cpu_ticks = 1000};
	ACTIVE->connections = ACTIVE->up = ACTIVE->opened = 1;
	ACTIVE->sent = ACTIVE->completed = total.replies_in_window = 10000;
	total.inflight_ns = 1000000000;
	hist_record_n(&total.response, 101000, 10000);
	hist_record_n(&total.service, 100000, 10000);
	hist_record_n(&total.lag, 1000, 10000);
	hist_record_n(&total.late, 1000, 10000);
	return 0;
}

/* After a change to the parts of what was sent: make them add up again. */
static void add_up(void)
{
	ACTIVE->sent = ACTIVE->completed + ACTIVE->unanswered + result_failed(ACTIVE);
}

/* Exactly this reason, with this weight. */
static void assert_reason(const char *code, enum verdict_status status)
{
	verdict_reach(&verdict, &result);
	if (verdict.count != 1 || strcmp(verdict.reasons[0].code, code) != 0)
		fail_msg("%zu reasons, the first %s", verdict.count,
			 verdict.count ? verdict.reasons[0].code : "missing");
	assert_int_equal(verdict.status, status);
	assert_int_equal(verdict.reasons[0].status, status);
	assert_true(strlen(verdict.reasons[0].text) > 20);
}

static void assert_valid(void)
{
	verdict_reach(&verdict, &result);
	assert_int_equal(verdict.count, 0);
	assert_int_equal(verdict.status, VERDICT_VALID);
}

static void a_faultless_run_is_valid(void **state)
{
	(void)state;
	assert_valid();
	assert_int_equal(verdict_exit_status(&verdict, &result), 0);
	options.rate_rps = 0;
	assert_valid();
}

static void a_busy_client_is_suspect(void **state)
{
	(void)state;
	result.busiest_worker = 0.90;
	assert_valid();
	result.busiest_worker = 0.91;
	assert_reason("client-limited", VERDICT_SUSPECT);
	assert_int_equal(verdict_exit_status(&verdict, &result), 3);
}

static void a_client_kept_from_its_cpu_is_suspect(void **state)
{
	(void)state;
	result.most_starved = 0.10;
	assert_valid();
	result.most_starved = 0.11;
	assert_reason("client-limited", VERDICT_SUSPECT);
	assert_non_null(strstr(verdict.reasons[0].text, "--cpus"));
}

static void a_warm_up_without_its_passes_is_suspect(void **state)
{
	(void)state;
	result.warmup_s = 10;
	assert_valid();
	options.warmup_passes = 5;
	result.warm = true;
	assert_valid();
	result.warm = false;
	assert_reason("warmup", VERDICT_SUSPECT);
	assert_non_null(strstr(verdict.reasons[0].text, "5 times"));
}

static void a_server_s_clock_must_be_known_at_both_edges_of_the_window(void **state)
{
	(void)state;
	options.server_cpus = (struct option_list){{"pid:7"}, 1};
	total.from = (struct reading){.at_ns = 5, .server = {.known = true, .total_ns = 10}};
	total.to = (struct reading){.at_ns = 9, .replies = 4, .server = {true, false, 30, 0, 0}};
	assert_valid();
	assert_int_equal(result_server(&result).server.total_ns, 20);
	assert_int_equal(result_server(&result).wall_ns, 4);
	assert_int_equal(result_server(&result).replies, 4);
	total.to.server.known = false;
	assert_reason("server-cpu", VERDICT_VOID);
	assert_non_null(strstr(verdict.reasons[0].text, "pid:7"));
}

static void unsent_requests_break_the_schedule(void **state)
{
	(void)state;
	ACTIVE->unsent = 10;
	assert_valid();
	ACTIVE->unsent = 11;
	assert_reason("schedule", VERDICT_SUSPECT);
}

static void a_late_client_is_suspect_and_a_very_late_one_void(void **state)
{
	(void)state;
	hist_init(&total.late);
	hist_record_n(&total.late, 12000, 10000);
	assert_reason("lag", VERDICT_SUSPECT);
	hist_init(&total.late);
	hist_record_n(&total.late, 52000, 10000);
	assert_reason("lag", VERDICT_VOID);
	hist_init(&total.late);
	hist_record_n(&total.late, 1000, 9800);
	hist_record_n(&total.late, 60000, 200);
	assert_reason("lag", VERDICT_SUSPECT);
	options.rate_rps = 0; /* a closed loop has no schedule to be late for */
	assert_valid();
}

static void lag_for_want_of_connections_is_not_the_clients(void **state)
{
	(void)state;
	hist_init(&total.lag);
	hist_record_n(&total.lag, 500000000, 10000);
	assert_valid();
}

static void requests_in_flight_that_are_not_accounted_for_break_littles_law(void **state)
{
	(void)state;
	total.inflight_ns = 1080000000;
	assert_valid();
	total.inflight_ns = 1200000000;
	assert_reason("littles-law", VERDICT_SUSPECT);
	total.inflight_ns = 3000000000;
	assert_reason("littles-law", VERDICT_VOID);
}

static void one_wrong_reply_voids(void **state)
{
	(void)state;
	total.wrong = 1;
	assert_reason("verification", VERDICT_VOID);
	snprintf(total.mismatch, sizeof(total.mismatch), "connection 3 is odd");
	assert_reason("verification", VERDICT_VOID);
	assert_non_null(strstr(verdict.reasons[0].text, "connection 3 is odd"));
	assert_int_equal(verdict_exit_status(&verdict, &result), 4);
}

static void errors_are_suspect_and_many_errors_void(void **state)
{
	(void)state;
	ACTIVE->request_errors[FAILURE_RESET] = 10;
	add_up();
	assert_valid();
	ACTIVE->request_errors[FAILURE_RESET] = 11;
	add_up();
	assert_reason("errors", VERDICT_SUSPECT);
	ACTIVE->request_errors[FAILURE_TIMEOUT] = 2000;
	add_up();
	assert_reason("errors", VERDICT_VOID);
}

static void failed_connections_count_against_those_opened(void **state)
{
	(void)state;
	ACTIVE->connections = ACTIVE->opened = 1000;
	ACTIVE->connection_errors[FAILURE_CLOSED] = 1;
	assert_valid();
	ACTIVE->connection_errors[FAILURE_NO_PORT] = 3;
	assert_reason("errors", VERDICT_SUSPECT);
	assert_non_null(strstr(verdict.reasons[0].text, "--source-ip"));
}

static void unanswered_requests_are_suspect(void **state)
{
	(void)state;
	ACTIVE->unanswered = 11;
	add_up();
	assert_reason("unanswered", VERDICT_SUSPECT);
}

static void many_replies_without_a_stamp_are_suspect(void **state)
{
	(void)state;
	total.unstamped = 10; /* a thousandth */
	assert_valid();
	total.unstamped = 11;
	assert_reason("stamps", VERDICT_SUSPECT);
	assert_null(strstr(verdict.reasons[0].text, "time of day"));
	total.stamps_steps = 1;
	assert_reason("stamps", VERDICT_SUSPECT);
	assert_non_null(strstr(verdict.reasons[0].text, "set the time of day"));
}

static void a_refusal_after_the_start_voids(void **state)
{
	(void)state;
	total.gone = 1;
	assert_reason("server-gone", VERDICT_VOID);
}

static void few_requests_are_suspect_and_none_void(void **state)
{
	(void)state;
	ACTIVE->completed = 99;
	add_up();
	total.inflight_ns = 9900000;
	assert_reason("too-few", VERDICT_SUSPECT);
	ACTIVE->completed = 0;
	add_up();
	assert_reason("too-few", VERDICT_VOID);
	options.connections = 0; /* only idle connections were asked for */
	assert_valid();
}

static void what_the_machine_did_meanwhile_is_suspect(void **state)
{
	(void)state;
	result.disturbance.listen_overflows = 1;
	assert_reason("listen-overflow", VERDICT_SUSPECT);
	result.disturbance.listen_overflows = 0;
	result.disturbance.retransmits = 3;
	assert_reason("retransmits", VERDICT_SUSPECT);
	result.disturbance.retransmits = 2;
	assert_valid();
	result.disturbance.steal_ticks = 11;
	assert_reason("steal", VERDICT_SUSPECT);
	result.disturbance.steal_ticks = 10;
	assert_valid();
	/* Half a second of one CPU: a single tick is 2 %, and only where the edges fell. */
	result.disturbance.cpu_ticks = 50;
	result.disturbance.steal_ticks = 1;
	assert_valid();
	result.disturbance.steal_ticks = 2;
	assert_reason("steal", VERDICT_SUSPECT);
}

static void drops_for_want_of_a_queue_are_suspect_and_name_the_remedy(void **state)
{
	(void)state;
	result.disturbance.softnet_drops = 1;
	assert_valid();
	result.disturbance.softnet_drops = 2;
	assert_reason("softnet-drops", VERDICT_SUSPECT);
	assert_non_null(strstr(verdict.reasons[0].text, "net.core.netdev_max_backlog"));
	assert_non_null(strstr(verdict.reasons[0].text, "on this machine"));
}

static void parts_that_do_not_add_up_void(void **state)
{
	(void)state;
	ACTIVE->sent++;
	assert_reason("incomplete", VERDICT_VOID);
	ACTIVE->sent -= 2;
	assert_reason("incomplete", VERDICT_VOID);
	ACTIVE->sent++;
	total.tallies[POPULATION_SLOW_READERS].sent = 1;
	assert_reason("incomplete", VERDICT_VOID);
	assert_non_null(strstr(verdict.reasons[0].text, "slow_readers"));
	assert_int_equal(verdict_exit_status(&verdict, &result), 4);
}

static void a_missing_worker_voids(void **state)
{
	(void)state;
	options.workers = options.connections = 2;
	assert_reason("incomplete", VERDICT_VOID);
	assert_false(result_complete(&result));
	result.workers_ended = 2;
	assert_valid();
	assert_true(result_complete(&result));
}

static void a_window_that_is_not_the_one_asked_for_voids(void **state)
{
	(void)state;
	options.duration_ns = 1010000000;
	assert_reason("incomplete", VERDICT_VOID);
	assert_false(result_complete(&result));
	options.duration_ns = 990000000;
	assert_reason("incomplete", VERDICT_VOID);
	result.interrupted = true; /* then that is the reason */
	assert_reason("interrupted", VERDICT_VOID);
}

static void a_worker_that_was_not_there_is_suspect_and_void_for_half_the_window(void **state)
{
	(void)state;
	result.most_absent = 0.10;
	assert_valid();
	result.most_absent = 0.11;
	assert_reason("client-limited", VERDICT_SUSPECT);
	assert_non_null(strstr(verdict.reasons[0].text, "SIGSTOP"));
	result.most_absent = 0.51;
	assert_reason("client-limited", VERDICT_VOID);
}

static void an_interrupted_run_is_void_and_has_its_own_status(void **state)
{
	(void)state;
	result.interrupted = true;
	assert_reason("interrupted", VERDICT_VOID);
	assert_int_equal(verdict_exit_status(&verdict, &result), 130);
}

static void all_reasons_together_fit(void **state)
{
	(void)state;
	result.interrupted = true;
	result.busiest_worker = 1;
	total.gone = 1;
	total.inflight_ns *= 10;
	ACTIVE->unanswered = ACTIVE->unsent = 5000;
	ACTIVE->request_errors[FAILURE_MISMATCH] = total.wrong = 5000;
	hist_init(&total.late);
	hist_record_n(&total.late, 52000, 10000);
	result.disturbance.listen_drops = 1;
	result.disturbance.retransmits = 1000;
	result.disturbance.softnet_drops = 1000;
	result.disturbance.steal_ticks = 500;
	verdict_reach(&verdict, &result);
	assert_int_equal(verdict.count, 14); /* 13, and that the parts do not add up */
	assert_int_equal(verdict.status, VERDICT_VOID);
}

/* --- reports -------------------------------------------------------------------------------- */

static char *text_of(bool json)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	verdict_reach(&verdict, &result);
	if (json)
		assert_true(report_json(out, &result, &verdict));
	else
		report_text(out, &result, &verdict);
	fclose(out);
	return text;
}

static void the_text_has_the_shape_of_wrk(void **state)
{
	static const char *const lines[] = {
		"Running 1s test @ echo://127.0.0.1:9\n",
		"\n  Thread Stats   Avg      Stdev     Max   +/- Stdev\n    Latency  101.02us ",
		"\n    Req/Sec ",
		"\n   50.000%  101.06us\n",
		"\n  10000 requests in 1.00s, 0.00B read\n",
		"\nRequests/sec:   10000.00\nTransfer/sec:      0.00B\n",
		"\nVerdict: valid\n",
	};
	char *text;

	(void)state;
	options.latency = true;
	text = text_of(false);
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		if (!strstr(text, lines[i]))
			fail_msg("no '%s' in: %s", lines[i], text);
	}
	assert_null(strstr(text, "errors"));
	free(text);
}

static void the_json_has_every_option_and_every_latency(void **state)
{
	static const char *const latencies[] = {"response", "service", "lag", "connect",
						"client_late"};
	char *text = text_of(true);
	json_t *root = json_loads(text, 0, NULL), *config, *latency;

	(void)state;
	assert_non_null(root);
	assert_string_equal(json_string_value(json_object_get(root, "schema")), "tenk.loadgen/2");
	config = json_object_get(root, "config");
	for (const struct option_row *row = option_table; row->name; row++)
		assert_non_null(json_object_get(config, row->name));
	assert_string_equal(json_string_value(json_object_get(config, "arrival")), "poisson");
	latency = json_object_get(root, "latency_ns");
	for (size_t i = 0; i < 5; i++)
		assert_non_null(json_object_get(latency, latencies[i]));
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(latency, "response"), "count")),
		10000);
	json_decref(root);
	free(text);
}

static void infinite_is_the_string_inf(void **state)
{
	json_t *root, *response;
	char *text;

	(void)state;
	hist_record_infinite(&total.response, 200);
	text = text_of(true);
	root = json_loads(text, 0, NULL);
	response = json_object_get(json_object_get(root, "latency_ns"), "response");
	assert_true(json_is_integer(json_object_get(response, "p90")));
	assert_string_equal(json_string_value(json_object_get(response, "p99")), "inf");
	assert_string_equal(json_string_value(json_object_get(response, "max")), "inf");
	assert_string_equal(json_string_value(json_object_get(response, "mean")), "inf");
	assert_true(json_is_real(json_object_get(response, "mean_finite")));
	json_decref(root);
	free(text);
}

static void a_result_without_any_request_is_still_json(void **state)
{
	json_t *root;
	char *text;

	(void)state;
	memset(&total, 0, sizeof(total));
	result.window_s = 0;
	result.interrupted = true;
	text = text_of(true);
	root = json_loads(text, 0, NULL);
	assert_non_null(root);
	assert_true(json_is_false(json_object_get(root, "complete")));
	json_decref(root);
	free(text);
	text = text_of(false);
	assert_non_null(strstr(text, "Verdict: void"));
	free(text);
}

static void records_add_up(void **state)
{
	static struct record a, b;

	(void)state;
	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	a.tallies[2].up = 3;
	b.tallies[2].up = 4;
	b.tallies[1].request_errors[FAILURE_TIMEOUT] = 5;
	a.served = 10, a.served_squares = 100, a.servants = 1;
	b.served = 10, b.served_squares = 100, b.servants = 1;
	b.ended_ns = 7;
	hist_record(&a.lag, 5);
	hist_record_infinite(&b.lag, 1);
	snprintf(b.mismatch, sizeof(b.mismatch), "b");
	record_add(&a, &b);
	assert_int_equal(a.tallies[2].up, 7);
	assert_int_equal(a.tallies[1].request_errors[FAILURE_TIMEOUT], 5);
	assert_int_equal(hist_count(&a.lag), 2);
	assert_int_equal(a.ended_ns, 7);
	assert_string_equal(a.mismatch, "b");
	result.total = &a;
	assert_true(fabs(result_jain(&result) - 1) < 1e-9);
	a.served = 20, a.served_squares = 400, a.servants = 2; /* one got everything */
	assert_true(fabs(result_jain(&result) - 0.5) < 1e-9);
}

static void counters_are_found_in_the_kernels_tables(void **state)
{
	static const char text[] = "TcpExt: A Listen ListenOverflows\nTcpExt: 1 2 33\n"
				   "IpExt: A\nIpExt: 9\n";
	uint64_t value = 0;

	(void)state;
	assert_true(host_find_counter(text, "TcpExt", "ListenOverflows", &value));
	assert_int_equal(value, 33);
	assert_true(host_find_counter(text, "TcpExt", "Listen", &value));
	assert_int_equal(value, 2);
	assert_true(host_find_counter(text, "IpExt", "A", &value));
	assert_int_equal(value, 9);
	assert_false(host_find_counter(text, "TcpExt", "B", &value));
	assert_false(host_find_counter(text, "Udp", "A", &value));
	assert_false(host_find_counter("TcpExt: A", "TcpExt", "A", &value));
	assert_false(host_find_counter("", "TcpExt", "A", &value));
}

static void packets_dropped_are_added_up_over_all_cpus(void **state)
{
	struct host_counters now = {.softnet_drops = 5}, before = {.softnet_drops = 0xfffffffe};

	(void)state;
	assert_int_equal(host_softnet_drops("000004d2 0000000a 00000001 00000000\n"
					    "00000001 000000ff 00000000 00000000\n"),
			 265);
	assert_int_equal(host_softnet_drops("00000001 ffffffff\n00000001 00000003\n"), 2);
	assert_int_equal(host_softnet_drops(""), 0);
	assert_int_equal(host_softnet_drops("nothing of the kind\n\n"), 0);
	host_counters_subtract(&now, &before); /* the kernel's counter went round */
	assert_int_equal(now.softnet_drops, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_faultless_run_is_valid, make_good),
		cmocka_unit_test_setup(a_busy_client_is_suspect, make_good),
		cmocka_unit_test_setup(a_client_kept_from_its_cpu_is_suspect, make_good),
		cmocka_unit_test_setup(a_warm_up_without_its_passes_is_suspect, make_good),
		cmocka_unit_test_setup(a_server_s_clock_must_be_known_at_both_edges_of_the_window,
				       make_good),
		cmocka_unit_test_setup(unsent_requests_break_the_schedule, make_good),
		cmocka_unit_test_setup(a_late_client_is_suspect_and_a_very_late_one_void,
				       make_good),
		cmocka_unit_test_setup(lag_for_want_of_connections_is_not_the_clients, make_good),
		cmocka_unit_test_setup(
			requests_in_flight_that_are_not_accounted_for_break_littles_law, make_good),
		cmocka_unit_test_setup(one_wrong_reply_voids, make_good),
		cmocka_unit_test_setup(errors_are_suspect_and_many_errors_void, make_good),
		cmocka_unit_test_setup(failed_connections_count_against_those_opened, make_good),
		cmocka_unit_test_setup(unanswered_requests_are_suspect, make_good),
		cmocka_unit_test_setup(many_replies_without_a_stamp_are_suspect, make_good),
		cmocka_unit_test_setup(a_refusal_after_the_start_voids, make_good),
		cmocka_unit_test_setup(few_requests_are_suspect_and_none_void, make_good),
		cmocka_unit_test_setup(what_the_machine_did_meanwhile_is_suspect, make_good),
		cmocka_unit_test_setup(drops_for_want_of_a_queue_are_suspect_and_name_the_remedy,
				       make_good),
		cmocka_unit_test_setup(parts_that_do_not_add_up_void, make_good),
		cmocka_unit_test_setup(a_missing_worker_voids, make_good),
		cmocka_unit_test_setup(a_window_that_is_not_the_one_asked_for_voids, make_good),
		cmocka_unit_test_setup(
			a_worker_that_was_not_there_is_suspect_and_void_for_half_the_window,
			make_good),
		cmocka_unit_test_setup(an_interrupted_run_is_void_and_has_its_own_status,
				       make_good),
		cmocka_unit_test_setup(all_reasons_together_fit, make_good),
		cmocka_unit_test_setup(the_text_has_the_shape_of_wrk, make_good),
		cmocka_unit_test_setup(the_json_has_every_option_and_every_latency, make_good),
		cmocka_unit_test_setup(infinite_is_the_string_inf, make_good),
		cmocka_unit_test_setup(a_result_without_any_request_is_still_json, make_good),
		cmocka_unit_test_setup(records_add_up, make_good),
		cmocka_unit_test(packets_dropped_are_added_up_over_all_cpus),
		cmocka_unit_test(counters_are_found_in_the_kernels_tables),
	};

	return cmocka_run_group_tests_name("verdict and report", tests, NULL, NULL);
}
