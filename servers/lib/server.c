// SPDX-License-Identifier: MIT
#include "servers/lib/server.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/die.h"
#include "servers/lib/conn.h"
#include "servers/lib/lifecycle.h"
#include "servers/lib/stats.h"

#define PAUSE_MS 50 /* between two tries to accept while descriptors are short */

static int stopping; /* set in a handler on one thread, read by all: always through __atomic_… */
static volatile sig_atomic_t stop_fd = -1; /* what the handler shuts down: the listening socket */
static volatile sig_atomic_t serving_fd = -1; /* and the connection a single thread may block on */
static bool socket_is_nonblocking;
static __thread uint64_t paused_until_ns;

/* --- stopping -----------------------------------------------------------------------------------
 */

/*
 * Setting a flag is not enough: the signal may come just before the model goes to wait. A socket
 * that has been shut down stays ready for ever, so that no wait on it can sleep through the signal.
 */
static void on_stop(int signal_number)
{
	int saved = errno;

	(void)signal_number;
	__atomic_store_n(&stopping, 1, __ATOMIC_RELAXED);
	shutdown(stop_fd, SHUT_RDWR);
	shutdown(serving_fd, SHUT_RDWR);
	errno = saved;
}

void server_catch_signals(int listen_fd, bool nonblocking)
{
	struct sigaction stop = {.sa_handler = on_stop};
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	stop_fd = listen_fd;
	socket_is_nonblocking = nonblocking;
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
	serving_fd = fd;
	stop_fd = -1;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent_pid)
		_exit(EXIT_FAILURE); /* the parent died before prctl(2) could take effect */
}

/* --- accepting ----------------------------------------------------------------------------------
 */

static int full(int error)
{
	static bool said;

	if (!__atomic_exchange_n(&said, true, __ATOMIC_RELAXED))
		warn("accept: %s; clients wait in the backlog until some are free (ulimit -n)",
		     strerror(error));
	paused_until_ns = clock_now_ns() + PAUSE_MS * NS_PER_MS;
	return ACCEPT_FULL;
}

int server_accepted(const struct server *srv, int res)
{
	(void)srv;
	if (res >= 0) {
		stats_add(&stats_mine()->connections, 1);
		return res;
	}
	if (server_stopping())
		return ACCEPT_STOPPED;
	switch (-res) {
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
		return full(-res);
	}
	die_error(-res, "accept", NULL);
}

int server_accept(const struct server *srv)
{
	int flags = SOCK_CLOEXEC | (socket_is_nonblocking ? SOCK_NONBLOCK : 0);
	int fd, res;

	do {
		fd = accept4(srv->listen_fd, NULL, NULL, flags);
		if (fd >= 0 && server_stopping()) {
			close(fd);
			return ACCEPT_STOPPED;
		}
		res = server_accepted(srv, fd >= 0 ? fd : -errno);
	} while (res == ACCEPT_EMPTY && errno != EAGAIN);
	return res;
}

int server_accept_wait(const struct server *srv)
{
	int fd;

	while ((fd = server_accept(srv)) == ACCEPT_FULL || fd == ACCEPT_EMPTY)
		poll(NULL, 0, PAUSE_MS);
	return fd;
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

int server_wait_ms(const struct server *srv)
{
	return server_accepting(srv) ? -1 : PAUSE_MS;
}

/* --- limits -------------------------------------------------------------------------------------
 */

/* The number after `key` in a file of the kernel's, or LLONG_MAX ("max", or no such file). */
static long long kernel_number(const char *path, const char *key)
{
	FILE *file = fopen(path, "re");
	long long value = LLONG_MAX;
	char line[256];

	if (!file)
		return value;
	while (fgets(line, sizeof(line), file)) {
		if (strncmp(line, key, strlen(key)) == 0) {
			char *end, *digits = line + strlen(key);
			long long n = strtoll(digits, &end, 10);

			if (end != digits)
				value = n;
			break;
		}
	}
	fclose(file);
	return value;
}

/* The pids.max of this process's control group, version 1 or 2. */
static long long cgroup_pids_max(void)
{
	FILE *file = fopen("/proc/self/cgroup", "re");
	long long least = LLONG_MAX;
	char line[512], path[640];

	if (!file)
		return least;
	while (fgets(line, sizeof(line), file)) {
		char *controller = strchr(line, ':');
		char *group = controller ? strchr(controller + 1, ':') : NULL;
		const char *mount = NULL;
		long long max;

		if (!group)
			continue;
		*group++ = '\0';
		group[strcspn(group, "\n")] = '\0';
		if (strcmp(controller, ":pids") == 0)
			mount = "/sys/fs/cgroup/pids";
		else if (strcmp(controller, ":") == 0)
			mount = "/sys/fs/cgroup";
		if (!mount)
			continue;
		snprintf(path, sizeof(path), "%s%s/pids.max", mount, group);
		max = kernel_number(path, "");
		if (max < least)
			least = max;
	}
	fclose(file);
	return least;
}

int server_task_limit(int most, size_t bytes_per_task, const char **reason)
{
	struct rlimit nproc = {RLIM_INFINITY, RLIM_INFINITY};
	long long memory_kib = kernel_number("/proc/meminfo", "MemAvailable:");
	long long least = most;
	struct {
		long long max;
		const char *reason;
	} limits[] = {
		{kernel_number("/proc/sys/kernel/threads-max", ""), "kernel.threads-max"},
		{kernel_number("/proc/sys/kernel/pid_max", ""), "kernel.pid_max"},
		{cgroup_pids_max(), "the control group's pids.max"},
		{LLONG_MAX, "the process limit (ulimit -u)"},
		{LLONG_MAX, "available memory"},
	};

	/* Root is not held to RLIMIT_NPROC. */
	if (geteuid() != 0 && getrlimit(RLIMIT_NPROC, &nproc) == 0 &&
	    nproc.rlim_cur != RLIM_INFINITY)
		limits[3].max = (long long)nproc.rlim_cur;
	if (memory_kib != LLONG_MAX)
		limits[4].max = memory_kib * 1024 / (long long)bytes_per_task;
	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
		/* The machine's other processes need some of it too. */
		long long max = limits[i].max == LLONG_MAX ? LLONG_MAX : limits[i].max / 10 * 9;

		if (max < least) {
			least = max;
			*reason = limits[i].reason;
		}
	}
	return (int)least;
}
