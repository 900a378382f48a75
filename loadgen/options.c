// SPDX-License-Identifier: MIT
#include "loadgen/options.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/die.h"
#include "common/parse.h"
#include "loadgen/ask.h"
#include "loadgen/engine.h"
#include "loadgen/output.h"

#define FIELD(member) offsetof(struct options, member)
#define SECONDS       1e9 /* ns */
#define MANY          1e9

/* clang-format off */
const struct option_row option_table[] = {
	{"connections", 'c', OPTION_COUNT, FIELD(connections), "N", "10", 0, 1e7, NULL, "connections",
	 "active connections, over all workers of a target"},
	{"workers", 't', OPTION_INT, FIELD(workers), "N", "1", 1, 256, NULL, "processes",
	 "worker processes of each target; each has its own descriptor limit"},
	{"duration", 'd', OPTION_DURATION, FIELD(duration_ns), "TIME", "10s", 1e6, 86400 * SECONDS, NULL, "ns",
	 "length of the measured window"},
	{"rate", 'R', OPTION_NUMBER, FIELD(rate_rps), "N", "0", 0, MANY, NULL, "requests/s",
	 "open loop: arrivals per second, over all workers; 0: closed loop"},
	{"latency", 'L', OPTION_FLAG, FIELD(latency), NULL, NULL, 0, 0, NULL, "",
	 "print the percentiles of all latencies"},
	{"timeout", 'T', OPTION_DURATION, FIELD(timeout_ns), "TIME", "2s", 1e6, 3600 * SECONDS, NULL, "ns",
	 "give a request up after this long; its connection is closed and opened anew"},
	{"warmup", 0, OPTION_DURATION, FIELD(warmup_ns), "TIME", "1s", 0, 3600 * SECONDS, NULL, "ns",
	 "load without recording before the measured window"},
	{"warmup-passes", 0, OPTION_INT, FIELD(warmup_passes), "N", "0", 0, 1e6, NULL, "passes",
	 "and until every active connection has been answered so often; 0: only so long as --warmup says"},
	{"warmup-most", 0, OPTION_DURATION, FIELD(warmup_most_ns), "TIME", "10s", 0, 3600 * SECONDS, NULL, "ns",
	 "wait for --warmup-passes until so long after the load began, or --warmup if that is longer"},
	{"drain", 0, OPTION_DURATION, FIELD(drain_ns), "TIME", "1s", 0, 3600 * SECONDS, NULL, "ns",
	 "wait at most this long for replies after the window; what is still missing is infinite"},
	{"arrival", 0, OPTION_CHOICE, FIELD(arrival), "KIND", "poisson", 0, 0, "fixed|poisson|trace", "",
	 "open loop: the arrival process"},
	{"trace", 0, OPTION_TEXT, FIELD(trace), "FILE", NULL, 0, 0, NULL, "",
	 "open loop: arrival times in seconds, one per line, rising; for --arrival trace"},
	{"seed", 0, OPTION_INT, FIELD(seed), "N", "1", 0, 9e15, NULL, "",
	 "seed of the arrival process and of the echoed bytes"},
	{"pace", 0, OPTION_CHOICE, FIELD(pace), "HOW", "hybrid", 0, 0, "hybrid|sleep|spin", "",
	 "open loop: sleep then spin to each arrival, only sleep, or only spin"},
	{"size", 0, OPTION_SIZE, FIELD(size_bytes), "BYTES", "64", 1, 1 << 20, NULL, "bytes",
	 "echo, rot13: length of a request"},
	{"header", 'H', OPTION_LIST, FIELD(headers), "FIELD", NULL, 0, 0, NULL, "",
	 "http: a further header field, as 'Accept: */*'; Host replaces the usual one"},
	{"method", 0, OPTION_TEXT, FIELD(method), "NAME", NULL, 0, 0, NULL, "",
	 "http: the method; not given: GET, with --body POST"},
	{"body", 0, OPTION_TEXT, FIELD(body), "FILE", NULL, 0, 0, NULL, "",
	 "http: send the file's bytes, at most 1 MiB, with each request; with --requests, with each POST, PUT and PATCH"},
	{"requests", 0, OPTION_TEXT, FIELD(requests), "FILE", NULL, 0, 0, NULL, "",
	 "http: ask for what its lines say, METHOD PATH [WEIGHT [CLASS]]: drawn by weight, or without weights in order"},
	{"remote", 0, OPTION_FLAG, FIELD(remote), NULL, NULL, 0, 0, NULL, "",
	 "allow a server on another machine: only one that is yours, or whose owner has agreed to the load"},
	{"pipeline", 0, OPTION_INT, FIELD(pipeline), "N", "1", 1, 1024, NULL, "requests",
	 "requests outstanding on one connection"},
	{"requests-per-connection", 'n', OPTION_COUNT, FIELD(requests_per_connection), "N", "0", 0, MANY, NULL, "requests",
	 "close an active connection after so many and open it anew; 0: never"},
	{"close", 0, OPTION_CHOICE, FIELD(close), "HOW", "fin", 0, 0, "fin|rst", "",
	 "how such a connection is closed; rst leaves no TIME_WAIT, and is not what clients do"},
	{"verify", 0, OPTION_CHOICE, FIELD(verify), "WHAT", "full", 0, 0, "full|none", "",
	 "full: every echoed byte, http status and framing; none: lengths only"},
	{"idle", 0, OPTION_COUNT, FIELD(idle), "N", "0", 0, 1e7, NULL, "connections",
	 "further connections that make one request, then stay open"},
	{"silent", 0, OPTION_COUNT, FIELD(silent), "N", "0", 0, 1e7, NULL, "connections",
	 "further connections that never send"},
	{"slow-readers", 0, OPTION_COUNT, FIELD(slow_readers), "N", "0", 0, 1e6, NULL, "connections",
	 "further connections that read at --slow-rate"},
	{"slow-writers", 0, OPTION_COUNT, FIELD(slow_writers), "N", "0", 0, 1e6, NULL, "connections",
	 "further connections that write at --slow-rate"},
	{"short-lived", 0, OPTION_COUNT, FIELD(short_lived), "N", "0", 0, 1e6, NULL, "connections",
	 "further connections of one request each, one after the other"},
	{"slow-rate", 0, OPTION_SIZE, FIELD(slow_rate_bytes), "BYTES", "1k", 1, 1 << 30, NULL, "bytes/s",
	 "speed of each slow reader and writer"},
	{"connect-rate", 0, OPTION_NUMBER, FIELD(connect_rate_rps), "N", "0", 0, MANY, NULL, "connections/s",
	 "open at most so many per second; 0: 20k while setting up, then unpaced"},
	{"connect-ahead", 0, OPTION_COUNT, FIELD(connect_ahead), "N", "0", 0, 1e7, NULL, "connections",
	 "while setting up, open at most so many that are not up yet, with --prime not answered yet; 0: any number"},
	{"prime", 0, OPTION_FLAG, FIELD(prime), NULL, NULL, 0, 0, NULL, "",
	 "before the warm-up, make one request on every active or idle connection and wait for all replies"},
	{"source-ip", 0, OPTION_TEXT, FIELD(source_ip), "LIST", "auto", 0, 0, NULL, "",
	 "addresses to connect from, comma-separated, FIRST-LAST for a range; auto: 127.0.0.x as needed"},
	{"engine", 0, OPTION_TEXT, FIELD(engine), "NAME", "epoll", 0, 0, NULL, "",
	 "I/O engine"},
	{"cpus", 0, OPTION_TEXT, FIELD(cpus), "LIST", NULL, 0, 0, NULL, "",
	 "CPUs for the workers, as 0,2-3; one each in turn"},
	{"arrangement", 0, OPTION_CHOICE, FIELD(arrangement), "HOW", "turns", 0, 0, "turns|together", "",
	 "several URLs: load one after the other in short slices, or all at the same time"},
	{"rounds", 0, OPTION_INT, FIELD(rounds), "N", "0", 0, 1e5, NULL, "rounds",
	 "turns: slices of each target; 0: as many as make up --duration over all targets"},
	{"slice", 0, OPTION_AUTO, FIELD(slice_ns), "TIME|auto", "auto", 1e6, 3600 * SECONDS, NULL, "ns",
	 "several URLs: length of a slice; auto: 50ms, or --slice-passes times what one request per connection takes"},
	{"slice-passes", 0, OPTION_INT, FIELD(slice_passes), "N", "10", 1, 1000, NULL, "passes",
	 "several URLs: how often every connection is served in an auto slice, and twice as often as in an auto time to settle"},
	{"settle", 0, OPTION_AUTO, FIELD(settle_ns), "TIME|auto", "auto", 0, 3600 * SECONDS, NULL, "ns",
	 "turns: load before each slice; auto: 20ms, or half of --slice-passes times what one request per connection takes"},
	{"server-cpu", 0, OPTION_LIST, FIELD(server_cpus), "SPEC", NULL, 0, 0, NULL, "",
	 "read the server's CPU time at the ends of the window or of each slice, from pid:N, tree:N or cgroup:PATH, or none; once per URL"},
	{"stamps", 0, OPTION_CHOICE, FIELD(stamps), "WHOSE", "none", 0, 0, "none|kernel", "",
	 "kernel: time replies by the kernel's stamps as well, a fourth latency: arrival"},
	{"way", 0, OPTION_TEXT, FIELD(way), "FILE", NULL, 0, 0, NULL, "",
	 "write the times of each request of the window, as CSV; needs --stamps kernel, one worker, --engine epoll"},
	{"interval", 0, OPTION_DURATION, FIELD(interval_ns), "TIME", "1s", 1e7, 3600 * SECONDS, NULL, "ns",
	 "length of one interval of the series and of the .hlog"},
	{"json", 0, OPTION_TEXT, FIELD(json), "FILE", NULL, 0, 0, NULL, "",
	 "write the result as JSON; - is standard output, instead of the text"},
	{"hlog", 0, OPTION_TEXT, FIELD(hlog), "FILE", NULL, 0, 0, NULL, "",
	 "write the interval histograms as an HdrHistogram log, V2"},
	{"hgrm", 0, OPTION_TEXT, FIELD(hgrm), "FILE", NULL, 0, 0, NULL, "",
	 "write the percentile spectrum of the response time, in milliseconds"},
	{"events-fd", 0, OPTION_INT, FIELD(events_fd), "FD", "-1", -1, 1e6, NULL, "",
	 "write 'connected N', 'warming N T', 'measure', 'done' lines to this descriptor as they happen"},
	{"quiet", 'q', OPTION_FLAG, FIELD(quiet), NULL, NULL, 0, 0, NULL, "",
	 "no text report and no progress"},
	{NULL, 0, OPTION_INT, 0, NULL, NULL, 0, 0, NULL, NULL, NULL},
};
/* clang-format on */

