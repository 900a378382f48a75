// SPDX-License-Identifier: MIT
/* What is between two edges; and how several targets, made up here, are judged and told. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "loadgen/report.h"
#include "loadgen/turns.h"
#include "loadgen/verdict.h"

enum { TARGETS = 2, ROUNDS = 2 };

static struct options options;
static struct target target;
static struct record records[TARGETS], total;
static struct result targets[TARGETS], all;
static struct turns *turns;

static struct cpu_time cpu(uint64_t ns)
{
	return (struct cpu_time){.known = true, .total_ns = ns};
}

/* 10,000 requests of 100 us in slices of 0.5 s; the second target's server takes twice the CPU. */
static void fill(struct slice *s, uint32_t number)
{
	uint64_t at_ns = 1000 + number * UINT64_C(600000000);

	*s = (struct slice){
		.done = 1,
		.target = number % TARGETS,
		.round = number / TARGETS ? number / TARGETS - 1 : 0,
		.warmup = number < TARGETS,
		.has_counts = number >= TARGETS,
		.begin_ns = at_ns,
		.drained_ns = at_ns + 590000000,
		.from = {.at_ns = at_ns + 50000000,
			 .replies = 100,
			 .server = cpu(7),
			 .busy_ns = 10},
		.sent = 5000,
		.due = 5000,
		.latency = {5000, 100000, 100001, 100002, 100003, HIST_INFINITE},
	};
	s->to = s->from;
	s->to.at_ns += 500000000;
	s->to.replies += 5000;
	s->to.server.total_ns += 5000 * 4000 * (s->target + UINT64_C(1));
	s->begun = (struct whole){90, cpu(3)};
	s->ended = (struct whole){7090, cpu(3 + 28000000)};
	s->to.client_ns = 30000000;
	s->to.spin_ns = 5000000;
	s->to.busy_ns += 90000000;
}

static int make_good(void **state)
{
	(void)state;
	options_defaults(&options);
	options.urls = (struct option_list){{"echo://h:1", "echo://h:2"}, TARGETS};
	options.url = options.urls.items[0];
	options.server_cpus = (struct option_list){{"pid:1", "pid:2"}, TARGETS};
	options.connections = 1;
	options.rounds = ROUNDS;
	options.rate_rps = 10e3;
	turns = turns_create(&options, records);
	turns->rounds = ROUNDS;
	turns->start_ns = 1000;
	for (uint32_t i = 0; i < TARGETS * (ROUNDS + 1); i++)
		fill(&turns->slices[i], i);
	memset(records, 0, sizeof(records));
	memset(&total, 0, sizeof(total));
	all = (struct result){
		.options = &options,
		.target = &target,
		.url = options.url,
		.total = &total,
		.window_s = 2,
		.measured = true,
		.workers_ended = TARGETS,
		.targets = targets,
		.target_count = TARGETS,
		.turns = turns,
	};
	for (unsigned int i = 0; i < TARGETS; i++) {
		struct tally *active = &records[i].tallies[POPULATION_ACTIVE];

		targets[i] = all;
		targets[i].url = options.urls.items[i];
		targets[i].total = &records[i];
		targets[i].window_s = 1;
		targets[i].workers_ended = 1;
		targets[i].target_count = 0;
		targets[i].targets = NULL;
		targets[i].number = i;
		active->connections = active->up = active->opened = 1;
		active->sent = active->completed = records[i].replies_in_window = 10000;
		records[i].inflight_ns = 1000000000;
		hist_record_n(&records[i].response, 101000, 10000);
		hist_record_n(&records[i].service, 100000, 10000);
		hist_record_n(&records[i].lag, 1000, 10000);
		hist_record_n(&records[i].late, 1000, 10000);
		record_add(&total, &records[i]);
	}
	return 0;
}

static int dispose(void **state)
{
	(void)state;
	turns_free(turns);
	return 0;
}

static void a_slice_is_the_difference_of_its_edges(void **state)
{
	struct slice_change c = slice_change(&turns->slices[3]);

	(void)state;
	assert_int_equal(c.wall_ns, 500000000);
	assert_int_equal(c.replies, 5000);
	assert_true(c.server.known);
	assert_false(c.server.split);
	assert_int_equal(c.server.total_ns, 40000000);
	assert_int_equal(c.client_ns, 25000000);
	assert_int_equal(c.spin_ns, 5000000);
	assert_int_equal(c.busy_ns, 90000000);
}

static void the_longer_edge_is_the_skew_of_a_slice(void **state)
{
	struct slice s = {.from.skew_ns = 3, .to.skew_ns = 5};

	(void)state;
	assert_int_equal(slice_change(&s).skew_ns, 5);
	s.from.skew_ns = 9;
	assert_int_equal(slice_change(&s).skew_ns, 9);
}

