// SPDX-License-Identifier: MIT
/*
 * tenk's load generator: check the command line and the machine, make the run, judge it, report it.
 * Nothing is written before every option has been found good.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/die.h"
#include "common/parse.h"
#include "loadgen/ask.h"
#include "loadgen/options.h"
#include "loadgen/output.h"
#include "loadgen/pool.h"
#include "loadgen/server_cpu.h"
#include "loadgen/verdict.h"

/* The descriptor must have been inherited, and for writing. */
static void check_events_fd(const struct options *o)
{
	char value[24];
	int flags;

	if (o->events_fd < 0)
		return;
	flags = fcntl((int)o->events_fd, F_GETFL);
	snprintf(value, sizeof(value), "%" PRId64, o->events_fd);
	if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY)
		opt_refuse("--events-fd", value, "an open descriptor that can be written to");
}

enum {
	SOURCES_MAX = 4096,
	CPUS_MAX = 1024,
	SPARE_DESCRIPTORS = 16, /* standard streams, epoll or ring, output files, ... */
};

/* Raise the descriptor limit as far as it goes; refuse what does not fit into one worker. */
static void check_descriptors(const struct options *o)
{
	int64_t most = (options_all_connections(o) + o->workers - 1) / o->workers + POPULATIONS;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		die_errno("getrlimit", NULL);
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		die_errno("setrlimit", NULL);
	if (limit.rlim_max != RLIM_INFINITY &&
	    (uint64_t)most + SPARE_DESCRIPTORS > (uint64_t)limit.rlim_max)
		die(EXIT_FAILURE,
		    "%" PRId64 " connections in %" PRId64 " workers need %" PRId64
		    " descriptors each, the limit is %" PRIu64 "; use more workers (-t) or raise "
		    "the hard limit (ulimit -Hn)",
		    options_all_connections(o), o->workers, most + SPARE_DESCRIPTORS,
		    (uint64_t)limit.rlim_max);
}

/*
 * Can a connection come from this address? bind(2) allows "any", broadcast and multicast addresses,
 * too, for which the kernel then takes one of its own choice. A UDP socket tells the former two:
 * connecting it to the address itself sends nothing.
 */
static bool is_local(uint32_t address)
{
	struct sockaddr_in source = {.sin_family = AF_INET, .sin_addr.s_addr = address}, server;
	socklen_t length = sizeof(source);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool fine;

	server = source;
	server.sin_port = htons(9);
	fine = fd >= 0 && !IN_MULTICAST(ntohl(address)) &&
	       bind(fd, (struct sockaddr *)&source, sizeof(source)) == 0 &&
	       connect(fd, (struct sockaddr *)&server, sizeof(server)) == 0 &&
	       getsockname(fd, (struct sockaddr *)&source, &length) == 0 &&
	       source.sin_addr.s_addr == address;

	if (fd >= 0)
		close(fd);
	return fine;
}

/*
 * The addresses to connect from. "auto": the kernel's choice for as many connections as two fifths
 * of the port range, beyond that 127.0.0.1, 127.0.0.2, ... where the target is on the loopback
 * network. connect(2) looks through the ports of one parity before it tries the other: once half of
 * the range is taken it takes a millisecond and more.
 */
static size_t choose_sources(const struct options *o, const struct host_facts *host,
			     const struct endpoint *server, uint32_t *sources)
{
	int64_t ports = (host->port_last - host->port_first + 1) * 2 / 5, n;

	if (strcmp(o->source_ip, "auto") != 0) {
		size_t given = sources_parse(o->source_ip, sources, SOURCES_MAX);

		if (server->any.sa_family != AF_INET)
			opt_refuse("--source-ip", o->source_ip,
				   "allowed here: it is for servers that have an IPv4 address");
		if (!given)
			opt_refuse("--source-ip", o->source_ip,
				   "auto or a list of at most 4096 IPv4 addresses and ranges, as "
				   "127.0.0.2-127.0.0.5,127.0.0.9");
		for (size_t i = 0; i < given; i++) {
			if (!is_local(sources[i]))
				opt_refuse("--source-ip", o->source_ip,
					   "a list of addresses of this machine");
		}
		return given;
	}
	if (ports <= 0 || options_all_connections(o) <= ports || server->any.sa_family != AF_INET ||
	    ntohl(server->v4.sin_addr.s_addr) >> 24 != 127)
		return 0;
	n = (options_all_connections(o) + ports - 1) / ports;
	for (int64_t i = 0; i < n && i < 250; i++)
		sources[i] = htonl(0x7f000001u + (uint32_t)i);
	return (size_t)(n < 250 ? n : 250);
}