enum { HELP = 256, MARKDOWN, MAN, VERSION, FIRST_ROW };

static int count_choices(const char *choices)
{
	int n = 1;

	for (; *choices; choices++)
		n += *choices == '|';
	return n;
}

const char *options_choice(const struct option_row *row, int index, char *buf, size_t size)
{
	const char *at = row->choices;

	for (int i = 0; i < index && strchr(at, '|'); i++)
		at = strchr(at, '|') + 1;
	snprintf(buf, size, "%.*s", (int)strcspn(at, "|"), at);
	return buf;
}

/* "a|b|c" as "a, b or c". */
static void spell_choices(const char *choices, char *buf, size_t size)
{
	int n = count_choices(choices);
	size_t used = 0;

	for (int i = 0; i < n; i++) {
		size_t length = strcspn(choices, "|");

		used += (size_t)snprintf(buf + used, size - used, "%s%.*s",
					 i == 0       ? ""
					 : i == n - 1 ? " or "
						      : ", ",
					 (int)length, choices);
		choices += length + (choices[length] == '|');
	}
}

static void spell_duration(double ns, char *buf, size_t size)
{
	if (ns < 1e9)
		snprintf(buf, size, "%gms", ns / 1e6);
	else
		snprintf(buf, size, "%gs", ns / 1e9);
}

