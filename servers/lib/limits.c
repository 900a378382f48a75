// SPDX-License-Identifier: MIT
// How many connections a model can serve on this machine, and what that comes from.
#include <limits.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/die.h"
#include "servers/lib/lifecycle.h"

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

/*
 * For a thread or process per connection: what the kernel, the control group, ulimit and available
 * memory allow.
 */
static void limit_tasks(struct limit *limit, size_t bytes_per_task)
{
	struct rlimit nproc = {RLIM_INFINITY, RLIM_INFINITY};
	long long memory_kib = kernel_number("/proc/meminfo", "MemAvailable:");
	long long least = limit->conns;
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
			limit->reason = limits[i].reason;
		}
	}
	limit->conns = (int)least;
}

/*
 * For worker processes with `fds` descriptors each, to which the kernel deals connections by a
 * hash: how many may come until one of the processes is likely to be full. Of n connections each
 * process gets n / workers on average, with a standard deviation of at most the root of that
 * (binomial distribution); one in some million has five of those above the mean.
 */
static int limit_dealt(int fds, int workers)
{
	double each = workers == 1 ? fds : fmax(1, floor(fds - 5 * sqrt(fds)));

	return (int)fmin(each * workers, 1 << 30);
}

int limit_each_worker(const struct model *m, int fds)
{
	if (!(m->flags & CONNS_IN_CHILDREN) || fds <= m->fds_per_worker || !m->fds_per_worker)
		return 0;
	return limit_dealt(fds - m->fds_per_worker, 2) / 2;
}

struct limit limit_here(const struct model *m, int fds, int workers)
{
	struct limit limit = {fds - workers * m->fds_per_worker,
			      "the descriptor limit (ulimit -n)"};

	if (m->flags & CONNS_IN_CHILDREN && m->fds_per_worker && limit.conns > 0)
		limit = (struct limit){limit_dealt(fds - m->fds_per_worker, workers),
				       "the descriptor limit of each process (ulimit -n)"};
	else if (m->flags & CONNS_IN_CHILDREN && limit.conns > 0)
		limit.conns = 1 << 30;
	if (m->most.conns && m->most.conns < limit.conns)
		limit = m->most;
	if (m->bytes_per_task)
		limit_tasks(&limit, m->bytes_per_task);
	if (m->flags & CONN_PER_WORKER && workers <= limit.conns)
		limit = (struct limit){workers, "one connection per worker of the pool (-w)"};
	if (m->probe)
		m->probe(&limit);
	if (limit.conns < 1)
		die(EXIT_UNSUPPORTED,
		    "no connection can be served here: %s allows for none; raise it", limit.reason);
	return limit;
}

int limit_cpus(void)
{
	cpu_set_t cpus;

	/* It fails where there are more CPUs than the set has room for. */
	if (sched_getaffinity(0, sizeof(cpus), &cpus))
		return (int)sysconf(_SC_NPROCESSORS_ONLN);
	return CPU_COUNT(&cpus);
}
