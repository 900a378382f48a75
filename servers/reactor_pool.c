// SPDX-License-Identifier: MIT
/*
 * reactor_pool: one epoll loop that only waits, and a pool of threads that do the rest.
 *
 * The loop never receives, sends or computes. It takes what is ready from the kernel, and puts it
 * in a queue. A worker takes a connection from the queue, receives, answers, sends, and gives it
 * back. A slow request (/work, /sleep, or a file from a slow disk) keeps one worker, and neither
 * the loop nor the other connections. Schmidt calls it half-sync/half-async: a layer that waits
 * for all, a layer of plain blocking code, and a queue between them. Tomcat is made like this.
 *
 * What to look for: each request changes threads, although most are quick. Whether one is slow is
 * known when it has been received and read, and then it is in somebody's hands: so it is in those
 * of a worker from the start. (A program that knows which of its calls may block, as nginx and
 * libuv know of files, hands over only these.) EPOLLONESHOT is what makes it safe: a connection is
 * reported once and then not again until a worker asks for it, so it is never in two hands. Giving
 * back is one epoll_ctl(2), and handing over a lock, and a futex(2) if a worker sleeps. With
 * requests as short as ours all that is a good part of what they cost: compare epoll_lt.c.
 * epoll_oneshot.c has no queue: its threads wait for the kernel themselves.
 *
 * A worker that finds nothing to do waits for a semaphore of its own. The usual way is one
 * condition variable for all of them. But with the condition variables of glibc 2.25 to 2.40 a
 * signal can be lost when several threads wait for the same one (its bug 25847): then a connection
 * stays in the queue, and the workers sleep.
 *
 * Limits: descriptors; -w slow requests at a time (default 16), the next one waits in the queue.
 * Needs:  Linux.
 * Try:    build/servers/reactor_pool -P http -w 2 -p 9000 &  curl localhost:9000/sleep/1000000 &
 *         time curl localhost:9000/  and then the same with epoll_lt.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "common/die.h"
#include "servers/lib/conn.h"
#include "servers/lib/model.h"
#include "servers/lib/stats.h"

#define EVENTS      512  /* taken per wait; what is ready beyond that comes with the next */
#define LISTENER    (-1) /* in an event: the listening socket, which is no connection */
#define STACK_BYTES (128UL * 1024)

static int ep;

/* Whose turn it is to look at the queue and at the list of idle workers. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/*
 * Connections that are ready, by descriptor, the oldest at `first`. Each is in it at most once, so
 * it never is full.
 */
static int *queue;
static int n_queued, first, queue_size;

struct worker {
	sem_t called;        /* what it waits for while it is idle */
	struct worker *next; /* of a list of workers */
};
static struct worker *idle; /* the one that became it last comes first */

/* --- the loop's side ------------------------------------------------------------------------ */

static void accept_clients(const struct server *srv)
{
	for (int i = 0; i < srv->accept_batch && server_accepting(srv); i++) {
		int fd = server_accept(srv, SOCK_NONBLOCK);
		struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT};
		struct conn *c;

		if (fd < 0)
			return;
		c = conn_open(fd);
		if (!c)
			continue;
		event.data.fd = conn_hand_over(c);
		if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event)) {
			warn("epoll_ctl: %s; this client is turned away", strerror(errno));
			conn_close(c);
		}
	}
}

/* All that is ready, under one lock; and for each of it one worker is called, if one is idle. */
static void put(const struct epoll_event *events, int n)
{
	struct worker *calling = NULL, *w;

	pthread_mutex_lock(&lock);
	for (int i = 0; i < n; i++) {
		if (events[i].data.fd == LISTENER)
			continue;
		queue[(first + n_queued++) % queue_size] = events[i].data.fd;
		w = idle;
		if (w) {
			idle = w->next;
			w->next = calling;
			calling = w;
		}
	}
	pthread_mutex_unlock(&lock);
	while (calling) {
		w = calling;
		calling = w->next; /* first: once it is called, it may put itself on the list */
		sem_post(&w->called);
	}
}