/* What values a row allows, in words. */
static void spell_allowed(const struct option_row *row, char *buf, size_t size)
{
	char low[32], high[32];

	switch (row->kind) {
	case OPTION_INT:
		snprintf(buf, size, "a whole number from %.0f to %.0f", row->min, row->max);
		break;
	case OPTION_COUNT:
		snprintf(buf, size, "a count from %.0f to %.0f (k, M, G allowed)", row->min,
			 row->max);
		break;
	case OPTION_SIZE:
		snprintf(buf, size, "a size from %.0f to %.0f bytes (k, M, G allowed)", row->min,
			 row->max);
		break;
	case OPTION_NUMBER:
		/* Never as 1e+09: the parser does not take exponents. */
		snprintf(buf, size, "a number from %.15g to %.15g (k, M, G allowed)", row->min,
			 row->max);
		break;
	case OPTION_DURATION:
		spell_duration(row->min, low, sizeof(low));
		spell_duration(row->max, high, sizeof(high));
		snprintf(buf, size, "a time from %s to %s (ns, us, ms, s, m, h; seconds if bare)",
			 low, high);
		break;
	case OPTION_AUTO:
		spell_duration(row->min, low, sizeof(low));
		spell_duration(row->max, high, sizeof(high));
		snprintf(buf, size,
			 "auto or a time from %s to %s (ns, us, ms, s, m, h; seconds if bare)", low,
			 high);
		break;
	case OPTION_CHOICE:
		spell_choices(row->choices, buf, size);
		break;
	case OPTION_LIST:
		snprintf(buf, size, "a non-empty text, at most %d times", TARGETS_MAX);
		break;
	case OPTION_TEXT:
	case OPTION_FLAG:
		snprintf(buf, size, "a non-empty text");
		break;
	}
}