static void a_clock_that_failed_at_one_edge_is_not_known(void **state)
{
	struct slice s = turns->slices[3];

	(void)state;
	s.to.server.known = false;
	assert_false(slice_change(&s).server.known);
	s.to.server.known = true;
	s.from.server.known = false;
	assert_false(slice_change(&s).server.known);
}

static void what_ticks_and_spinning_make_negative_is_nothing(void **state)
{
	struct slice s = {.to.spin_ns = 10, .to.client_ns = 9};

	(void)state;
	assert_int_equal(slice_change(&s).client_ns, 0);
	assert_int_equal(slice_foreign_ns(100, 60, 30), 10);
	assert_int_equal(slice_foreign_ns(100, 80, 30), 0);
}

static void a_whole_turn_is_from_rest_to_rest(void **state)
{
	struct slice *s = &turns->slices[3];

	(void)state;
	assert_int_equal(slice_whole(s).replies, 7000);
	assert_int_equal(slice_whole(s).server.total_ns, 28000000);
	s->ended.server.known = false;
	assert_false(slice_whole(s).server.known);
}

static void quantiles_are_those_of_the_histogram(void **state)
{
	static struct hist h;
	struct quantiles q;

	(void)state;
	for (uint64_t ns = 1; ns <= 1000; ns++)
		hist_record(&h, ns);
	q = slice_quantiles(&h);
	assert_int_equal(q.count, 1000);
	assert_int_equal(q.p50_ns, 500);
	assert_int_equal(q.p90_ns, 900);
	assert_int_equal(q.p99_ns, 990);
	assert_int_equal(q.p99_9_ns, 999);
	assert_int_equal(q.max_ns, 1000);
	hist_record_infinite(&h, 1);
	assert_true(slice_quantiles(&h).max_ns == HIST_INFINITE);
}

static void the_cpu_time_of_a_group_is_found_by_its_key(void **state)
{
	static const char text[] = "usage_usec 12\nuser_usec 7\nsystem_usec 5\nnr_periods 3\n";
	uint64_t ns = 0;

	(void)state;
	assert_true(server_cpu_find(text, "usage_usec", &ns));
	assert_int_equal(ns, 12000);
	assert_true(server_cpu_find(text, "system_usec", &ns));
	assert_int_equal(ns, 5000);
	assert_false(server_cpu_find(text, "usec", &ns));
	assert_false(server_cpu_find("usage_usec \n", "usage_usec", &ns));
	assert_false(server_cpu_find("", "usage_usec", &ns));
}

static void the_clock_of_a_process_goes_on_while_it_works_and_fails_when_it_has_gone(void **state)
{
	char spec[32], reason[256];
	struct server_cpu source;
	struct cpu_time before, after;
	int stop[2];
	bool usage;
	pid_t child;

	(void)state;
	assert_int_equal(pipe(stop), 0);
	child = fork();
	if (child == 0) {
		close(stop[1]);
		for (volatile int i = 0;; i++)
			;
	}
	snprintf(spec, sizeof(spec), "pid:%d", (int)child);
	assert_null(server_cpu_open(&source, spec, &usage, reason, sizeof(reason)));
	assert_false(usage);
	before = server_cpu_read(&source);
	assert_true(before.known);
	do {
		after = server_cpu_read(&source);
	} while (after.known && after.total_ns <= before.total_ns);
	assert_true(after.known);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	assert_false(server_cpu_read(&source).known);
	server_cpu_close(&source);
	assert_non_null(server_cpu_open(&source, spec, &usage, reason, sizeof(reason)));
}

/* In a child: its own child works for ever, and it sleeps until that has gone, then for good. */
static void be_a_parent(int told)
{
	pid_t worker = fork();

	if (worker == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (volatile int i = 0;; i++)
			;
	}
	if (write(told, &worker, sizeof(worker)) != sizeof(worker))
		_exit(1);
	waitpid(worker, NULL, 0);
	if (write(told, &worker, sizeof(worker)) != sizeof(worker))
		_exit(1);
	for (;;)
		pause();
}