static size_t choose_cpus(const struct options *o, int *cpus)
{
	size_t n = o->cpus ? cpus_parse(o->cpus, cpus, CPUS_MAX) : 0;
	cpu_set_t allowed;

	if (o->cpus && !n)
		opt_refuse("--cpus", o->cpus, "a list of CPU numbers and ranges, as 0,2-3");
	if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
		die_errno("sched_getaffinity", NULL);
	for (size_t i = 0; i < n; i++) {
		if (cpus[i] >= CPU_SETSIZE || !CPU_ISSET(cpus[i], &allowed))
			opt_refuse("--cpus", o->cpus, "a list of CPUs this process may run on");
	}
	return n;
}

/* A whole file, at most `most` bytes, with a NUL after it; it stays until the end. */
static char *read_file(const char *option, const char *path, size_t most, size_t *length)
{
	char *text = malloc(most + 2);
	FILE *file = fopen(path, "rb");

	if (!text)
		die(EXIT_FAILURE, "out of memory");
	if (!file)
		die(EXIT_BAD_USAGE, "%s: '%s' cannot be read: %s", option, path, strerror(errno));
	*length = fread(text, 1, most + 1, file);
	if (ferror(file))
		die(EXIT_BAD_USAGE, "%s: '%s' cannot be read: %s", option, path, strerror(errno));
	fclose(file);
	if (*length > most)
		die(EXIT_BAD_USAGE, "%s: '%s' is longer than %zu bytes", option, path, most);
	text[*length] = '\0';
	return text;
}

/* All requests are made once, in each worker: they must fit into memory. */
static void check_rendered(const struct options *o, const struct http_ask *ask)
{
	static struct target target = {.protocol = PROTOCOL_HTTP, .host = "h", .path = "/"};
	size_t sum = 0;

	target.ask = ask;
	for (size_t i = 0; i < ask_count(ask) && sum <= ASK_RENDERED; i++) {
		struct ask_request one;

		if (!ask_render(&target, i, &one))
			die(EXIT_FAILURE, "out of memory; a smaller --body");
		sum += one.length;
		free(one.bytes);
	}
	if (sum > ASK_RENDERED)
		die(EXIT_BAD_USAGE,
		    "--requests: '%s' has requests of more than %d bytes in all; fewer lines or a "
		    "smaller --body",
		    o->requests, ASK_RENDERED);
}

/* What is asked of http servers; NULL: GET of the URL's path. */
static const struct http_ask *choose_ask(const struct options *o)
{
	enum { REQUESTS_MOST = 16 << 20 };
	static struct http_ask ask;
	const char *wrong;
	char reason[256];
	size_t length;

	if (!o->method && !o->body && !o->requests && !o->headers.count)
		return NULL;
	ask.method = o->method;
	ask.fields = o->headers.items;
	ask.field_count = o->headers.count;
	if (o->body)
		ask.body = read_file("--body", o->body, ASK_BODY, &ask.body_bytes);
	if (o->requests) {
		char *text = read_file("--requests", o->requests, REQUESTS_MOST, &length);

		wrong = strlen(text) == length ? ask_parse_lines(&ask, text, reason, sizeof(reason))
					       : "it has a NUL byte";
		if (wrong)
			die(EXIT_BAD_USAGE, "--requests: '%s': %s", o->requests, wrong);
	}
	check_rendered(o, &ask);
	return &ask;
}

