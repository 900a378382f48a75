/* SPDX-License-Identifier: MIT
 * What the machine says: facts for the record, and counters that tell whether a run was disturbed.
 */
#ifndef TENK_LOADGEN_HOST_H
#define TENK_LOADGEN_HOST_H

#include <stdbool.h>
#include <stdint.h>

/* Facts that are stored with a result. Empty or 0 where the machine does not say. */
struct host_facts {
	char name[128];
	char kernel[256];
	char cpu[128];
	int64_t cpus;
	int64_t memory_bytes;
	int64_t descriptor_limit; /* hard limit of one process */
	int64_t port_first, port_last;
};

/*
 * Counters since boot, of the whole network namespace and the whole machine: what else runs here is
 * in them too. `network` is false where /proc/net/netstat cannot be read;
 * where /proc/net/softnet_stat cannot be, its sum is 0.
 */
struct host_counters {
	bool network;
	uint64_t listen_overflows; /* TcpExt ListenOverflows: accept queue full */
	uint64_t listen_drops;     /* TcpExt ListenDrops: SYNs dropped, for any reason */
	uint64_t retransmits;      /* Tcp RetransSegs */
	/*
	 * Packets dropped before TCP saw them, because the queue of a CPU was full
	 * (net.core.netdev_max_backlog): all CPUs, all network namespaces, all interfaces. The
	 * kernel's counters have 32 bits; so has their sum, and a difference of two is right.
	 */
	uint32_t softnet_drops;
	uint64_t cpu_ticks;   /* all CPU time, USER_HZ */
	uint64_t steal_ticks; /* of it taken by the hypervisor */
};

void host_facts_read(struct host_facts *facts);
void host_counters_read(struct host_counters *counters);

/*
 * CPU time of the whole machine since boot, from an open /proc/stat (fd; -1: both 0): busy (not idle,
 * not waiting, not stolen) and stolen. Counted in ticks, mostly of 10 ms, per CPU.
 */
void host_cpu_read(int fd, uint64_t *busy_ns, uint64_t *steal_ns);

/* counters = counters - earlier, field by field. */
void host_counters_subtract(struct host_counters *counters, const struct host_counters *earlier);

/*
 * Find a value in the format of /proc/net/netstat: a line "PREFIX: NAME NAME..." and, next, a line
 * "PREFIX: VALUE VALUE...". False if it is not there.
 */
bool host_find_counter(const char *text, const char *prefix, const char *name, uint64_t *value);

/* Add up the second column of /proc/net/softnet_stat, hexadecimal, one line per CPU; modulo 2^32. */
uint32_t host_softnet_drops(const char *text);

#endif