static bool parse_choice(const char *choices, const char *text, int *out)
{
	for (int i = 0; *choices; i++) {
		size_t length = strcspn(choices, "|");

		if (strlen(text) == length && memcmp(choices, text, length) == 0) {
			*out = i;
			return true;
		}
		choices += length + (choices[length] == '|');
	}
	return false;
}

static bool append(struct option_list *list, const char *text)
{
	if (!*text || list->count == TARGETS_MAX)
		return false;
	list->items[list->count++] = text;
	return true;
}

static bool set(struct options *o, const struct option_row *row, const char *text)
{
	void *field = (char *)o + row->offset;
	int64_t min = (int64_t)row->min, max = (int64_t)row->max;

	switch (row->kind) {
	case OPTION_INT:
		return parse_int(text, min, max, field);
	case OPTION_COUNT:
		return parse_count(text, min, max, field);
	case OPTION_SIZE:
		return parse_size(text, min, max, field);
	case OPTION_DURATION:
		return parse_duration_ns(text, min, max, field);
	case OPTION_AUTO:
		if (strcmp(text, "auto") != 0)
			return parse_duration_ns(text, min, max, field);
		*(int64_t *)field = DURATION_AUTO;
		return true;
	case OPTION_NUMBER:
		return parse_number(text, row->min, row->max, field);
	case OPTION_CHOICE:
		return parse_choice(row->choices, text, field);
	case OPTION_TEXT:
		*(const char **)field = text;
		return *text != '\0';
	case OPTION_LIST:
		return append(field, text);
	case OPTION_FLAG:
		*(bool *)field = true;
		return true;
	}
	return false;
}

void options_defaults(struct options *o)
{
	memset(o, 0, sizeof(*o));
	for (const struct option_row *row = option_table; row->name; row++) {
		if (row->initial && !set(o, row, row->initial))
			die(EXIT_FAILURE, "default of --%s is out of range", row->name);
	}
}

static void print_head(FILE *out)
{
	fprintf(out, "Usage: loadgen [OPTION]... URL...\n"
		     "Measure the server at URL: echo://HOST:PORT, rot13://HOST:PORT, "
		     "http://HOST[:PORT][/PATH],\nmemcached://HOST[:PORT]/KEY or "
		     "redis://HOST[:PORT][/KEY]; for HOST:PORT also unix:SOCKET, and :/PATH after "
		     "it.\nCompare several, in turns or together (--arrangement).\n\n");
}

static void print_engines(FILE *out)
{
	const struct engine *const *e = engines;

	fprintf(out, " (");
	for (; *e; e++)
		fprintf(out, "%s%s", e == engines ? "" : ", ", (*e)->name);
	fprintf(out, ")");
}

