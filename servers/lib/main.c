// SPDX-License-Identifier: MIT
// main() of every server: options, the listening socket, the ready line, the counters at the end.
#include <argp.h>
#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/die.h"
#include "common/parse.h"
#include "servers/lib/conn.h"
#include "servers/lib/extra.h"
#include "servers/lib/lifecycle.h"
#include "servers/lib/model.h"
#include "servers/lib/proto.h"
#include "servers/lib/stats.h"

#define OWN_FDS        16 /* stdio, the listening socket, an epoll or ring descriptor, a log … */
#define BUFFER_DEFAULT 16384
#define BUFFER_MAX     (1 << 20)
#define WORKERS_MAX    30000
#define FDS_MAX        (1 << 21) /* containers may allow a thousand million; tables go by it */
#define BATCH_DEFAULT  64

enum {
	KEY_BUFFER = 256,
	KEY_BACKLOG,
	KEY_ACCEPT_BATCH,
	KEY_NODELAY,
	KEY_DESCRIBE,
	KEY_EXTRA_NS,
	KEY_ROOT,
	KEY_OWN, /* the first of the model's own */
};
#define OWN_OPTIONS  8
/* What two lists of so many counters take is far below what a pipe holds. */
#define WORKERS_TOLD 512

struct server_options {
	int port;
	const char *address;
	const struct proto *proto;
	int workers;
	int max_conns; /* 0: as many as the model can */
	int buffer;    /* 0: the default */
	int backlog;
	int somaxconn;
	int accept_batch;
	int nodelay;
	int extra_ns;     /* 0: nothing is added */
	const char *root; /* of /file/NAME, or NULL */
	struct limit limit;
	int per_worker; /* connections for each more of the workers; 0: they bring none */
	bool describe;
};

static const struct argp_option common_options[] = {
	{NULL, 'p', "PORT", 0, "TCP port to listen on; 0 (the default) takes any free one", 0},
	{NULL, 'b', "ADDR", 0, "IPv4 or IPv6 address to listen on (default 127.0.0.1)", 0},
	{NULL, 'P', "PROTO", 0, "echo (the default), http or rot13", 0},
	{NULL, 'w', "WORKERS", 0,
	 "threads or processes to start; \"cpus\": as many as there are CPUs", 0},
	{NULL, 'c', "CONNS", 0,
	 "connections to serve at a time; further clients wait in the backlog (default: as many as "
	 "the model and the machine allow)",
	 0},
	{"buffer", KEY_BUFFER, "BYTES", 0,
	 "size of one buffer; a connection has at most two (default 16384)", 0},
	{"backlog", KEY_BACKLOG, "N", 0,
	 "connections the kernel may queue for accept(2) (default: net.core.somaxconn)", 0},
	{"accept-batch", KEY_ACCEPT_BATCH, "N", 0,
	 "connections to accept at most per wake-up (default 64)", 0},
	{"nodelay", KEY_NODELAY, "0|1", 0,
	 "TCP_NODELAY: send small replies without waiting for acknowledgements (default 1)", 0},
	{"root", KEY_ROOT, "DIR", 0,
	 "with -P http: answer /file/NAME from this directory, and from nowhere outside it", 0},
	{"describe", KEY_DESCRIBE, NULL, 0, "print what this model is and can, as one JSON line",
	 0},
	/* For the harness, which must find this cost: see extra.h. */
	{"extra-ns", KEY_EXTRA_NS, "NS", OPTION_HIDDEN,
	 "spin that many ns of CPU for each request answered, from 1 to 1000000", 0},
	{0},
};

/* Those, and the model's own. */
static struct argp_option
	all_options[sizeof(common_options) / sizeof(*common_options) + OWN_OPTIONS];

static void list_options(void)
{
	const struct model_option *own = model.options;
	struct argp_option *to = all_options;

	for (const struct argp_option *from = common_options; from->key; from++)
		*to++ = *from;
	for (int i = 0; own && own[i].name; i++) {
		assert(i < OWN_OPTIONS);
		*to++ = (struct argp_option){
			.name = own[i].name,
			.key = KEY_OWN + i,
			.arg = own[i].unit,
			.doc = own[i].help,
		};
	}
}

/* Does this model heed the option? */
static bool heeds(int key)
{
	switch (key) {
	case 'w':
		return model.flags & USES_WORKERS;
	case 'c':
		return model.flags & USES_MAX_CONNS;
	case KEY_ACCEPT_BATCH:
		return model.flags & USES_ACCEPT_BATCH;
	}
	return true;
}

static const char *option_name(const struct argp_option *o, char name[static 24])
{
	if (o->name)
		snprintf(name, 24, "--%s", o->name);
	else
		snprintf(name, 24, "-%c", o->key);
	return name;
}

static int somaxconn(void)
{
	FILE *file = fopen("/proc/sys/net/core/somaxconn", "re");
	int n = SOMAXCONN;

	if (file) {
		if (fscanf(file, "%d", &n) != 1)
			n = SOMAXCONN;
		fclose(file);
	}
	return n;
}

