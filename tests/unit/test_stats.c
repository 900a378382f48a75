// SPDX-License-Identifier: MIT
// The counters, over threads and forked children. The sets are counted from what stats_mine()
// returns: no test looks at how they are kept.
#include "servers/lib/stats.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

enum {
	WRITERS = 8, /* what stats_init() is told */
	ROUNDS = 10000,
};

static uint64_t requests(void)
{
	return stats_sum().requests;
}

static void *count(void *arg)
{
	(void)arg;
	for (int i = 0; i < ROUNDS; i++)
		stats_add(&stats_mine()->requests, 1);
	return stats_mine();
}

static void count_in_child(void)
{
	count(NULL);
	stats_leave();
	_exit(0);
}

static void wait_for(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void every_counter_is_summed(void **state)
{
	struct stats before = stats_sum(), after;
	struct stats *mine = stats_mine();

	(void)state;
	stats_add(&mine->connections, 1);
	stats_add(&mine->requests, 2);
	stats_add(&mine->bytes_in, UINT64_C(1) << 40);
	stats_add(&mine->bytes_out, 4);
	stats_waited(5);
	stats_waited(0);
	stats_waited(-1); /* an error: a wait without events */
	stats_add(&mine->eagain, 7);
	after = stats_sum();
	assert_int_equal(after.connections - before.connections, 1);
	assert_int_equal(after.requests - before.requests, 2);
	assert_int_equal(after.bytes_in - before.bytes_in, UINT64_C(1) << 40);
	assert_int_equal(after.bytes_out - before.bytes_out, 4);
	assert_int_equal(after.waits - before.waits, 3);
	assert_int_equal(after.events - before.events, 5);
	assert_int_equal(after.eagain - before.eagain, 7);
}

static void a_thread_keeps_its_set(void **state)
{
	(void)state;
	assert_ptr_equal(stats_mine(), stats_mine());
	assert_int_equal((uintptr_t)stats_mine() % 64, 0); /* a cache line of its own */
}

static void threads_at_the_same_time_have_a_set_each_and_are_summed(void **state)
{
	pthread_t threads[WRITERS];
	uint64_t before = requests();

	(void)state;
	for (int i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count, NULL), 0);
	for (int i = 0; i < WRITERS; i++) {
		void *set;

		assert_int_equal(pthread_join(threads[i], &set), 0);
		assert_ptr_not_equal(set, stats_mine());
	}
	assert_int_equal(requests() - before, WRITERS * ROUNDS);
}

static void children_at_the_same_time_are_summed(void **state)
{
	pid_t pids[WRITERS];
	uint64_t before = requests();

	(void)state;
	stats_mine(); /* so that the children inherit one that is not theirs */
	for (int i = 0; i < WRITERS; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			count_in_child();
	}
	count(NULL); /* the parent goes on in its own set */
	for (int i = 0; i < WRITERS; i++)
		wait_for(pids[i]);
	assert_int_equal(requests() - before, (WRITERS + 1) * ROUNDS);
}

static void *mine_address(void *arg)
{
	(void)arg;
	return stats_mine();
}

/* A child that wrote to its parent's set would lose counts of both. */
static void a_child_has_a_set_of_its_own(void **state)
{
	struct stats *parents = stats_mine();
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		_exit(stats_mine() == parents);
	wait_for(pid);
}

/* Many more writers than there are sets, one after the other; a few sets do for all of them. */
static void sets_of_ended_threads_are_used_again(void **state)
{
	void *seen[WRITERS] = {0}, *set;
	uint64_t before = requests();

	(void)state;
	for (int i = 0; i < 20 * WRITERS; i++) {
		pthread_t thread;
		size_t n = 0;

		assert_int_equal(pthread_create(&thread, NULL, mine_address, NULL), 0);
		assert_int_equal(pthread_join(thread, &set), 0);
		while (seen[n] && seen[n] != set)
			assert_true(++n < WRITERS);
		seen[n] = set;
	}
	assert_int_equal(requests(), before);
}

static void sets_of_ended_children_are_used_again(void **state)
{
	uint64_t before = requests();

	(void)state;
	for (int i = 0; i < 20 * WRITERS; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			stats_add(&stats_mine()->requests, 1);
			stats_leave();
			_exit(0);
		}
		wait_for(pid);
	}
	assert_int_equal(requests() - before, 20 * WRITERS);
}

/* A killed child cannot give its set back, and what it counted is not lost. */
static void sets_of_killed_children_are_used_again(void **state)
{
	uint64_t before = requests();
	int status;

	(void)state;
	for (int i = 0; i < 20 * WRITERS; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			stats_add(&stats_mine()->requests, 1);
			raise(SIGKILL);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
	}
	assert_int_equal(requests() - before, 20 * WRITERS);
}

static void leaving_twice_does_no_harm(void **state)
{
	uint64_t before = requests();

	(void)state;
	stats_leave();
	stats_leave();
	stats_add(&stats_mine()->requests, 1);
	assert_int_equal(requests() - before, 1);
}

static void *nine_requests(void *unused)
{
	(void)unused;
	stats_add(&stats_mine()->requests, 9);
	return NULL;
}

/* In a child with sets of its own: what the other tests counted is not in them. */
static int told_by_worker(void)
{
	uint64_t requests[3], connections[3];
	pthread_t thread;

	stats_init(WRITERS);
	stats_add(&stats_mine()->requests, 5);
	stats_add(&stats_mine()->connections, 7);
	if (pthread_create(&thread, NULL, nine_requests, NULL) || pthread_join(thread, NULL))
		return 2;
	stats_by_worker(3, requests, connections);
	if (connections[0] != 7)
		return 3;
	return requests[0] == 9 && requests[1] == 5 && requests[2] == 0 ? 0 : 4;
}

static void
what_each_worker_counted_is_told_largest_first_and_0_of_those_that_counted_nothing(void **state)
{
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		_exit(told_by_worker());
	wait_for(pid);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_counter_is_summed),
		cmocka_unit_test(a_thread_keeps_its_set),
		cmocka_unit_test(threads_at_the_same_time_have_a_set_each_and_are_summed),
		cmocka_unit_test(children_at_the_same_time_are_summed),
		cmocka_unit_test(a_child_has_a_set_of_its_own),
		cmocka_unit_test(sets_of_ended_threads_are_used_again),
		cmocka_unit_test(sets_of_ended_children_are_used_again),
		cmocka_unit_test(sets_of_killed_children_are_used_again),
		cmocka_unit_test(leaving_twice_does_no_harm),
		cmocka_unit_test(
			what_each_worker_counted_is_told_largest_first_and_0_of_those_that_counted_nothing),
	};

	alarm(120); /* a search for a free set that finds none would go on for ever */
	stats_init(WRITERS);
	return cmocka_run_group_tests_name("stats", tests, NULL, NULL);
}
