// SPDX-License-Identifier: MIT
/*
 * thread: one thread per connection.
 *
 * As `fork`, with threads. The main thread accepts and starts a thread, which serves its client
 * with blocking calls. It is the straight line of `blocking`, once for each client.
 *
 * What to look for: threads share everything, so nothing has to be copied or closed twice. One
 * thread that crashes takes all clients with it. A stack is only address space until it is touched:
 * try --stack-bytes, and look at VmSize and VmRSS in /proc/PID/status.
 *
 * Limits: threads (kernel.threads-max, kernel.pid_max, the control group) and descriptors; a
 *         context switch for almost every request.
 * Needs:  nothing.
 * Try:    build/servers/thread -p 9000 &  P=$!; nc 127.0.0.1 9000 &  ls /proc/$P/task
 */
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "common/die.h"
#include "servers/lib/conn.h"
#include "servers/lib/model.h"

#define STACK_LEAST      (128L * 1024) /* what pthread_attr_setstacksize(3) takes everywhere */
#define STACK_MOST       (8L << 20)    /* what a thread gets where nobody says anything */
#define BYTES_PER_THREAD (40UL * 1024) /* kernel stack, touched pages, a buffer */

static long stack_bytes = STACK_LEAST; /* address space; a page or three of it is touched */
static pthread_attr_t attr;
static sem_t room; /* how many more connections may be open */

static void *serve(void *arg)
{
	struct conn *c = conn_open((int)(intptr_t)arg);

	while (c && !server_stopping()) {
		if (conn_step(c) == IO_CLOSED)
			break;
	}
	if (c)
		conn_close(c);
	sem_post(&room);
	return NULL;
}

static void start_thread(int fd)
{
	pthread_t thread;
	int error = pthread_create(&thread, &attr, serve, (void *)(intptr_t)fd);

	if (error) {
		warn("pthread_create: %s; this client is turned away", strerror(error));
		server_turn_away(fd);
		sem_post(&room);
	}
}

/* At the limit, the next client is accepted when a thread has ended. */
static bool wait_for_room(void)
{
	struct timespec until;

	do { /* in slices: SIGTERM may come just before the wait, and may go to another thread */
		if (server_stopping())
			return false;
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec++;
	} while (sem_clockwait(&room, CLOCK_MONOTONIC, &until));
	return true;
}

static void setup(const struct server *srv)
{
	sigset_t all;

	sem_init(&room, 0, (unsigned)srv->max_conns);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, (size_t)stack_bytes);
	/* SIGTERM is always the main thread's. */
	sigfillset(&all);
	pthread_attr_setsigmask_np(&attr, &all);
	/* Nobody joins them: at the end, those that block in recv(2) are left to exit(3). */
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
}

static void run(const struct server *srv)
{
	int fd;

	while (wait_for_room() && (fd = server_accept_wait(srv, 0)) >= 0)
		start_thread(fd);
}

static const struct model_option options[] = {
	{"stack-bytes", "BYTES", "address space of a thread's stack (default 131072)", STACK_LEAST,
	 STACK_MOST, &stack_bytes},
	{0},
};

const struct model model = {
	.name = "thread",
	.summary = "one thread per connection, started at accept",
	.family = "blocking",
	.flags = USES_MAX_CONNS,
	.bytes_per_task = BYTES_PER_THREAD,
	.setup = setup,
	.run = run,
	.options = options,
};