/* One URL: what it names, and from where to connect to it. */
static void choose_target(const struct options *o, const struct host_facts *host, const char *url,
			  const struct http_ask *ask, struct pool_target *t)
{
	const char *allowed = target_parse(url, &t->target), *reason;
	uint32_t *sources;

	if (allowed)
		opt_refuse("URL", url, allowed);
	if (ask && t->target.protocol != PROTOCOL_HTTP)
		die(EXIT_BAD_USAGE,
		    "URL: '%s' is not an http one; --header, --method, --body and --requests need "
		    "that",
		    url);
	if (t->target.local && o->stamps == STAMPS_KERNEL)
		die(EXIT_BAD_USAGE,
		    "--stamps: 'kernel' is not allowed for '%s': no packets go to a UNIX socket, and "
		    "only packets are stamped",
		    url);
	t->target.ask = ask;
	reason = target_resolve(&t->target, &t->server);
	if (reason)
		die(EXIT_FAILURE, "URL: host '%s' was not found: %s", t->target.host, reason);
	if (!o->remote && !endpoint_is_here(&t->server))
		die(EXIT_BAD_USAGE,
		    "URL: '%s' is on another machine; load only servers that are yours, or whose "
		    "owner has agreed, and then add --remote",
		    url);
	if (t->target.protocol == PROTOCOL_ROT13 && o->size_bytes > 16384 + 1)
		die(EXIT_BAD_USAGE,
		    "--size: '%" PRId64 "' is not a rot13 line; at most 16385 bytes with its end",
		    o->size_bytes);
	sources = calloc(SOURCES_MAX, sizeof(*sources));
	if (!sources)
		die(EXIT_FAILURE, "out of memory; fewer URLs");
	t->source_count = choose_sources(o, host, &t->server, sources);
	t->sources = sources;
}

/* Is there what --server-cpu names? Workers open it again. */
static void check_server_cpu(const char *spec)
{
	struct server_cpu source;
	char text[256];
	bool usage;
	const char *reason = server_cpu_open(&source, spec, &usage, text, sizeof(text));

	if (usage)
		opt_refuse("--server-cpu", spec, "pid:N, tree:N, cgroup:PATH or none");
	if (reason)
		die(EXIT_FAILURE, "--server-cpu: '%s': %s", spec, reason);
	server_cpu_close(&source);
}

static const uint64_t *choose_trace(const struct options *o, size_t *length)
{
	char reason[256];
	const uint64_t *times;

	if (!o->trace)
		return NULL;
	times = arrival_read_trace(o->trace, length, reason, sizeof(reason));
	if (!times)
		opt_refuse("--trace", o->trace, reason);
	return times;
}

int main(int argc, char **argv)
{
	static struct options options;
	static struct pool_target targets[TARGETS_MAX];
	static struct verdict verdict;
	static int cpus[CPUS_MAX];
	struct result result = {.options = &options, .target = &targets[0].target};
	struct pool pool = {.cpus = cpus, .targets = targets};
	struct session_setup *setup = &pool.setup;
	const struct http_ask *ask;
	int status;

	output_streams_init();
	options_parse(&options, argc, argv);
	result.url = options.url;
	host_facts_read(&result.host);
	ask = choose_ask(&options);
	for (size_t i = 0; i < options.urls.count; i++)
		choose_target(&options, &result.host, options.urls.items[i], ask, &targets[i]);
	for (size_t i = 0; i < options.server_cpus.count; i++)
		check_server_cpu(options.server_cpus.items[i]);
	setup->options = &options;
	setup->trace_ns = choose_trace(&options, &setup->trace_length);
	pool.cpu_count = choose_cpus(&options, cpus);
	check_descriptors(&options);
	check_events_fd(&options);
	output_check(&options);
	output_forget(&options);
	pool.progress = !options.quiet && isatty(STDERR_FILENO);

	status = pool_run(&pool, &result);
	if (status) {
		pool_free(&result);
		return status;
	}
	if (result.target_count)
		verdict_reach_all(&verdict, &result);
	else
		verdict_reach(&verdict, &result);
	status = output_write(&result, &verdict) ? verdict_exit_status(&verdict, &result)
						 : EXIT_FAILURE;
	pool_free(&result);
	return status;
}