/* --- the workers' side ---------------------------------------------------------------------- */

static int take(struct worker *w)
{
	int fd;

	pthread_mutex_lock(&lock);
	while (n_queued == 0) { /* also when called: one that was not idle may have been faster */
		w->next = idle;
		idle = w;
		pthread_mutex_unlock(&lock);
		while (sem_wait(&w->called))
			continue; /* interrupted */
		pthread_mutex_lock(&lock);
	}
	fd = queue[first];
	first = (first + 1) % queue_size;
	n_queued--;
	pthread_mutex_unlock(&lock);
	return fd;
}

/* From epoll_ctl(2) on the connection is the loop's again, and the next worker's. */
static void give_back(struct conn *c, bool is_to_read)
{
	struct epoll_event event = {.events = (is_to_read ? EPOLLIN : EPOLLOUT) | EPOLLONESHOT,
				    .data.fd = conn_hand_over(c)};

	if (epoll_ctl(ep, EPOLL_CTL_MOD, event.data.fd, &event))
		conn_close(c);
}

static void serve(struct conn *c)
{
	enum conn_io io = conn_turn(c);

	if (io == IO_CLOSED)
		conn_close(c); /* it is disarmed: no event of it comes again */
	else
		give_back(c, io == IO_OK);
}

static void *work(void *worker)
{
	while (!server_stopping())
		serve(conn_take_over(take(worker)));
	return NULL;
}

/* --- both ----------------------------------------------------------------------------------- */

static void start_workers(int n)
{
	struct worker *workers = calloc((size_t)n, sizeof(*workers));
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all;
	int error;

	if (!workers)
		die_errno("calloc", "start fewer threads: -w");
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	/* SIGTERM is always the main thread's. */
	sigfillset(&all);
	pthread_attr_setsigmask_np(&attr, &all);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	for (int i = 0; i < n; i++) {
		sem_init(&workers[i].called, 0, 0);
		error = pthread_create(&thread, &attr, work, &workers[i]);
		if (error)
			die_error(error, "pthread_create", "start fewer threads: -w");
	}
	pthread_attr_destroy(&attr);
}

static void setup(const struct server *srv)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = LISTENER};

	queue_size = srv->max_conns;
	queue = calloc((size_t)queue_size, sizeof(*queue));
	if (!queue)
		die_errno("calloc", "lower -c");
	ep = epoll_create1(EPOLL_CLOEXEC);
	if (ep < 0)
		die_errno("epoll_create1", NULL);
	if (epoll_ctl(ep, EPOLL_CTL_ADD, srv->listen_fd, &event))
		die_errno("epoll_ctl", NULL);
	start_workers(srv->workers);
}

static void run(const struct server *srv)
{
	struct epoll_event events[EVENTS];
	bool watched = true; /* the listening socket */

	while (!server_stopping()) {
		bool accepting = server_accepting(srv);
		int n;

		if (accepting != watched) {
			struct epoll_event event = {.events = accepting ? EPOLLIN : 0,
						    .data.fd = LISTENER};

			if (epoll_ctl(ep, EPOLL_CTL_MOD, srv->listen_fd, &event))
				die_errno("epoll_ctl", NULL);
			watched = accepting;
		}
		n = epoll_wait(ep, events, EVENTS, server_wait_ms(accepting));
		stats_waited(n);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			die_errno("epoll_wait", NULL);
		}
		put(events, n);
		for (int i = 0; i < n; i++) {
			if (events[i].data.fd == LISTENER)
				accept_clients(srv);
		}
	}
}

const struct model model = {
	.name = "reactor_pool",
	.summary = "one epoll loop that only waits, and workers that receive, answer and send",
	.family = "hybrid",
	.flags = USES_MAX_CONNS | USES_WORKERS | USES_ACCEPT_BATCH,
	.workers = 16,
	.setup = setup,
	.run = run,
	.nonblocking = true,
};
