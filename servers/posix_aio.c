// SPDX-License-Identifier: MIT
/*
 * posix_aio: completion, POSIX asynchronous I/O (POSIX.1b, 1993), as glibc makes it.
 *
 * The program does not wait until it could read: it asks for a read (aio_read), goes on, and is
 * told when the bytes are in its buffer, here by a real-time signal that carries a pointer to the
 * request and is taken from a queue with sigwaitinfo(2).
 *
 * What to look for: Linux has no such call for sockets. glibc starts a thread that blocks in
 * read(2) for every pending request, so this is `thread` in disguise, with two more switches for
 * each operation. aio_init() must allow one thread per connection, or the 21st connection starves.
 * glibc tries pread(2) first, which fails on a socket with ESPIPE: look at it with strace -f.
 * There is no aio_accept(), so a thread accepts. Compare io_uring.c, where the kernel does it all.
 *
 * Limits: threads, queued signals (ulimit -i), and a buffer for every connection, idle or not.
 *         glibc keeps all pending requests in one list, sorted by descriptor, behind one lock, and
 *         walks it for each new one (aio_misc.c): at thousands of busy connections little else
 *         happens.
 * Needs:  glibc.
 * Try:    build/servers/posix_aio -p 9000 &  nc 127.0.0.1 9000 &  ls /proc/$!/task
 */
#include <aio.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "common/die.h"
#include "servers/lib/conn.h"
#include "servers/lib/model.h"
#include "servers/lib/stats.h"

#define BYTES_PER_CONN (64UL * 1024) /* a helper's kernel stack and touched pages, a buffer */

struct request {
	struct aiocb cb;
	struct conn *conn;
	unsigned handed_over;
};

static struct request *requests; /* by descriptor; untouched, and so no memory, while unused */
static sem_t room;               /* how many more connections may be open */

/*
 * A request goes from the thread that accepts to the main thread with its first completion, and
 * back with its descriptor's number. Both ways lead through the kernel, which C knows nothing of:
 * what one thread wrote must be published to the other.
 */
static void hand_over(struct request *r)
{
	__atomic_store_n(&r->handed_over, 1, __ATOMIC_RELEASE);
}

static void take_over(const struct request *r)
{
	(void)__atomic_load_n(&r->handed_over, __ATOMIC_ACQUIRE);
}

static void drop(struct request *r)
{
	hand_over(r);
	conn_close(r->conn); /* from here on the descriptor, and with it *r, may be another's */
	sem_post(&room);
}

/* Start what the connection waits for. Its completion belongs to the main thread. */
static void submit(struct request *r)
{
	size_t len;
	char *buf = conn_buf(r->conn, &len);
	bool to_send = conn_next(r->conn) == OP_SEND;
	int failed;

	r->cb = (struct aiocb){
		.aio_fildes = conn_fd(r->conn),
		.aio_buf = buf,
		.aio_nbytes = len,
		.aio_sigevent = {.sigev_notify = SIGEV_SIGNAL,
				 .sigev_signo = SIGRTMIN,
				 .sigev_value.sival_ptr = r},
	};
	hand_over(r); /* once submitted it may complete at once, in the main thread */
	failed = to_send ? aio_write(&r->cb) : aio_read(&r->cb);
	if (failed) {
		warn("aio: %s; this client is turned away", strerror(errno));
		drop(r);
	}
}

static void complete(struct request *r)
{
	int error;
	ssize_t res;

	take_over(r);
	error = aio_error(&r->cb);
	res = aio_return(&r->cb);
	if (conn_done(r->conn, error ? -error : res) == IO_CLOSED)
		drop(r);
	else
		submit(r);
}

/* At the limit, the next client is accepted when a connection has ended. */
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

static void *accept_clients(void *arg)
{
	const struct server *srv = arg;
	int fd;

	while (wait_for_room() && (fd = server_accept_wait(srv)) >= 0) {
		struct request *r = &requests[fd];

		take_over(r);
		r->conn = conn_open(fd);
		if (r->conn)
			submit(r);
		else
			sem_post(&room);
	}
	sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_ptr = NULL}); /* tell run() */
	return NULL;
}

static void run(const struct server *srv)
{
	struct aioinit init = {
		.aio_threads = srv->max_conns, .aio_num = srv->max_conns, .aio_idle_time = 1};
	pthread_t thread;
	sigset_t completion;
	siginfo_t info;
	int error;

	/* Blocked everywhere, before any thread exists: a completion is taken, never delivered. */
	sigemptyset(&completion);
	sigaddset(&completion, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &completion, NULL);
	aio_init(&init);
	requests = calloc((size_t)sysconf(_SC_OPEN_MAX), sizeof(*requests));
	if (!requests)
		die_errno("calloc", "lower the descriptor limit (ulimit -n)");
	sem_init(&room, 0, (unsigned)srv->max_conns);
	error = pthread_create(&thread, NULL, accept_clients, (void *)srv);
	if (error)
		die_error(error, "pthread_create", NULL);
	pthread_detach(thread);
	while (!server_stopping()) {
		if (sigwaitinfo(&completion, &info) < 0) {
			if (errno == EINTR)
				continue;
			die_errno("sigwaitinfo", NULL);
		}
		stats_waited(1);
		if (info.si_value.sival_ptr)
			complete(info.si_value.sival_ptr);
	}
}

static int limit(int fds, int workers, const char **reason)
{
	int tasks = server_task_limit(fds, BYTES_PER_CONN, reason);
	struct rlimit queued;

	(void)workers;
	/* A completion that finds the queue full is lost, and with it the connection. */
	if (getrlimit(RLIMIT_SIGPENDING, &queued) == 0 && queued.rlim_cur < (rlim_t)tasks) {
		*reason = "queued signals (ulimit -i)";
		return (int)queued.rlim_cur;
	}
	return tasks;
}

const struct model model = {
	.name = "posix_aio",
	.summary = "aio_read and aio_write, completions by real-time signal",
	.family = "completion",
	.needs = "glibc",
	.flags = USES_MAX_CONNS,
	.limit = limit,
	.run = run,
};
