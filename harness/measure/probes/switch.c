// SPDX-License-Identifier: MIT
/*
 * switch MODEL N: what it takes to leave the code of one connection and go on in that of the next,
 * among N that take turns. MODEL coroutine: fibers, there and back by way of a loop, as in
 * servers/coroutine.c. thread: threads on one CPU, each of which wakes the next and waits (futex).
 *
 * {"switch_ns": X, "syscall_ns": Y}: CPU time of the process for one such change, user and kernel,
 * and for the shortest system call (getppid); medians of the batches.
 */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/die.h"
#include "common/parse.h"
#include "servers/lib/fiber.h"

enum { BATCHES = 31, CHANGES = 5000, MOST = 1000, STACK = 32768 };

static _Atomic unsigned turn[MOST]; /* 1: this one may go on */
static struct fiber *fibers[MOST];
static int count, last;
static int changes; /* in a batch: whole rounds of all N */

static double cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Of one change, in ns: the median over batches of `changes` each. */
static double median_ns(void (*batch)(void))
{
	double ns[BATCHES];

	batch(); /* stacks and caches */
	for (int i = 0; i < BATCHES; i++) {
		double before = cpu_ns();

		batch();
		ns[i] = (cpu_ns() - before) / changes;
	}
	qsort(ns, BATCHES, sizeof(*ns), by_size);
	return ns[BATCHES / 2];
}

static void call_kernel(void)
{
	for (int i = 0; i < changes; i++)
		syscall(SYS_getppid);
}

static void pause_always(void *unused)
{
	(void)unused;
	for (;;)
		fiber_pause();
}

static void run_fibers(void)
{
	for (int i = 0; i < changes; i++, last = (last + 1) % count)
		fiber_run(fibers[last]);
}

static void wait_turn(int me)
{
	unsigned expected = 1;

	while (!atomic_compare_exchange_strong(&turn[me], &expected, 0)) {
		expected = 1;
		syscall(SYS_futex, &turn[me], FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
	}
}

static void give_turn(int next)
{
	atomic_store(&turn[next], 1);
	syscall(SYS_futex, &turn[next], FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void *pass_on(void *arg)
{
	int me = (int)(long)arg;

	for (;;) {
		wait_turn(me);
		give_turn((me + 1) % count);
	}
	return NULL;
}

/* This thread is number 0 of them. */
static void run_threads(void)
{
	for (int i = 0; i < changes; i += count) {
		give_turn(1);
		wait_turn(0);
	}
}

static void stay_on_one_cpu(void)
{
	cpu_set_t allowed, one;
	size_t cpu = 0;

	if (sched_getaffinity(0, sizeof(allowed), &allowed))
		die_errno("sched_getaffinity", NULL);
	while (!CPU_ISSET(cpu, &allowed))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		die_errno("sched_setaffinity", NULL);
}

static void make(const char *model)
{
	pthread_t thread;

	for (int i = 0; i < count; i++) {
		if (!strcmp(model, "coroutine")) {
			fibers[i] = fiber_new(STACK, pause_always, NULL);
			if (!fibers[i])
				die_errno("fiber_new", "vm.max_map_count");
		} else if (i > 0) {
			errno = pthread_create(&thread, NULL, pass_on, (void *)(long)i);
			if (errno)
				die_errno("pthread_create", "ulimit -u");
		}
	}
}

int main(int argc, char **argv)
{
	double one, shortest;

	if (argc != 3 || (strcmp(argv[1], "coroutine") && strcmp(argv[1], "thread")))
		die(EXIT_BAD_USAGE, "usage: switch coroutine|thread N");
	count = (int)opt_int("N", argv[2], 2, MOST);
	changes = CHANGES / count * count;
	stay_on_one_cpu();
	make(argv[1]);
	one = median_ns(strcmp(argv[1], "thread") ? run_fibers : run_threads);
	shortest = median_ns(call_kernel);
	printf("{\"switch_ns\": %.2f, \"syscall_ns\": %.2f}\n", one, shortest);
	fflush(stdout);
	_exit(0); /* the threads wait for ever */
}
