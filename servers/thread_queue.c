// SPDX-License-Identifier: MIT
/*
 * thread_queue: one thread accepts and puts the connections into a queue; a fixed number of threads
 * take them out and serve one at a time.
 *
 * As thread_pool.c, but only the main thread calls accept(2). Workers wait for the queue, not for
 * the listening socket. The queue is an array behind a mutex, with two condition variables: one for
 * "there is something", one for "there is room".
 *
 * What to look for: where a client waits whom no thread serves yet. In thread_pool.c it is the
 * kernel's backlog: it has not been accepted. Here it is our queue: it holds a descriptor, and the
 * server knows of it, so it could count it, choose another one first, or refuse it. That is what
 * the queue buys. It costs a lock and the wake-up of a second thread for each connection, but
 * nothing for each request. What it does not change: -w silent clients stop -w threads, and all the
 * others wait. A full queue stops the acceptor, and then clients wait in the backlog again.
 *
 * Limits: -w connections at a time (default 128), and as many again in the queue.
 * Needs:  nothing.
 * Try:    build/servers/thread_queue -w 1 -p 9000 &  and three clients; ss -tln sport = 9000
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/die.h"
#include "servers/lib/conn.h"
#include "servers/lib/model.h"

#define STACK_BYTES      (128UL * 1024)
#define BYTES_PER_THREAD (40UL * 1024)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t not_empty = PTHREAD_COND_INITIALIZER;
static pthread_cond_t not_full = PTHREAD_COND_INITIALIZER;

/* Sockets that were accepted and that nobody serves yet, the oldest at `first`. */
static int *queue;
static int n_queued, first, queue_size;

static void put(int fd)
{
	pthread_mutex_lock(&lock);
	queue[(first + n_queued++) % queue_size] = fd;
	pthread_cond_signal(&not_empty);
	pthread_mutex_unlock(&lock);
}

static int take(void)
{
	int fd;

	pthread_mutex_lock(&lock);
	while (n_queued == 0)
		pthread_cond_wait(&not_empty, &lock);
	fd = queue[first];
	first = (first + 1) % queue_size;
	n_queued--;
	pthread_cond_signal(&not_full);
	pthread_mutex_unlock(&lock);
	return fd;
}

/* Only the acceptor puts something in, so there is still room when it does. */
static bool wait_for_room(void)
{
	pthread_mutex_lock(&lock);
	while (n_queued == queue_size && !server_stopping()) {
		/* In slices: a signal does not end a wait for a condition. */
		uint64_t end_ns = clock_now_ns() + 100 * NS_PER_MS;
		struct timespec until = {(time_t)(end_ns / NS_PER_S), (long)(end_ns % NS_PER_S)};

		pthread_cond_clockwait(&not_full, &lock, CLOCK_MONOTONIC, &until);
	}
	pthread_mutex_unlock(&lock);
	return !server_stopping();
}

static void serve(int fd)
{
	struct conn *c = conn_open(fd);

	while (c && !server_stopping()) {
		if (conn_step(c) == IO_CLOSED)
			break;
	}
	if (c)
		conn_close(c);
}

static void *work(void *unused)
{
	(void)unused;
	for (;;)
		serve(take());
	return NULL;
}

static void setup(const struct server *srv)
{
	pthread_attr_t attr;
	sigset_t all;
	pthread_t thread;
	int error;

	queue_size = srv->workers;
	queue = calloc((size_t)queue_size, sizeof(*queue));
	if (!queue)
		die_errno("calloc", "start fewer threads: -w");
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	/* SIGTERM is always the main thread's. */
	sigfillset(&all);
	pthread_attr_setsigmask_np(&attr, &all);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	for (int i = 0; i < srv->workers; i++) {
		error = pthread_create(&thread, &attr, work, NULL);
		if (error)
			die_error(error, "pthread_create", "start fewer threads: -w");
	}
	pthread_attr_destroy(&attr);
}

static void run(const struct server *srv)
{
	/* It accepts more than are served at a time: what is in the queue comes on top. */
	struct server queued = *srv;
	int fd;

	queued.max_conns += queue_size;
	while (wait_for_room() && (fd = server_accept_wait(&queued, 0)) >= 0)
		put(fd);
}

const struct model model = {
	.name = "thread_queue",
	.summary = "one thread accepts into a queue; a fixed pool of threads serves from it",
	.family = "blocking",
	.flags = USES_WORKERS | CONN_PER_WORKER,
	.workers = 128,
	.bytes_per_task = BYTES_PER_THREAD,
	.fds_per_worker = 1, /* its place in the queue */
	.setup = setup,
	.run = run,
};
