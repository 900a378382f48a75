// SPDX-License-Identifier: MIT
#include "servers/lib/server.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/die.h"
#include "servers/lib/conn.h"
#include "servers/lib/lifecycle.h"
#include "servers/lib/stats.h"

#define PAUSE_MS     50    /* between two tries to accept while descriptors are short */
#define STOP_FDS_MAX 65536 /* untouched, and so no memory, as far as it is not used */

static int stopping; /* set in a handler on one thread, read by all: always through __atomic_… */
static int stop_fds[STOP_FDS_MAX]; /* what the handler shuts down: listening sockets and the like */
static int n_stop_fds;             /* written after the entry it counts */
static volatile sig_atomic_t serving_fd = -1; /* and the connection a single thread may block on */
static __thread uint64_t paused_until_ns;
static bool is_child;

/* --- stopping ------------------------------------------------------------------------------- */

/*
 * Setting a flag is not enough: the signal may come just before the model goes to wait. A socket
 * that has been shut down stays ready for ever, so that no wait on it can sleep through the signal.
 */
static void on_stop(int signal_number)
{
	int saved = errno;

	(void)signal_number;
	__atomic_store_n(&stopping, 1, __ATOMIC_RELAXED);
	for (int i = __atomic_load_n(&n_stop_fds, __ATOMIC_ACQUIRE); i > 0; i--)
		shutdown(__atomic_load_n(&stop_fds[i - 1], __ATOMIC_RELAXED), SHUT_RDWR);
	shutdown(serving_fd, SHUT_RDWR);
	errno = saved;
}

void server_stop_also(int fd)
{
	static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

	pthread_mutex_lock(&one_at_a_time);
	assert(n_stop_fds < STOP_FDS_MAX);
	__atomic_store_n(&stop_fds[n_stop_fds], fd, __ATOMIC_RELAXED);
	__atomic_store_n(&n_stop_fds, n_stop_fds + 1, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&one_at_a_time);
	if (server_stopping())
		shutdown(fd, SHUT_RDWR); /* the handler may have looked too early */
}

void server_catch_signals(int listen_fd)
{
	struct sigaction stop = {.sa_handler = on_stop};
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	server_stop_also(listen_fd);
	if (sigaction(SIGTERM, &stop, NULL) || sigaction(SIGINT, &stop, NULL) ||
	    sigaction(SIGPIPE, &ignore, NULL))
		die_errno("sigaction", NULL);
}

bool server_stopping(void)
{
	return __atomic_load_n(&stopping, __ATOMIC_RELAXED);
}

void server_wait_stop(const struct server *srv)
{
	/* No event is asked for, but POLLHUP is always told: the handler's shutdown(2) causes it.
	 */
	struct pollfd listening = {.fd = srv->listen_fd};

	while (!server_stopping())
		poll(&listening, 1, -1);
}

void server_serving(int fd)
{
	serving_fd = fd;
}

void server_child(int fd, int parent_pid)
{
	__atomic_store_n(&n_stop_fds, 0, __ATOMIC_RELEASE);
	serving_fd = fd;
	is_child = true;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent_pid)
		_exit(EXIT_FAILURE); /* the parent died before prctl(2) could take effect */
}

/* --- accepting ------------------------------------------------------------------------------ */

static int full(int error)
{
	static bool said;

	if (!__atomic_exchange_n(&said, true, __ATOMIC_RELAXED))
		warn("accept: %s; clients wait in the backlog until some are free (ulimit -n)",
		     strerror(error));
	paused_until_ns = clock_now_ns() + PAUSE_MS * NS_PER_MS;
	return ACCEPT_FULL;
}

/* accept(2) failed with `error`, an errno. */
static int not_accepted(int error)
{
	/* The parent got SIGTERM and shut the listening socket down; ours is on its way. */
	if (is_child && error == EINVAL)
		__atomic_store_n(&stopping, 1, __ATOMIC_RELAXED);
	if (server_stopping())
		return ACCEPT_STOPPED;
	switch (error) {
	case EAGAIN:
	/* The client gave up while queued, or the network failed under it: accept(2), "Errors". */
	case ECONNABORTED:
	case EINTR:
	case EPERM:
	case EPROTO:
	case ENETDOWN:
	case ENOPROTOOPT:
	case EHOSTDOWN:
	case ENONET:
	case EHOSTUNREACH:
	case EOPNOTSUPP:
	case ENETUNREACH:
	case ETIMEDOUT:
		return ACCEPT_EMPTY;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		return full(error);
	}
	die_error(error, "accept", NULL);
}

int server_accepted(const struct server *srv, int res)
{
	(void)srv;
	if (res < 0)
		return not_accepted(-res);
	conn_slot_take(INT_MAX);
	conn_slot_use(res);
	stats_add(&stats_mine()->connections, 1);
	return res;
}

int server_accept(const struct server *srv, int flags)
{
	int fd, res, error = 0;

	if (!conn_slot_take(srv->max_conns))
		return ACCEPT_FULL;
	do {
		fd = accept4(srv->listen_fd, NULL, NULL, SOCK_CLOEXEC | flags);
		if (fd >= 0 && !server_stopping()) {
			conn_slot_use(fd);
			stats_add(&stats_mine()->connections, 1);
			return fd;
		}
		if (fd >= 0) {
			close(fd);
			res = ACCEPT_STOPPED;
		} else {
			error = errno;
			res = not_accepted(error);
		}
	} while (res == ACCEPT_EMPTY && error != EAGAIN);
	conn_slot_give();
	return res;
}

int server_accept_wait(const struct server *srv, int flags)
{
	int fd;

	while ((fd = server_accept(srv, flags)) == ACCEPT_FULL || fd == ACCEPT_EMPTY) {
		if (server_stopping())
			return ACCEPT_STOPPED;
		poll(NULL, 0, PAUSE_MS);
	}
	return fd;
}

void server_turn_away(int fd)
{
	conn_slot_clear(fd);
	close(fd);
}

bool server_accepting(const struct server *srv)
{
	if (conn_count() >= srv->max_conns) {
		static bool said;

		if (!__atomic_exchange_n(&said, true, __ATOMIC_RELAXED))
			warn("%d connections are open, which is the limit; further clients wait "
			     "in the backlog",
			     srv->max_conns);
		return false;
	}
	if (paused_until_ns && clock_now_ns() >= paused_until_ns)
		paused_until_ns = 0;
	return !paused_until_ns;
}

int server_wait_ms(bool accepting)
{
	return accepting ? -1 : PAUSE_MS;
}