void options_help(FILE *out)
{
	char names[64];

	print_head(out);
	for (const struct option_row *row = option_table; row->name; row++) {
		const char *argument = row->kind == OPTION_CHOICE ? row->choices : row->argument;

		snprintf(names, sizeof(names), "%s%c%s--%s%s%s", row->letter ? "-" : " ",
			 row->letter ? row->letter : ' ', row->letter ? ", " : "  ", row->name,
			 argument ? " " : "", argument ? argument : "");
		fprintf(out, "  %-34s %s", names, row->help);
		if (strcmp(row->name, "engine") == 0)
			print_engines(out);
		if (row->initial)
			fprintf(out, " [%s]", row->initial);
		fputc('\n', out);
	}
	fprintf(out,
		"      --help                         print this\n"
		"      --help-markdown                print the option table of the manual\n"
		"      --man                          print the manual page, for man(1)\n"
		"      --version                      print the version\n"
		"\nCounts take k, M, G (1000), sizes k, M, G (1024), times ns, us, ms, s, m, h.\n"
		"Exit status: 0 valid, 3 suspect, 4 void, 1 could not start, 2 bad usage,\n"
		"77 unsupported here, 130 interrupted.\n");
}

void options_markdown(FILE *out)
{
	char allowed[128];

	fprintf(out, "| option | value | default | unit in JSON | meaning |\n"
		     "|---|---|---|---|---|\n");
	for (const struct option_row *row = option_table; row->name; row++) {
		spell_allowed(row, allowed, sizeof(allowed));
		fprintf(out, "| ");
		if (row->letter)
			fprintf(out, "`-%c` ", row->letter);
		fprintf(out, "`--%s` | %s | %s | %s | %s |\n", row->name,
			row->kind == OPTION_FLAG                               ? "flag"
			: row->kind == OPTION_TEXT || row->kind == OPTION_LIST ? row->argument
									       : allowed,
			row->initial ? row->initial : "–", *row->unit ? row->unit : "–", row->help);
	}
}

/* Text as troff(1) shows it unchanged: it would hyphenate at '-', and read commands after '.'. */
static void print_roff(FILE *out, const char *text)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", out);
	for (; *text; text++) {
		if (*text == '-')
			fputs("\\-", out);
		else if (*text == '\\')
			fputs("\\e", out);
		else
			fputc(*text, out);
	}
}

static void print_man_option(FILE *out, const struct option_row *row)
{
	char allowed[128];

	fputs(".TP\n", out);
	if (row->letter)
		fprintf(out, "\\fB\\-%c\\fR, ", row->letter);
	fputs("\\fB\\-\\-", out);
	print_roff(out, row->name);
	fputs("\\fR", out);
	if (row->argument)
		fprintf(out, " \\fI%s\\fR", row->argument);
	fputc('\n', out);
	print_roff(out, row->help);
	if (strcmp(row->name, "engine") == 0)
		print_engines(out);
	fputs(".\n", out);
	if (row->kind != OPTION_FLAG && row->kind != OPTION_TEXT) {
		spell_allowed(row, allowed, sizeof(allowed));
		fputs("Allowed: ", out);
		print_roff(out, allowed);
		fputs(".\n", out);
	}
	if (row->initial) {
		fputs("Default: ", out);
		print_roff(out, row->initial);
		fputs(".\n", out);
	}
}

