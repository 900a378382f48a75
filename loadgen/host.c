// SPDX-License-Identifier: MIT
#include "loadgen/host.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

/* The beginning of a file as text; empty if it cannot be read. */
static void read_text(const char *path, char *text, size_t size)
{
	FILE *in = fopen(path, "re");
	size_t n = in ? fread(text, 1, size - 1, in) : 0;

	text[n] = '\0';
	if (in)
		fclose(in);
}

bool host_find_counter(const char *text, const char *prefix, const char *name, uint64_t *value)
{
	size_t prefix_length = strlen(prefix), name_length = strlen(name);
	const char *names = text, *values;

	while (names && (strncmp(names, prefix, prefix_length) || names[prefix_length] != ':')) {
		names = strchr(names, '\n');
		names = names ? names + 1 : NULL;
	}
	values = names ? strchr(names, '\n') : NULL;
	if (!values || strncmp(values + 1, prefix, prefix_length))
		return false;
	values++;
	for (;;) {
		names += strcspn(names, " \n");
		values += strcspn(values, " \n");
		if (*names != ' ' || *values != ' ')
			return false;
		names++;
		values++;
		if (strncmp(names, name, name_length) == 0 && strchr(" \n", names[name_length])) {
			*value = strtoull(values, NULL, 10);
			return true;
		}
	}
}

enum { CPU_IDLE = 3, CPU_IOWAIT = 4, CPU_STEAL = 7, CPU_FIELDS = 8 };

/*
 * The first line of /proc/stat: user nice system idle iowait irq softirq steal, in USER_HZ. What
 * follows is part of user and nice.
 */
static bool parse_cpu(const char *text, uint64_t ticks[CPU_FIELDS])
{
	const char *at = text + 3;
	char *end;

	if (strncmp(text, "cpu ", 4) != 0)
		return false;
	for (int i = 0; i < CPU_FIELDS; i++) {
		ticks[i] = strtoull(at, &end, 10);
		if (end == at)
			return false;
		at = end;
	}
	return true;
}

static void read_steal(struct host_counters *c)
{
	uint64_t ticks[CPU_FIELDS];
	char text[4096];

	read_text("/proc/stat", text, sizeof(text));
	if (!parse_cpu(text, ticks))
		return;
	for (int i = 0; i < CPU_FIELDS; i++)
		c->cpu_ticks += ticks[i];
	c->steal_ticks = ticks[CPU_STEAL];
}

void host_cpu_read(int fd, uint64_t *busy_ns, uint64_t *steal_ns)
{
	uint64_t ticks[CPU_FIELDS], busy = 0, tick_ns = 1000000000 / (uint64_t)sysconf(_SC_CLK_TCK);
	char text[512];
	ssize_t n = fd >= 0 ? pread(fd, text, sizeof(text) - 1, 0) : 0;

	*busy_ns = *steal_ns = 0;
	text[n > 0 ? n : 0] = '\0';
	if (!parse_cpu(text, ticks))
		return;
	for (int i = 0; i < CPU_FIELDS; i++)
		busy += i == CPU_IDLE || i == CPU_IOWAIT || i == CPU_STEAL ? 0 : ticks[i];
	*busy_ns = busy * tick_ns;
	*steal_ns = ticks[CPU_STEAL] * tick_ns;
}

uint32_t host_softnet_drops(const char *text)
{
	uint32_t sum = 0;

	for (; text && *text; text = strchr(text, '\n')) {
		unsigned int processed, dropped;

		text += *text == '\n';
		if (sscanf(text, "%x %x", &processed, &dropped) == 2)
			sum += dropped;
	}
	return sum;
}

void host_counters_read(struct host_counters *c)
{
	static char text[1 << 18]; /* softnet_stat has up to 170 bytes per CPU */

	memset(c, 0, sizeof(*c));
	read_text("/proc/net/netstat", text, sizeof(text));
	c->network = host_find_counter(text, "TcpExt", "ListenOverflows", &c->listen_overflows) &&
		     host_find_counter(text, "TcpExt", "ListenDrops", &c->listen_drops);
	read_text("/proc/net/snmp", text, sizeof(text));
	c->network &= host_find_counter(text, "Tcp", "RetransSegs", &c->retransmits);
	read_text("/proc/net/softnet_stat", text, sizeof(text));
	c->softnet_drops = host_softnet_drops(text);
	read_steal(c);
}

void host_counters_subtract(struct host_counters *c, const struct host_counters *earlier)
{
	c->network &= earlier->network;
	c->listen_overflows -= earlier->listen_overflows;
	c->listen_drops -= earlier->listen_drops;
	c->retransmits -= earlier->retransmits;
	c->softnet_drops -= earlier->softnet_drops;
	c->cpu_ticks -= earlier->cpu_ticks;
	c->steal_ticks -= earlier->steal_ticks;
}

static void read_cpu_name(struct host_facts *f)
{
	static char text[8192];
	const char *at;

	read_text("/proc/cpuinfo", text, sizeof(text));
	at = strstr(text, "model name");
	at = at ? strchr(at, ':') : NULL;
	if (at)
		snprintf(f->cpu, sizeof(f->cpu), "%.*s", (int)strcspn(at + 2, "\n"), at + 2);
}

void host_facts_read(struct host_facts *f)
{
	struct utsname name;
	struct rlimit limit;
	char text[128];

	memset(f, 0, sizeof(*f));
	if (uname(&name) == 0) {
		snprintf(f->name, sizeof(f->name), "%s", name.nodename);
		snprintf(f->kernel, sizeof(f->kernel), "%s %s", name.sysname, name.release);
	}
	read_cpu_name(f);
	f->cpus = sysconf(_SC_NPROCESSORS_ONLN);
	f->memory_bytes = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		f->descriptor_limit =
			limit.rlim_max == RLIM_INFINITY ? INT64_MAX : (int64_t)limit.rlim_max;
	read_text("/proc/sys/net/ipv4/ip_local_port_range", text, sizeof(text));
	if (sscanf(text, "%" SCNd64 " %" SCNd64, &f->port_first, &f->port_last) != 2)
		f->port_first = f->port_last = 0;
}