static error_t on_option(int key, char *arg, struct argp_state *state)
{
	struct server_options *o = state->input;
	const struct model_option *own;
	char name[24];

	for (const struct argp_option *a = all_options; a->key; a++) {
		if (a->key != key)
			continue;
		option_name(a, name);
		if (!heeds(key))
			die(EXIT_BAD_USAGE, "%s: the model %s does not use this option", name,
			    model.name);
	}
	switch (key) {
	case 'p':
		o->port = (int)opt_int(name, arg, 0, 65535);
		break;
	case 'b':
		o->address = arg;
		break;
	case 'P':
		o->proto = proto_find(arg);
		if (!o->proto)
			opt_refuse(name, arg, "echo, http or rot13");
		break;
	case 'w':
		o->workers = strcmp(arg, "cpus") == 0 ? limit_cpus()
						      : (int)opt_int(name, arg, 1, WORKERS_MAX);
		break;
	case 'c':
		o->max_conns = (int)opt_int(name, arg, 1, INT32_MAX);
		break;
	case KEY_BUFFER:
		o->buffer = (int)opt_int(name, arg, 1, BUFFER_MAX);
		break;
	case KEY_BACKLOG:
		/* listen(2) would silently cut a larger one down. */
		o->backlog = (int)opt_int(name, arg, 1, o->somaxconn);
		break;
	case KEY_ACCEPT_BATCH:
		o->accept_batch = (int)opt_int(name, arg, 1, 1 << 20);
		break;
	case KEY_NODELAY:
		o->nodelay = (int)opt_int(name, arg, 0, 1);
		break;
	case KEY_ROOT:
		o->root = arg;
		break;
	case KEY_EXTRA_NS:
		o->extra_ns = (int)opt_int(name, arg, 1, EXTRA_NS_MAX);
		break;
	case KEY_DESCRIBE:
		o->describe = true;
		break;
	case KEY_OWN ... KEY_OWN + OWN_OPTIONS - 1:
		own = &model.options[key - KEY_OWN];
		*own->value = opt_int(name, arg, own->least, own->most);
		break;
	case ARGP_KEY_ARG:
		die(EXIT_BAD_USAGE, "'%s': only options are taken; see --help", arg);
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

/* argp shows only what this model heeds. */
static void parse(int argc, char **argv, struct server_options *o)
{
	static struct argp_option shown[sizeof(all_options) / sizeof(*all_options)];
	static char doc[512];
	struct argp argp = {.options = shown, .parser = on_option, .doc = doc};
	size_t n = 0;

	for (const struct argp_option *a = all_options; a->key; a++) {
		shown[n] = *a;
		if (!heeds(a->key))
			shown[n].flags |= OPTION_HIDDEN;
		n++;
	}
	snprintf(doc, sizeof(doc),
		 "%s: %s\v"
		 "Exit status: 0 after SIGTERM, 1 when something failed, 2 for bad usage, 77 when "
		 "this machine cannot run the model.",
		 model.name, model.summary);
	argp_err_exit_status = EXIT_BAD_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, o);
}

/* As many descriptors as we may have; how many of them are for connections. */
static int raise_fd_limit(void)
{
	struct rlimit fds;

	if (getrlimit(RLIMIT_NOFILE, &fds))
		die_errno("getrlimit(RLIMIT_NOFILE)", NULL);
	fds.rlim_cur = fds.rlim_max < FDS_MAX ? fds.rlim_max : FDS_MAX;
	if (setrlimit(RLIMIT_NOFILE, &fds))
		die_errno("setrlimit(RLIMIT_NOFILE)", NULL);
	if (fds.rlim_cur <= OWN_FDS)
		die(EXIT_UNSUPPORTED, "descriptor limit %llu is too low; raise it: ulimit -n 20000",
		    (unsigned long long)fds.rlim_cur);
	return (int)fds.rlim_cur - OWN_FDS;
}

static void check(struct server_options *o, int fds)
{
	char allowed[160], value[16];

	o->limit = limit_here(&model, fds, o->workers);
	o->per_worker = limit_each_worker(&model, fds);
	if (o->max_conns > o->limit.conns) {
		snprintf(value, sizeof(value), "%d", o->max_conns);
		snprintf(allowed, sizeof(allowed), "from 1 to %d, where %s is the limit",
			 o->limit.conns, o->limit.reason);
		opt_refuse("-c", value, allowed);
	}
	if (!o->max_conns)
		o->max_conns = o->limit.conns;
	if (!o->buffer)
		o->buffer = (int)(o->proto->min_buffer > BUFFER_DEFAULT ? o->proto->min_buffer
									: BUFFER_DEFAULT);
	if ((size_t)o->buffer < o->proto->min_buffer) {
		snprintf(value, sizeof(value), "%d", o->buffer);
		snprintf(allowed, sizeof(allowed), "enough for -P %s: from %zu to %d",
			 o->proto->name, o->proto->min_buffer, BUFFER_MAX);
		opt_refuse("--buffer", value, allowed);
	}
	if (o->root && o->proto != &proto_http)
		die(EXIT_BAD_USAGE, "--root: '%s' is of no use to -P %s; files are for -P http",
		    o->root, o->proto->name);
}

static void describe(const struct server_options *o)
{
	json_t *protocols = json_array(), *names = json_array(), *needs = json_array();
	json_t *hidden = json_array(), *own = json_array(), *all;
	const struct model_option *option = model.options;
	char name[24];

	for (const struct proto *const *p = protos; *p; p++)
		json_array_append_new(protocols, json_string((*p)->name));
	for (const struct argp_option *a = all_options; a->key; a++) {
		if (heeds(a->key))
			json_array_append_new(a->flags & OPTION_HIDDEN ? hidden : names,
					      json_string(option_name(a, name)));
	}
	for (; option && option->name; option++)
		json_array_append_new(
			own, json_pack("{s:s+, s:I, s:I, s:I}", "name", "--", option->name, "least",
				       (json_int_t)option->least, "most", (json_int_t)option->most,
				       "value", (json_int_t)*option->value));
	if (model.needs)
		json_array_append_new(needs, json_string(model.needs));
	all = json_pack("{s:s, s:s, s:s, s:o, s:{s:i, s:s, s:i}, s:i, s:o, s:o, s:o, s:o, s:b, "
			"s:b}",
			"name", model.name, "summary", model.summary, "family", model.family,
			"protocols", protocols, "limits", "connections", o->limit.conns, "reason",
			o->limit.reason, "per_worker", o->per_worker, "workers", o->workers,
			"needs", needs, "options", names, "hidden_options", hidden, "own_options",
			own, "busy_polls", !!(model.flags & BUSY_POLLS), "library_aborts",
			!!(model.flags & LIBRARY_ABORTS));
	json_dumpf(all, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(all);
}

static json_t *list_of(const uint64_t *values, int n)
{
	json_t *list = json_array();

	for (int i = 0; i < n; i++)
		json_array_append_new(list, json_integer((json_int_t)values[i]));
	return list;
}

/* How the workers shared the work, where they are few enough for one line and more than one. */
static void report_workers(json_t *all, int workers)
{
	static uint64_t requests[WORKERS_TOLD], connections[WORKERS_TOLD];

	if (!(model.flags & USES_WORKERS) || workers < 2 || workers > WORKERS_TOLD)
		return;
	stats_by_worker(workers, requests, connections);
	json_object_set_new(all, "requests_by_worker", list_of(requests, workers));
	json_object_set_new(all, "connections_by_worker", list_of(connections, workers));
}

static void report(int workers)
{
	struct stats sum = stats_sum();
	json_t *all =
		json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "model", model.name,
			  "connections", (json_int_t)sum.connections, "requests",
			  (json_int_t)sum.requests, "bytes_in", (json_int_t)sum.bytes_in,
			  "bytes_out", (json_int_t)sum.bytes_out, "waits", (json_int_t)sum.waits,
			  "events", (json_int_t)sum.events, "eagain", (json_int_t)sum.eagain);

	if (extra_ns() > 0)
		json_object_set_new(all, "extra_ns_per_request", json_real(extra_ns()));
	report_workers(all, workers);
	json_dumpf(all, stdout, JSON_COMPACT);
	putchar('\n');
	fflush(stdout);
	json_decref(all);
}

/* How many threads and processes may count at a time, but for a few. */
static int writers(const struct server_options *o)
{
	/* Its processes are its workers, however many connections they have. */
	if (model.flags & CONNS_IN_CHILDREN && !model.bytes_per_task)
		return o->workers;
	return o->max_conns > o->workers ? o->max_conns : o->workers;
}

int main(int argc, char **argv)
{
	struct server_options o = {
		.address = "127.0.0.1",
		.proto = &proto_echo,
		.workers = model.workers == ONE_PER_CPU ? limit_cpus() : model.workers,
		.somaxconn = somaxconn(),
		.accept_batch = BATCH_DEFAULT,
		.nodelay = 1,
	};
	static struct server srv; /* threads may look at it until the process has ended */
	int fds, port;

	o.backlog = o.somaxconn;
	list_options();
	parse(argc, argv, &o);
	fds = raise_fd_limit();
	check(&o, fds);
	if (o.describe) {
		describe(&o);
		return EXIT_SUCCESS;
	}
	if (o.root)
		http_serve_files(o.root);
	srv = (struct server){
		.listen_fd = listen_on(&(struct listening){.address = o.address,
							   .port = o.port,
							   .backlog = o.backlog,
							   .nodelay = o.nodelay,
							   .nonblocking = model.nonblocking,
							   .again = model.flags & LISTENS_AGAIN},
				       &port),
		.max_conns = o.max_conns,
		.workers = o.workers,
		.accept_batch = o.accept_batch,
		.backlog = o.backlog,
	};
	if (o.extra_ns)
		o.proto = extra_proto(o.proto, o.extra_ns);
	conn_init(o.proto, (size_t)o.buffer, model.conn_bytes);
	stats_init(writers(&o));
	server_catch_signals(srv.listen_fd);
	if (model.setup)
		model.setup(&srv);
	printf("ready model=%s port=%d pid=%d\n", model.name, port, (int)getpid());
	fflush(stdout);
	model.run(&srv);
	report(o.workers);
	return EXIT_SUCCESS;
}