void options_man(FILE *out)
{
	fputs(".TH LOADGEN 1 \"\" tenk \"User Commands\"\n"
	      ".SH NAME\n"
	      "loadgen \\- measure the rate and the latency of a server, and judge the measurement\n"
	      ".SH SYNOPSIS\n"
	      ".B loadgen\n[\\fIOPTION\\fR]... \\fIURL\\fR\n"
	      ".SH DESCRIPTION\n"
	      "Loads the server at \\fIURL\\fR (echo://HOST:PORT, rot13://HOST:PORT,\n"
	      "http://HOST[:PORT][/PATH], memcached://HOST[:PORT]/KEY or redis://HOST[:PORT][/KEY];\n"
	      "for HOST:PORT also unix:SOCKET, and :/PATH after it)\n"
	      "from many connections, in a closed loop or, with\n"
	      "\\fB\\-R\\fR, at a given rate. It measures response time from when each request was due,\n"
	      "counts what was never answered as infinite, and ends with a verdict on itself:\n"
	      "valid, suspect or void, with the reasons.\n"
	      ".SH OPTIONS\n"
	      "Counts take k, M, G (1000), sizes k, M, G (1024), times ns, us, ms, s, m, h.\n",
	      out);
	for (const struct option_row *row = option_table; row->name; row++)
		print_man_option(out, row);
	fputs(".SH EXIT STATUS\n"
	      "0 valid, 3 suspect, 4 void, 1 could not start, 2 bad usage, 77 unsupported here,\n"
	      "130 interrupted.\n"
	      ".SH EXAMPLES\n"
	      ".nf\n"
	      "loadgen \\-c 100 \\-d 10s \\-L http://127.0.0.1:8080/\n"
	      "loadgen \\-c 100 \\-d 10s \\-R 50k \\-L echo://127.0.0.1:9000\n"
	      ".fi\n",
	      out);
}

static _Noreturn void refuse_engine(const char *name)
{
	char allowed[128] = "";

	for (const struct engine *const *e = engines; *e; e++) {
		size_t used = strlen(allowed);

		snprintf(allowed + used, sizeof(allowed) - used, "%s%s", used ? " or " : "",
			 (*e)->name);
	}
	opt_refuse("--engine", name, allowed);
}

bool options_given(const struct options *o, const char *name)
{
	for (int i = 0; option_table[i].name; i++) {
		if (strcmp(option_table[i].name, name) == 0)
			return o->given >> i & 1;
	}
	return false;
}

/* None of these options, the last of which is NULL, may be given, for the reason given. */
static void refuse_any(const struct options *o, const char *const *names, const char *reason)
{
	for (; *names; names++) {
		if (options_given(o, *names))
			die(EXIT_BAD_USAGE, "--%s: not allowed %s", *names, reason);
	}
}

/* What goes with one URL, with several in turns, and with several together. */
static void check_targets(const struct options *o)
{
	static const char *const several[] = {"arrangement",  "rounds", "slice",
					      "slice-passes", "settle", NULL};
	static const char *const single[] = {"interval", "hlog", "hgrm", "way", NULL};
	static const char *const passes[] = {"warmup-passes", NULL};
	static const char *const together[] = {"rounds", "settle", NULL};
	static const char *const turns[] = {"drain", NULL};

	if (o->server_cpus.count && o->server_cpus.count != o->urls.count)
		die(EXIT_BAD_USAGE,
		    "--server-cpu: given %zu times for %zu URL%s; once for each, in the same order, "
		    "or not at all",
		    o->server_cpus.count, o->urls.count, o->urls.count == 1 ? "" : "s");
	if (o->urls.count == 1) {
		refuse_any(o, several, "with one URL; give the URLs that are to be compared");
		return;
	}
	refuse_any(o, single, "with several URLs; --json has what was measured slice by slice");
	refuse_any(o, passes, "with several URLs; --warmup says how long they may warm up");
	if (o->slice_ns != DURATION_AUTO && options_given(o, "slice-passes"))
		die(EXIT_BAD_USAGE, "--slice-passes: not allowed with a time of --slice, which "
				    "says how long a slice is");
	if (o->workers * (int64_t)o->urls.count > WORKERS_MAX)
		die(EXIT_BAD_USAGE,
		    "--workers: '%" PRId64 "' for each of %zu URLs is more than %d processes",
		    o->workers, o->urls.count, WORKERS_MAX);
	if (o->arrangement == ARRANGEMENT_TOGETHER) {
		refuse_any(o, together, "with --arrangement together; --slice cuts the window");
		return;
	}
	refuse_any(o, turns, "with --arrangement turns; --timeout says how long a reply may take");
	if (o->rounds && options_given(o, "duration"))
		die(EXIT_BAD_USAGE, "--duration: not allowed with --rounds; rounds and --slice say "
				    "how long the run lasts");
	if (o->arrival == ARRIVAL_TRACE)
		die(EXIT_BAD_USAGE, "--arrival: 'trace' is not allowed with --arrangement turns; "
				    "each slice is a run of its own");
}