static void the_clocks_of_a_tree_are_those_of_its_children_too(void **state)
{
	char spec[32], reason[256];
	struct server_cpu own, tree;
	struct cpu_time before, after;
	pid_t parent, worker, gone;
	int told[2];
	bool usage;

	(void)state;
	assert_int_equal(pipe(told), 0);
	parent = fork();
	if (parent == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		be_a_parent(told[1]);
	}
	assert_int_equal(read(told[0], &worker, sizeof(worker)), sizeof(worker));
	snprintf(spec, sizeof(spec), "pid:%d", (int)parent);
	assert_null(server_cpu_open(&own, spec, &usage, reason, sizeof(reason)));
	snprintf(spec, sizeof(spec), "tree:%d", (int)parent);
	assert_null(server_cpu_open(&tree, spec, &usage, reason, sizeof(reason)));
	assert_int_equal(own.count, 1);
	assert_int_equal(tree.count, 2);
	before = server_cpu_read(&tree);
	assert_true(before.known);
	/* The parent hardly works: what is added beyond twice all it ever used is the worker's. */
	do {
		after = server_cpu_read(&tree);
	} while (after.known &&
		 after.total_ns <= before.total_ns + 2 * server_cpu_read(&own).total_ns);
	assert_true(after.known);

	kill(worker, SIGKILL);
	assert_int_equal(read(told[0], &gone, sizeof(gone)), sizeof(gone));
	assert_true(server_cpu_read(&own).known);
	assert_false(server_cpu_read(&tree).known); /* what the worker used has gone with it */
	server_cpu_close(&tree);
	assert_null(server_cpu_open(&tree, spec, &usage, reason, sizeof(reason)));
	assert_int_equal(tree.count, 1);
	assert_true(server_cpu_read(&tree).known);
	kill(parent, SIGKILL);
	waitpid(parent, NULL, 0);
	assert_non_null(server_cpu_open(&tree, spec, &usage, reason, sizeof(reason)));
	assert_false(usage);
	assert_null(server_cpu_open(&tree, "tree:x", &usage, reason, sizeof(reason)));
	assert_true(usage);
	close(told[0]);
	close(told[1]);
}

static void of_none_nothing_is_read_and_nothing_is_missed(void **state)
{
	char reason[256];
	struct server_cpu source;
	bool usage;

	(void)state;
	assert_null(server_cpu_open(&source, "none", &usage, reason, sizeof(reason)));
	assert_false(usage);
	assert_false(server_cpu_read(&source).known);
	assert_false(server_cpu_wanted("none"));
	assert_false(server_cpu_wanted(NULL));
	assert_true(server_cpu_wanted("pid:1"));
	server_cpu_close(&source);
}

static void a_good_run_of_several_is_valid(void **state)
{
	struct verdict v;

	(void)state;
	verdict_reach_all(&v, &all);
	if (v.count)
		fail_msg("%s", v.reasons[0].text);
	assert_int_equal(v.status, VERDICT_VALID);
}

static void a_reason_of_two_targets_is_told_once_with_the_worst_status(void **state)
{
	struct verdict v;

	(void)state;
	targets[0].busiest_worker = 0.95;
	targets[1].most_absent = 0.6;
	verdict_reach_all(&v, &all);
	assert_int_equal(v.count, 1);
	assert_string_equal(v.reasons[0].code, "client-limited");
	assert_int_equal(v.reasons[0].status, VERDICT_VOID);
	assert_int_equal(v.status, VERDICT_VOID);
	assert_non_null(strstr(v.reasons[0].text, "echo://h:1: "));
	assert_non_null(strstr(v.reasons[0].text, "(and 1 more)"));
}

static void a_server_s_clock_that_was_lost_makes_its_target_void(void **state)
{
	struct verdict v;

	(void)state;
	turns->slices[3].to.server.known = false;
	verdict_reach(&v, &targets[0]);
	assert_int_equal(v.count, 0);
	verdict_reach(&v, &targets[1]);
	assert_int_equal(v.count, 1);
	assert_string_equal(v.reasons[0].code, "server-cpu");
	assert_int_equal(v.status, VERDICT_VOID);
	assert_non_null(strstr(v.reasons[0].text, "pid:2 could not be read in 1 of 3 slices"));
}

static void a_slice_that_is_missing_makes_the_run_incomplete(void **state)
{
	struct verdict v;

	(void)state;
	turns->slices[5].done = 0;
	verdict_reach_all(&v, &all);
	assert_int_equal(v.status, VERDICT_VOID);
	assert_string_equal(v.reasons[0].code, "incomplete");
	assert_false(result_complete(&all));
}

static json_t *told(void)
{
	struct verdict v;
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	json_t *root;

	verdict_reach_all(&v, &all);
	assert_true(report_json(out, &all, &v));
	fclose(out);
	root = json_loads(text, 0, NULL);
	free(text);
	assert_non_null(root);
	return root;
}

static json_int_t number(json_t *object, const char *key)
{
	json_t *value = json_object_get(object, key);

	if (!json_is_integer(value))
		fail_msg("%s is missing", key);
	return json_integer_value(value);
}

