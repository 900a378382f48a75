// SPDX-License-Identifier: MIT
/*
 * entries poll COUNT LIMIT: one poll(2) of COUNT entries, of which the last is ready, where a
 * process may have LIMIT descriptors (RLIMIT_NOFILE). {"probe_worked": 1}: it was reported. 0: the
 * kernel refused the call.
 *
 * entries poll past: can that limit be raised past fs.nr_open? {"probe_worked": 1}: it can.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/die.h"
#include "common/parse.h"

#define MOST 1000000

static bool raised_past(void)
{
	FILE *file = fopen("/proc/sys/fs/nr_open", "r");
	unsigned long most;
	struct rlimit limit;

	if (!file || fscanf(file, "%lu", &most) != 1)
		die_errno("/proc/sys/fs/nr_open", NULL);
	fclose(file);
	limit = (struct rlimit){.rlim_cur = most + 1, .rlim_max = most + 1};
	return !setrlimit(RLIMIT_NOFILE, &limit);
}

static bool polled(int count, int most)
{
	struct rlimit limit;
	struct pollfd *all = calloc((size_t)count, sizeof(*all));
	bool told;
	int pair[2];

	if (!all || pipe(pair) || write(pair[1], "x", 1) != 1 || getrlimit(RLIMIT_NOFILE, &limit))
		die_errno("pipe", NULL);
	if (limit.rlim_max < (rlim_t)most)
		die(EXIT_UNSUPPORTED, "the limit of descriptors is below %d (ulimit -Hn)", most);
	limit.rlim_cur = (rlim_t)most;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		die_errno("setrlimit", NULL);
	for (int i = 0; i < count; i++)
		all[i].fd = -1; /* which poll passes over */
	all[count - 1] = (struct pollfd){.fd = pair[0], .events = POLLIN};
	told = poll(all, (nfds_t)count, 0) == 1;
	free(all);
	return told;
}

int main(int argc, char **argv)
{
	bool worked;

	if (argc > 1 && strcmp(argv[1], "poll"))
		die(EXIT_UNSUPPORTED, "%s is not asked this", argv[1]);
	if (argc == 3 && !strcmp(argv[2], "past"))
		worked = raised_past();
	else if (argc == 4)
		worked = polled((int)opt_int("COUNT", argv[2], 1, MOST),
				(int)opt_int("LIMIT", argv[3], 16, MOST));
	else
		die(EXIT_BAD_USAGE, "usage: entries poll COUNT LIMIT, or entries poll past");
	printf("{\"probe_worked\": %d}\n", worked);
	return 0;
}