int64_t options_population(const struct options *o, enum population population)
{
	static const size_t fields[POPULATIONS] = {
		[POPULATION_ACTIVE] = FIELD(connections),
		[POPULATION_IDLE] = FIELD(idle),
		[POPULATION_SILENT] = FIELD(silent),
		[POPULATION_SLOW_READERS] = FIELD(slow_readers),
		[POPULATION_SLOW_WRITERS] = FIELD(slow_writers),
		[POPULATION_SHORT_LIVED] = FIELD(short_lived),
	};

	return *(const int64_t *)((const char *)o + fields[population]);
}

int64_t options_all_connections(const struct options *o)
{
	int64_t n = 0;

	for (int p = 0; p < POPULATIONS; p++)
		n += options_population(o, (enum population)p);
	return n;
}

static void check_requests(const struct options *o)
{
	const char *wrong = o->method ? ask_check_method(o->method) : NULL;

	if (wrong)
		opt_refuse("--method", o->method, wrong);
	if (o->method && o->requests)
		die(EXIT_BAD_USAGE, "--method: not allowed with --requests, whose lines say it");
	for (size_t i = 0; i < o->headers.count; i++) {
		wrong = ask_check_field(o->headers.items[i]);
		if (wrong)
			opt_refuse("--header", o->headers.items[i], wrong);
	}
}

/* A row has one send and one reply, and the error queue is read by one engine. */
static void check_way(const struct options *o)
{
	if (!o->way)
		return;
	if (o->stamps != STAMPS_KERNEL)
		die(EXIT_BAD_USAGE, "--way: needs --stamps kernel");
	if (strcmp(o->engine, "epoll") != 0)
		opt_refuse("--engine", o->engine, "epoll, with --way");
	if (o->workers != 1)
		die(EXIT_BAD_USAGE, "--workers: '%" PRId64 "' is not allowed with --way; 1",
		    o->workers);
	if (o->pipeline != 1)
		die(EXIT_BAD_USAGE, "--pipeline: '%" PRId64 "' is not allowed with --way; 1",
		    o->pipeline);
}

static void check_combination(const struct options *o)
{
	bool open = o->rate_rps > 0 || o->arrival == ARRIVAL_TRACE;

	check_requests(o);
	if (o->rate_rps > 0 && o->arrival == ARRIVAL_TRACE)
		die(EXIT_BAD_USAGE, "--rate: not allowed with --arrival trace; the trace has the "
				    "arrival times");
	if (o->arrival == ARRIVAL_TRACE && !o->trace)
		die(EXIT_BAD_USAGE, "--arrival: 'trace' needs --trace FILE");
	if (o->trace && o->arrival != ARRIVAL_TRACE)
		die(EXIT_BAD_USAGE, "--trace: '%s' needs --arrival trace", o->trace);
	if (options_given(o, "warmup-most") && !o->warmup_passes)
		die(EXIT_BAD_USAGE, "--warmup-most: needs --warmup-passes");
	if (o->warmup_passes && o->arrival == ARRIVAL_TRACE)
		die(EXIT_BAD_USAGE, "--warmup-passes: not allowed with --arrival trace, where the "
				    "window must begin at a known time; use --warmup");
	if (open && o->connections == 0)
		die(EXIT_BAD_USAGE,
		    "--connections: '0' is not allowed in an open loop; at least 1");
	if (options_all_connections(o) == 0)
		die(EXIT_BAD_USAGE, "--connections: '0' is allowed only with another population "
				    "(--idle, --silent, ...)");
	if (o->connections > 0 && o->workers > o->connections)
		die(EXIT_BAD_USAGE,
		    "--workers: '%" PRId64 "' is more than --connections (%" PRId64
		    "); each worker needs one",
		    o->workers, o->connections);
	if (o->requests_per_connection && o->pipeline > o->requests_per_connection)
		die(EXIT_BAD_USAGE,
		    "--pipeline: '%" PRId64 "' is more than --requests-per-connection (%" PRId64
		    ")",
		    o->pipeline, o->requests_per_connection);
	if (!engine_find(o->engine))
		refuse_engine(o->engine);
	check_way(o);
	if (o->quiet && o->latency)
		die(EXIT_BAD_USAGE, "--latency: not allowed with --quiet");
	check_targets(o);
}

