// SPDX-License-Identifier: MIT
/*
 * numbered MODEL NUMBER [own]: one descriptor of that number is ready, and nothing else is asked
 * for. Is it reported? MODEL: select, poll or epoll_lt. own: select is given a set of our own, as
 * large as the number needs, in place of an fd_set.
 *
 * {"probe_worked": 1}: it was reported. 0: it was not, or the C library ended the program that
 * put such a number into an fd_set.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/die.h"
#include "common/parse.h"

#define MOST 1000000

/* A socket of that number, which has a byte to be read. */
static void make_ready(int number)
{
	struct rlimit limit;
	int pair[2];

	if (getrlimit(RLIMIT_NOFILE, &limit))
		die_errno("getrlimit", NULL);
	limit.rlim_cur = limit.rlim_max;
	if ((rlim_t)number >= limit.rlim_max)
		die(EXIT_UNSUPPORTED, "descriptor %d: the limit is %llu (ulimit -Hn)", number,
		    (unsigned long long)limit.rlim_max);
	if (setrlimit(RLIMIT_NOFILE, &limit) || socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		die_errno("socketpair", NULL);
	if (dup2(pair[0], number) < 0 || write(pair[1], "x", 1) != 1)
		die_errno("dup2", NULL);
}

/* In a process of its own, which the C library may end. */
static bool select_fd_set(int number)
{
	pid_t child = fork();
	int status;

	if (child < 0)
		die_errno("fork", NULL);
	if (!child) {
		struct timeval now = {0};
		struct rlimit none = {0};
		fd_set set;

		setrlimit(RLIMIT_CORE, &none);
		if (!freopen("/dev/null", "w", stderr)) /* it says so, too */
			_exit(2);
		FD_ZERO(&set);
		FD_SET(number, &set);
		_exit(select(number + 1, &set, NULL, NULL, &now) == 1 ? 0 : 1);
	}
	if (waitpid(child, &status, 0) < 0)
		die_errno("waitpid", NULL);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool select_own_set(int number)
{
	size_t bits = 8 * sizeof(unsigned long), words = (size_t)number / bits + 1;
	unsigned long *set = calloc(words, sizeof(*set));
	struct timeval now = {0};
	bool told;

	if (!set)
		die_errno("calloc", NULL);
	set[(size_t)number / bits] |= 1UL << ((size_t)number % bits);
	told = select(number + 1, (fd_set *)(void *)set, NULL, NULL, &now) == 1;
	free(set);
	return told;
}

static bool by_poll(int number)
{
	struct pollfd one = {.fd = number, .events = POLLIN};

	return poll(&one, 1, 0) == 1 && one.revents & POLLIN;
}

static bool by_epoll(int number)
{
	struct epoll_event one = {.events = EPOLLIN};
	int epfd = epoll_create1(EPOLL_CLOEXEC);

	if (epfd < 0)
		die_errno("epoll_create1", NULL);
	return !epoll_ctl(epfd, EPOLL_CTL_ADD, number, &one) && epoll_wait(epfd, &one, 1, 0) == 1;
}

int main(int argc, char **argv)
{
	bool own = argc == 4 && !strcmp(argv[3], "own"), told;
	int number;

	if (argc != 3 && !own)
		die(EXIT_BAD_USAGE, "usage: numbered MODEL NUMBER [own]");
	number = (int)opt_int("NUMBER", argv[2], 100, MOST);
	make_ready(number);
	if (!strcmp(argv[1], "select"))
		told = own ? select_own_set(number) : select_fd_set(number);
	else if (!strcmp(argv[1], "poll") && !own)
		told = by_poll(number);
	else if (!strcmp(argv[1], "epoll_lt") && !own)
		told = by_epoll(number);
	else
		die(EXIT_UNSUPPORTED, "%s is not asked this", argv[1]);
	printf("{\"probe_worked\": %d}\n", told);
	return 0;
}
