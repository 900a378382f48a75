// SPDX-License-Identifier: MIT
#include "servers/lib/children.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/die.h"
#include "servers/lib/stats.h"

/* for children to end after SIGTERM; then SIGKILL */
#define STOP_PATIENCE_S 1

static pid_t *children; /* pids of the living, in no order */
static int n_children;

/* No handler runs between a look at what it changes and a wait. */
static void block_signals(sigset_t *before)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, before);
}

/* It interrupts sigsuspend(2), which a signal without a handler does not. */
static void wake(int signal_number)
{
	(void)signal_number;
}

int children_start(const struct server *srv)
{
	struct sigaction chld = {.sa_handler = wake, .sa_flags = SA_NOCLDSTOP};
	pid_t parent = getpid(), pid;
	sigset_t before;

	children = calloc((size_t)srv->workers, sizeof(*children));
	if (!children)
		die_errno("calloc", "start fewer processes: -w");
	if (sigaction(SIGCHLD, &chld, NULL))
		die_errno("sigaction(SIGCHLD)", NULL);
	block_signals(&before);
	for (int i = 0; i < srv->workers; i++) {
		pid = fork();
		if (pid < 0)
			die_errno("fork", "start fewer processes: -w"); /* they die with us */
		if (pid == 0) {
			signal(SIGCHLD, SIG_DFL);
			server_child(-1, parent);
			sigprocmask(SIG_SETMASK, &before, NULL);
			return i;
		}
		children[n_children++] = pid;
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	return -1;
}

void children_leave(void)
{
	stats_leave();
	_exit(EXIT_SUCCESS); /* not exit(3): what stdio holds is the parent's to print */
}

/* Reap those that have ended. Returns the pid of the last of them, or 0, and sets its *status. */
static pid_t reap(int *status)
{
	pid_t pid, last = 0;
	int how;

	/* Several may have died for one SIGCHLD: signals of one kind do not queue. */
	while ((pid = waitpid(-1, &how, WNOHANG)) > 0) {
		last = pid;
		*status = how;
		for (int i = 0; i < n_children; i++) {
			if (children[i] == pid) {
				children[i] = children[--n_children];
				break;
			}
		}
	}
	return last;
}

static void signal_children(int signal_number)
{
	for (int i = 0; i < n_children; i++)
		kill(children[i], signal_number);
}

static void stop_children(void)
{
	uint64_t deadline = clock_now_ns() + STOP_PATIENCE_S * NS_PER_S;
	sigset_t before, chld;
	int status;

	signal_children(SIGTERM);
	block_signals(&before);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	while (reap(&status), n_children > 0) {
		struct timespec patience = {.tv_nsec = 100 * NS_PER_MS};

		if (clock_now_ns() >= deadline)
			signal_children(SIGKILL);
		sigtimedwait(&chld, NULL, &patience);
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
}

void children_wait(void)
{
	char end[64];
	sigset_t before;
	pid_t lost = 0;
	int status = 0;

	block_signals(&before);
	while (!server_stopping() && !(lost = reap(&status)))
		sigsuspend(&before);
	/* What is pending takes effect now: Ctrl-C goes to the children too. */
	sigprocmask(SIG_SETMASK, &before, NULL);
	stop_children();
	if (!lost || server_stopping())
		return;
	if (WIFSIGNALED(status))
		snprintf(end, sizeof(end), "killed by signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	else
		snprintf(end, sizeof(end), "ended with status %d", WEXITSTATUS(status));
	die(EXIT_FAILURE, "process %d of the pool was %s; the others are stopped: start it again",
	    (int)lost, end);
}