/* The table in the form that getopt_long(3) wants. */
struct getopt_tables {
	struct option longs[sizeof(option_table) / sizeof(*option_table) + 4];
	char letters[2 * sizeof(option_table) / sizeof(*option_table) + 2];
};

static void make_tables(struct getopt_tables *t)
{
	size_t n = 0, l = 0;

	t->letters[l++] = ':'; /* tell a missing value from an unknown option */
	for (const struct option_row *row = option_table; row->name; row++, n++) {
		int has = row->kind == OPTION_FLAG ? no_argument : required_argument;

		t->longs[n] = (struct option){row->name, has, NULL, FIRST_ROW + (int)n};
		if (row->letter) {
			t->letters[l++] = row->letter;
			if (has)
				t->letters[l++] = ':';
		}
	}
	t->letters[l] = '\0';
	t->longs[n++] = (struct option){"help", no_argument, NULL, HELP};
	t->longs[n++] = (struct option){"help-markdown", no_argument, NULL, MARKDOWN};
	t->longs[n++] = (struct option){"man", no_argument, NULL, MAN};
	t->longs[n++] = (struct option){"version", no_argument, NULL, VERSION};
	t->longs[n] = (struct option){0};
}

/* End after printing what was asked for. */
static _Noreturn void end_printed(void)
{
	exit(output_flush_stdout() ? EXIT_SUCCESS : EXIT_FAILURE);
}

/*
 * getopt_long(3) refused something. Of a short option it tells the letter, which may be one of
 * several in a word that it has not left yet; of a long one, which word it was.
 */
static _Noreturn void refuse_option(int got, char **argv)
{
	char letter[] = {'-', (char)optopt, '\0'};
	const char *name = optopt != 0 && optopt < HELP ? letter : argv[optind - 1];

	if (got == ':')
		die(EXIT_BAD_USAGE, "%s: needs a value; see --help", name);
	if (optopt >= HELP)
		die(EXIT_BAD_USAGE, "%s: takes no value; see --help", name);
	die(EXIT_BAD_USAGE, "%s: no such option (or not unique); see --help", name);
}

/* What is not in the table: requests for information, and mistakes. Both end the program. */
static void end_if_special(int got, char **argv)
{
	switch (got) {
	case HELP:
		options_help(stdout);
		end_printed();
	case MARKDOWN:
		options_markdown(stdout);
		end_printed();
	case MAN:
		options_man(stdout);
		end_printed();
	case VERSION:
		printf("tenk loadgen, result schema tenk.loadgen/2\n");
		end_printed();
	case ':':
	case '?':
		refuse_option(got, argv);
	default:
		return;
	}
}

static const struct option_row *find_row(int got)
{
	const struct option_row *row = option_table;

	if (got >= FIRST_ROW)
		return &option_table[got - FIRST_ROW];
	while (row->letter != got)
		row++;
	return row;
}

void options_parse(struct options *o, int argc, char **argv)
{
	struct getopt_tables tables;
	char option[64], allowed[128];
	int got;

	make_tables(&tables);
	options_defaults(o);
	opterr = 0;
	optind = 0;
	while ((got = getopt_long(argc, argv, tables.letters, tables.longs, NULL)) != -1) {
		const struct option_row *row;

		end_if_special(got, argv);
		row = find_row(got);
		if (!set(o, row, optarg)) {
			snprintf(option, sizeof(option), "--%s", row->name);
			spell_allowed(row, allowed, sizeof(allowed));
			opt_refuse(option, optarg, allowed);
		}
		o->given |= UINT64_C(1) << (row - option_table);
	}
	if (optind == argc)
		die(EXIT_BAD_USAGE,
		    "URL: missing; as http://127.0.0.1:8080/ or echo://127.0.0.1:9000");
	for (; optind < argc; optind++) {
		if (!append(&o->urls, argv[optind]))
			die(EXIT_BAD_USAGE, "URL: '%s' is %s", argv[optind],
			    *argv[optind] ? "one too many; at most 32 are allowed" : "empty");
	}
	o->url = o->urls.items[0];
	check_combination(o);
}
