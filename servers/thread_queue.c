// SPDX-License-Identifier: MIT
/*
 * thread_queue: one thread accepts and puts the connections into a queue; a fixed number of threads
 * take them out and serve one at a time.
 *
 * As thread_pool.c, but only the main thread calls accept(2). Workers wait for the queue, not for
 * the listening socket. The queue is an array behind a mutex, with two semaphores: one counts the
 * clients in it, which workers wait for, and one the free places, which the acceptor waits for.
 * (Two condition variables would do as well, but glibc 2.25 to 2.40 may lose a signal when several
 * threads wait for the same one, its bug 25847: then a client stays in the queue beside idle
 * workers.)
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
#include <semaphore.h>
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

/* Sockets that were accepted and that nobody serves yet, the oldest at `first`. */
static int *queue;
static int n_queued, first, queue_size;
static sem_t clients, room; /* in the queue: what is to be taken, and what may be put */

/* There is room: wait_for_room() said so. */
static void put(int fd)
{
	pthread_mutex_lock(&lock);
	queue[(first + n_queued++) % queue_size] = fd;
	pthread_mutex_unlock(&lock);
	sem_post(&clients);
}

static int take(void)
{
	int fd;

	while (sem_wait(&clients))
		continue; /* interrupted */
	pthread_mutex_lock(&lock);
	fd = queue[first];
	first = (first + 1) % queue_size;
	n_queued--;
	pthread_mutex_unlock(&lock);
	sem_post(&room);
	return fd;
}

/* Have a place in the queue for the next client. False when the server is to stop. */
static bool wait_for_room(void)
{
	while (!server_stopping()) {
		/* In slices: the signal may come just before the wait, and would not end it. */
		uint64_t end_ns = clock_now_ns() + 100 * NS_PER_MS;
		struct timespec until = {(time_t)(end_ns / NS_PER_S), (long)(end_ns % NS_PER_S)};

		if (sem_clockwait(&room, CLOCK_MONOTONIC, &until) == 0)
			return true;
	}
	return false;
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
	sem_init(&clients, 0, 0);
	sem_init(&room, 0, (unsigned)queue_size);
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
