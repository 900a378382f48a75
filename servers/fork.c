// SPDX-License-Identifier: MIT
/*
 * fork: one process per connection.
 *
 * The parent accepts and forks. The child serves the connection with blocking calls, as `blocking`
 * does. The kernel's scheduler does what an event loop would do.
 *
 * What to look for: each connection costs a fork(2). The parent must close its copy of the socket,
 * or the client never sees the end. It must reap every child (SIGCHLD and waitpid(2)), or the dead
 * ones stay as zombies. Ignoring SIGCHLD would reap them too, but would lose the CPU time they
 * used.
 *
 * Limits: processes (kernel.pid_max, ulimit -u, the control group) and about 300 KiB of kernel and
 *         user memory for each. A child that fails takes only its own client with it.
 * Needs:  nothing.
 * Try:    build/servers/fork -p 9000 &  P=$!; nc 127.0.0.1 9000 &  pstree -p $P
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/die.h"
#include "servers/lib/conn.h"
#include "servers/lib/model.h"
#include "servers/lib/stats.h"

/* page tables, kernel stack, copied pages; seen by measuring */
#define BYTES_PER_CHILD (300UL * 1024)
/* for children to end after SIGTERM; then SIGKILL */
#define STOP_PATIENCE_S 1

static pid_t *children; /* pids of the living, in no order */
static volatile sig_atomic_t n_children;

/* Several children may have died for one SIGCHLD: signals of one kind do not queue. */
static void reap(int signal_number)
{
	int saved = errno;
	pid_t pid;

	(void)signal_number;
	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) {
		for (int i = 0; i < n_children; i++) {
			if (children[i] == pid) {
				children[i] = children[--n_children];
				break;
			}
		}
	}
	errno = saved;
}

static _Noreturn void serve(int fd)
{
	struct conn *c = conn_open(fd);

	while (c && !server_stopping()) {
		if (conn_step(c) == IO_CLOSED)
			break;
	}
	if (c)
		conn_close(c);
	stats_leave();
	_exit(EXIT_SUCCESS); /* not exit(3): what stdio holds is the parent's to print */
}

/* No handler runs while the table is changed, or between a look at it and a wait. */
static void block_signals(sigset_t *before)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, before);
}

static void start_child(const struct server *srv, int fd)
{
	pid_t parent = getpid(), pid;
	sigset_t before;

	block_signals(&before);
	pid = fork();
	if (pid == 0) {
		signal(SIGCHLD, SIG_DFL);
		close(srv->listen_fd);
		server_child(fd, parent);
		sigprocmask(SIG_SETMASK, &before, NULL);
		serve(fd);
	}
	if (pid > 0)
		children[n_children++] = pid;
	else
		warn("fork: %s; this client is turned away", strerror(errno));
	server_turn_away(fd); /* the child has its own; or nobody serves it */
	sigprocmask(SIG_SETMASK, &before, NULL);
}

/* At the limit, the next client is accepted when a child has ended. */
static void wait_for_room(const struct server *srv)
{
	sigset_t before;

	block_signals(&before);
	while (n_children >= srv->max_conns && !server_stopping())
		sigsuspend(&before);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

static void signal_children(int signal_number)
{
	sigset_t before;

	block_signals(&before);
	for (int i = 0; i < n_children; i++)
		kill(children[i], signal_number);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

static void stop_children(void)
{
	uint64_t deadline = clock_now_ns() + STOP_PATIENCE_S * NS_PER_S;
	sigset_t before, chld;

	signal_children(SIGTERM);
	block_signals(&before);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	while (n_children > 0) {
		struct timespec patience = {.tv_nsec = 100 * NS_PER_MS};

		sigtimedwait(&chld, NULL, &patience);
		reap(SIGCHLD);
		if (clock_now_ns() >= deadline)
			signal_children(SIGKILL);
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
}

static void setup(const struct server *srv)
{
	struct sigaction chld = {.sa_handler = reap, .sa_flags = SA_NOCLDSTOP};

	children = calloc((size_t)srv->max_conns, sizeof(*children));
	if (!children)
		die_errno("calloc", "lower -c");
	if (sigaction(SIGCHLD, &chld, NULL))
		die_errno("sigaction(SIGCHLD)", NULL);
}

static void run(const struct server *srv)
{
	int fd;

	while ((fd = server_accept_wait(srv, 0)) >= 0) {
		start_child(srv, fd);
		wait_for_room(srv);
	}
	stop_children();
}

const struct model model = {
	.name = "fork",
	.summary = "one process per connection, forked at accept",
	.family = "blocking",
	.flags = USES_MAX_CONNS | CONNS_IN_CHILDREN,
	.bytes_per_task = BYTES_PER_CHILD,
	.setup = setup,
	.run = run,
};
