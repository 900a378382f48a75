// SPDX-License-Identifier: MIT
/*
 * mapped MODEL: can the descriptor be mapped, so that events are found in memory and not fetched by
 * a call? MODEL: epoll_lt or io_uring.
 *
 * {"probe_worked": 1}: mmap(2) took it. 0: it refused (for epoll ENODEV is expected).
 */
#include <errno.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/die.h"

int main(int argc, char **argv)
{
	struct io_uring_params params = {0};
	void *memory;
	int fd;

	if (argc != 2)
		die(EXIT_BAD_USAGE, "usage: mapped MODEL");
	if (!strcmp(argv[1], "epoll_lt"))
		fd = epoll_create1(EPOLL_CLOEXEC);
	else if (!strcmp(argv[1], "io_uring"))
		fd = (int)syscall(SYS_io_uring_setup, 8, &params);
	else
		die(EXIT_UNSUPPORTED, "%s has no descriptor that is asked this", argv[1]);
	if (fd < 0)
		die(EXIT_UNSUPPORTED, "%s: %s", argv[1], strerror(errno));
	memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	printf("{\"probe_worked\": %d}\n", memory != MAP_FAILED);
	return 0;
}
