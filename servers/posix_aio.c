// SPDX-License-Identifier: MIT
/*
 * posix_aio: completion, POSIX asynchronous I/O (POSIX.1b, 1993), as glibc makes it.
 *
 * The program does not wait until it could read. It asks for a read (aio_read) and goes on. When
 * the bytes are in its buffer it is told, here by a real-time signal. The signal carries the
 * descriptor, and is taken from a queue with sigwaitinfo(2).
 *
 * What to look for: Linux has no such call for sockets. glibc starts a thread that blocks in
 * read(2) for every pending request, so this is `thread` in disguise, with two more switches for
 * each operation. aio_init() must allow one thread per connection, or the 21st connection starves.
 * glibc tries pread(2) first, which fails on a socket with ESPIPE: look at it with strace -f.
 * There is no aio_accept(), so a thread accepts, and hands each connection over to the main thread.
 * What the call was made for is a file: GET /file/NAME. Compare io_uring.c, where the kernel does
 * it all.
 *
 * Limits: threads, queued signals (ulimit -i), and a buffer for every connection, idle or not.
 *         glibc keeps all pending requests in one list, sorted by descriptor, behind one lock, and
 *         walks it for each new one (aio_misc.c): at thousands of busy connections little else
 *         happens.
 *         4000 connections, for the sake of that lock. When thousands of requests end at once, as
 *         many threads sleep in its queue, and the main thread somewhere among them: aio_error()
 *         takes the lock, too. Unlocking wakes one. By the time that one has a CPU, another thread
 *         that was running may have taken the lock, and it sleeps again, at the end of the queue.
 *         So the queue gets shorter by one thread per wake-up, which beside busy programs takes
 *         milliseconds. Beside six busy programs and more on two CPUs, clients that all sent at
 *         once were seen to hear nothing for up to 2.5 s where they were 1000, 19 s where they were
 *         4000, and 21 s where they were 10,000. It looks like a deadlock, and is none:
 *         gdb -p PID -batch -ex bt -ex 'p __aio_requests_mutex' (it needs libc6-dbg) shows main()
 *         in aio_error(), and a lock that nobody has.
 * Needs:  glibc.
 * Try:    build/servers/posix_aio -p 9000 &  P=$!; nc 127.0.0.1 9000 &  ls /proc/$P/task
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
#define NO_CONN        (-1)          /* in a signal: instead of a connection's descriptor */
#define MOST_CONNS     4000          /* see Limits */

static sigset_t completion; /* the signal that says so */

/*
 * By descriptor; untouched, and so no memory, while unused. Not in the connection, which is freed:
 * glibc looks at a request for a moment longer than it takes to tell us that it is done.
 */
static struct aiocb *requests;
static sem_t room; /* how many more connections may be open */

static void drop(struct conn *c)
{
	conn_close(c); /* from here on the descriptor, and with it the request, may be another's */
	sem_post(&room);
}

/*
 * Start what the connection waits for. Its completion is the main thread's, and may be there at
 * once: from the hand-over on, the connection is not ours.
 */
static void submit(struct conn *c)
{
	enum conn_op op;
	struct aiocb *cb = &requests[conn_fd(c)];
	size_t len;
	char *buf;

	while (conn_next(c) == OP_SHUTDOWN)
		conn_step(c); /* which does not wait, and has no aio_ call */
	op = conn_next(c);
	buf = conn_buf(c, &len);
	*cb = (struct aiocb){
		.aio_fildes = conn_fd(c),
		.aio_buf = buf,
		.aio_nbytes = len,
		.aio_sigevent = {.sigev_notify = SIGEV_SIGNAL,
				 .sigev_signo = SIGRTMIN,
				 .sigev_value.sival_int = conn_fd(c)},
	};
	if (op == OP_READ)
		conn_file(c, &cb->aio_fildes, &cb->aio_offset);
	conn_hand_over(c);
	if (op == OP_SEND ? aio_write(cb) : aio_read(cb)) {
		warn("aio: %s; this client is turned away", strerror(errno));
		drop(c);
	}
}

static void complete(int fd)
{
	struct conn *c = conn_take_over(fd);
	int error = aio_error(&requests[fd]);
	ssize_t res = aio_return(&requests[fd]);

	if (conn_done(c, error ? -error : res) == IO_CLOSED)
		drop(c);
	else
		submit(c);
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

	while (wait_for_room() && (fd = server_accept_wait(srv, 0)) >= 0) {
		struct conn *c = conn_open(fd);

		if (c)
			submit(c);
		else
			sem_post(&room);
	}
	sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = NO_CONN}); /* tell run() */
	return NULL;
}

static void setup(const struct server *srv)
{
	struct aioinit init = {
		.aio_threads = srv->max_conns, .aio_num = srv->max_conns, .aio_idle_time = 1};
	pthread_t thread;
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
}

static void run(const struct server *srv)
{
	siginfo_t info;

	(void)srv;
	while (!server_stopping()) {
		if (sigwaitinfo(&completion, &info) < 0) {
			if (errno == EINTR)
				continue;
			die_errno("sigwaitinfo", NULL);
		}
		stats_waited(1);
		if (info.si_value.sival_int != NO_CONN)
			complete(info.si_value.sival_int);
	}
}

/* A completion that finds the queue of signals full is lost, and with it the connection. */
static void probe(struct limit *limit)
{
	struct rlimit queued;

	if (getrlimit(RLIMIT_SIGPENDING, &queued) == 0 && queued.rlim_cur < (rlim_t)limit->conns)
		*limit = (struct limit){(int)queued.rlim_cur, "queued signals (ulimit -i)"};
}

const struct model model = {
	.name = "posix_aio",
	.summary = "aio_read and aio_write, completions by real-time signal",
	.family = "completion",
	.needs = "glibc",
	.flags = USES_MAX_CONNS,
	.most = {MOST_CONNS, "glibc's one lock for all requests"},
	.bytes_per_task = BYTES_PER_CONN,
	.probe = probe,
	.setup = setup,
	.run = run,
};
