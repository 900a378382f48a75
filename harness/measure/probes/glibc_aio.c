// SPDX-License-Identifier: MIT
/*
 * glibc_aio posix_aio SILENT [THREADS]: aio_read() on so many sockets on which nothing comes, then
 * on one that has a byte. Is that one answered, and how many threads are there? THREADS: what
 * aio_init(3) is told; without it glibc's default.
 *
 * {"probe_worked": 1, "threads": N}: the byte was read. 0: not within two seconds. N does not count
 * the program's own thread.
 */
#include <aio.h>
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/die.h"
#include "common/parse.h"

#define MOST 400

static int threads(void)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *entry;
	int count = 0;

	if (!tasks)
		die_errno("opendir /proc/self/task", NULL);
	while ((entry = readdir(tasks)))
		count += entry->d_name[0] != '.';
	closedir(tasks);
	return count;
}

int main(int argc, char **argv)
{
	static struct aiocb blocks[MOST + 1];
	static char bytes[MOST + 1];
	struct timespec wait = {.tv_sec = 2};
	const struct aiocb *last;
	int silent, pair[2] = {-1, -1}, before = threads();
	bool worked;

	if (argc > 1 && strcmp(argv[1], "posix_aio"))
		die(EXIT_UNSUPPORTED, "%s is not asked this", argv[1]);
	if (argc != 3 && argc != 4)
		die(EXIT_BAD_USAGE, "usage: glibc_aio posix_aio SILENT [THREADS]");
	silent = (int)opt_int("SILENT", argv[2], 0, MOST);
	if (argc == 4) {
		struct aioinit init = {.aio_num = MOST + 1, .aio_idle_time = 1};

		init.aio_threads = (int)opt_int("THREADS", argv[3], 1, MOST);
		aio_init(&init);
	}
	for (int i = 0; i <= silent; i++) {
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
			die_errno("socketpair", "ulimit -n");
		blocks[i] = (struct aiocb){.aio_fildes = pair[0], .aio_buf = &bytes[i]};
		blocks[i].aio_nbytes = 1;
		if (i == silent && write(pair[1], "x", 1) != 1)
			die_errno("write", NULL);
		if (aio_read(&blocks[i]))
			die_errno("aio_read", NULL);
	}
	last = &blocks[silent];
	worked = !aio_suspend(&last, 1, &wait) && aio_error(last) == 0;
	printf("{\"probe_worked\": %d, \"threads\": %d}\n", worked, threads() - before);
	fflush(stdout);
	_exit(0); /* the reads that wait are not to be waited for */
}
