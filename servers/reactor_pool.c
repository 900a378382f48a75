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
 * Limits: descriptors; -w slow requests at a time (default 16), the next one waits in the queue.
 * Needs:  Linux.
 * Try:    build/servers/reactor_pool -P http -w 2 -p 9000 &  curl localhost:9000/sleep/1000000 &
 *         time curl localhost:9000/  and then the same with epoll_lt.
 */
#include <errno.h>
#include <pthread.h>
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

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t not_empty = PTHREAD_COND_INITIALIZER;

/*
 * Connections that are ready, by descriptor, the oldest at `first`. Each is in it at most once, so
 * it never is full.
 */
static int *queue;
static int n_queued, first, queue_size;
static int n_idle; /* workers that wait for it to be filled */

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

/* All that is ready, under one lock; and no more workers woken than there is work for. */
static void put(const struct epoll_event *events, int n)
{
	int wake;

	pthread_mutex_lock(&lock);
	for (int i = 0; i < n; i++) {
		if (events[i].data.fd != LISTENER)
			queue[(first + n_queued++) % queue_size] = events[i].data.fd;
	}
	wake = n_idle < n_queued ? n_idle : n_queued;
	pthread_mutex_unlock(&lock);
	while (wake-- > 0)
		pthread_cond_signal(&not_empty);
}

/* --- the workers' side ---------------------------------------------------------------------- */

static int take(void)
{
	int fd;

	pthread_mutex_lock(&lock);
	n_idle++;
	while (n_queued == 0)
		pthread_cond_wait(&not_empty, &lock);
	n_idle--;
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

static void *work(void *unused)
{
	(void)unused;
	while (!server_stopping())
		serve(conn_take_over(take()));
	return NULL;
}

/* --- both ----------------------------------------------------------------------------------- */

static void start_workers(int n)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all;
	int error;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	/* SIGTERM is always the main thread's. */
	sigfillset(&all);
	pthread_attr_setsigmask_np(&attr, &all);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	for (int i = 0; i < n; i++) {
		error = pthread_create(&thread, &attr, work, NULL);
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
