// SPDX-License-Identifier: MIT
/*
 * thread_pool: a fixed number of threads, each serving one connection at a time.
 *
 * All threads block in accept(2) on the same socket. The kernel hands each new connection to one
 * of them, which serves it until it ends. This is `blocking`, -w times over: no thread is started
 * while the server runs, and the memory it can take is known beforehand.
 *
 * What to look for: the kernel wakes one thread per connection, not all (accept(2) waits
 * exclusively). A pool survives too many clients by not serving them: connection number -w + 1
 * waits until another ends, even if all the others are idle. Keep-alive and a small pool do not go
 * together.
 *
 * Limits: -w connections at a time (default 128).
 * Needs:  nothing.
 * Try:    build/servers/thread_pool -w 1 -p 9000 &  and two clients: the second one starves.
 */
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "common/die.h"
#include "servers/lib/conn.h"
#include "servers/lib/model.h"

#define STACK_BYTES      (128UL * 1024)
#define BYTES_PER_THREAD (40UL * 1024)

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

static void *work(void *arg)
{
	const struct server *srv = arg;
	int fd;

	while ((fd = server_accept_wait(srv, 0)) >= 0)
		serve(fd);
	return NULL;
}

static void setup(const struct server *srv)
{
	pthread_attr_t attr;
	sigset_t all;
	pthread_t thread;
	int error;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	/* SIGTERM is always the main thread's. */
	sigfillset(&all);
	pthread_attr_setsigmask_np(&attr, &all);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	for (int i = 0; i < srv->workers; i++) {
		error = pthread_create(&thread, &attr, work, (void *)srv);
		if (error)
			die_error(error, "pthread_create", "start fewer threads: -w");
	}
	pthread_attr_destroy(&attr);
}

static void run(const struct server *srv)
{
	server_wait_stop(srv);
}

const struct model model = {
	.name = "thread_pool",
	.summary = "a fixed pool of threads, each serving one connection at a time",
	.family = "blocking",
	.flags = USES_WORKERS | CONN_PER_WORKER,
	.workers = 128,
	.bytes_per_task = BYTES_PER_THREAD,
	.setup = setup,
	.run = run,
};