static void the_json_has_targets_in_order_and_slices_since_the_start(void **state)
{
	json_t *root = told(), *list = json_object_get(root, "targets"), *slice, *warm;

	(void)state;
	assert_string_equal(json_string_value(json_object_get(root, "schema")), "tenk.loadgen/2");
	assert_string_equal(json_string_value(json_object_get(root, "arrangement")), "turns");
	assert_int_equal(json_array_size(list), TARGETS);
	for (size_t i = 0; i < TARGETS; i++) {
		json_t *one = json_array_get(list, i);

		assert_string_equal(json_string_value(json_object_get(one, "url")),
				    options.urls.items[i]);
		assert_string_equal(json_string_value(json_object_get(one, "server_cpu")),
				    options.server_cpus.items[i]);
		assert_int_equal(number(json_object_get(one, "requests"), "completed"), 10000);
	}
	list = json_object_get(root, "slices");
	assert_int_equal(json_array_size(list), TARGETS * (ROUNDS + 1));
	warm = json_array_get(list, 1);
	assert_true(json_is_true(json_object_get(warm, "warmup")));
	assert_true(json_is_null(json_object_get(warm, "latency")));
	assert_true(json_is_null(json_object_get(warm, "sent")));
	slice = json_array_get(list, 5);
	assert_int_equal(number(slice, "target"), 1);
	assert_int_equal(number(slice, "round"), 1);
	assert_int_equal(number(slice, "begin_ns"), 3000000000);
	assert_int_equal(number(slice, "from_ns"), 3050000000);
	assert_int_equal(number(slice, "to_ns"), 3550000000);
	assert_int_equal(number(slice, "drained_ns"), 3590000000);
	assert_int_equal(number(slice, "replies"), 5000);
	assert_int_equal(number(slice, "due"), 5000);
	assert_int_equal(number(slice, "server_cpu_ns"), 40000000);
	assert_int_equal(number(slice, "turn_replies"), 7000);
	assert_int_equal(number(slice, "turn_cpu_ns"), 28000000);
	assert_true(json_is_null(json_object_get(slice, "turn_user_ns")));
	assert_true(json_is_null(json_object_get(slice, "server_user_ns")));
	/* 90 ms were busy; 40 the server's, 30 the client's with its spinning. */
	assert_int_equal(number(slice, "foreign_cpu_ns"), 20000000);
	assert_true(json_is_null(json_object_get(slice, "idle_ns")));
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(slice, "latency"), "max")),
		"inf");
	json_decref(root);
}

static void together_what_the_other_target_used_is_not_foreign(void **state)
{
	json_t *root, *list;

	(void)state;
	options.arrangement = ARRANGEMENT_TOGETHER;
	options.rounds = 0;
	turns->cuts = 1;
	turns->slices[0].round = turns->slices[1].round = 0;
	root = told();
	list = json_object_get(root, "slices");
	assert_int_equal(json_array_size(list), TARGETS);
	assert_true(json_is_null(json_object_get(json_array_get(list, 0), "turn_replies")));
	/* 90 busy; servers 20 and 40, clients 30 and 30. */
	assert_int_equal(number(json_array_get(list, 0), "foreign_cpu_ns"), 0);
	turns->slices[0].to.busy_ns += 50000000;
	json_decref(root);
	root = told();
	list = json_object_get(root, "slices");
	assert_int_equal(number(json_array_get(list, 0), "foreign_cpu_ns"), 20000000);
	json_decref(root);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_good, dispose)
	const struct CMUnitTest tests[] = {
		TEST(a_slice_is_the_difference_of_its_edges),
		TEST(the_longer_edge_is_the_skew_of_a_slice),
		TEST(a_clock_that_failed_at_one_edge_is_not_known),
		TEST(what_ticks_and_spinning_make_negative_is_nothing),
		TEST(a_whole_turn_is_from_rest_to_rest),
		TEST(quantiles_are_those_of_the_histogram),
		TEST(the_cpu_time_of_a_group_is_found_by_its_key),
		TEST(the_clock_of_a_process_goes_on_while_it_works_and_fails_when_it_has_gone),
		TEST(the_clocks_of_a_tree_are_those_of_its_children_too),
		TEST(of_none_nothing_is_read_and_nothing_is_missed),
		TEST(a_good_run_of_several_is_valid),
		TEST(a_reason_of_two_targets_is_told_once_with_the_worst_status),
		TEST(a_server_s_clock_that_was_lost_makes_its_target_void),
		TEST(a_slice_that_is_missing_makes_the_run_incomplete),
		TEST(the_json_has_targets_in_order_and_slices_since_the_start),
		TEST(together_what_the_other_target_used_is_not_foreign),
	};

	return cmocka_run_group_tests_name("slices", tests, NULL, NULL);
}
