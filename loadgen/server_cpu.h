/* SPDX-License-Identifier: MIT
 * The CPU time of a server, read while it runs: of one process, of several, or of a control group.
 *
 * "pid:N" is the CPU clock of process N, all its threads, without children and without the split
 * into user and system time. Linux adds the threads up for each reading, some 50 ns each.
 * "tree:N" is the sum of those clocks over N and its descendants at the moment of opening, at most
 * SERVER_CPU_TREE_MOST: for servers whose processes are all there before the load.
 * "cgroup:PATH" is usage_usec, user_usec and system_usec of cpu.stat (control groups, version 2),
 * with children, living and dead.
 * "none" is for a server beside others whose CPU time cannot be read.
 *
 * None of them is exact for a thread that runs at the moment: its time is added when it leaves its CPU or
 * the tick comes (kernel/sched/cputime.c thread_group_cputime() syncs the caller's own threads
 * only), so all are behind by up to a tick, 1 to 10 ms, and exact while the server sleeps.
 */
#ifndef TENK_LOADGEN_SERVER_CPU_H
#define TENK_LOADGEN_SERVER_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct cpu_time {
	bool known; /* total_ns is there */
	bool split; /* and so are the two parts of it */
	uint64_t total_ns, user_ns, system_ns;
};

enum { SERVER_CPU_TREE_MOST = 256 };

struct server_cpu {
	enum { SERVER_CPU_NONE, SERVER_CPU_PROCESSES, SERVER_CPU_GROUP } kind;
	clockid_t clocks[SERVER_CPU_TREE_MOST]; /* processes */
	size_t count;
	int fd; /* group: its cpu.stat */
};

/*
 * Open what `spec` names. NULL or a reason, which may be in `reason`, why it cannot be; NULL and a
 * source that knows nothing if spec is NULL or "none". *usage says that the text itself is wrong.
 */
const char *server_cpu_open(struct server_cpu *s, const char *spec, bool *usage, char *reason,
			    size_t size);
/* Whether `spec` names something to read. */
bool server_cpu_wanted(const char *spec);

void server_cpu_close(struct server_cpu *s);

/* Read it now. Not known where there is no source, or it has gone. */
struct cpu_time server_cpu_read(const struct server_cpu *s);

/* Find "KEY VALUE" at the beginning of a line of `text`, a number of microseconds; in ns. */
bool server_cpu_find(const char *text, const char *key, uint64_t *ns);

#endif
