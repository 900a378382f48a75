// SPDX-License-Identifier: MIT
/*
 * What it costs to go into a fiber and come back, by the switch this program was built with:
 * `make bench-fiber` builds and runs it with both, in turns, so that a slow moment of the machine
 * meets both. Prints the least and the median of the batches, in ns of CPU time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "servers/lib/fiber.h"

enum {
	BATCHES = 51,
	FIBERS = 100, /* in turn, as with a hundred connections that are all ready */
	PASSES = 100,
	STACK = 32768,
};

static void pause_always(void *unused)
{
	(void)unused;
	for (;;)
		fiber_pause();
}

static double cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	struct fiber *fibers[FIBERS];
	double ns[BATCHES];

	for (int i = 0; i < FIBERS; i++) {
		fibers[i] = fiber_new(STACK, pause_always, NULL);
		if (!fibers[i]) {
			perror("fiber_new");
			return EXIT_FAILURE;
		}
	}
	for (int batch = 0; batch < BATCHES; batch++) {
		double before = cpu_ns();

		for (int i = 0; i < FIBERS * PASSES; i++)
			fiber_run(fibers[i % FIBERS]);
		ns[batch] = (cpu_ns() - before) / (FIBERS * PASSES);
	}
	qsort(ns, BATCHES, sizeof(*ns), by_size);
	printf("%-10s there and back: %7.1f ns at least, %7.1f ns median\n",
	       argc > 1 ? argv[1] : "fiber", ns[0], ns[BATCHES / 2]);
	return EXIT_SUCCESS;
}
