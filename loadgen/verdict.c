// SPDX-License-Identifier: MIT
#include "loadgen/verdict.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "loadgen/turns.h"

/* docs/loadgen.md says why each of them. */
#define CLIENT_CPU_LIMIT    0.90
#define CLIENT_STARVED      0.10
#define CLIENT_ABSENT_VOID  0.50
#define FEW_REQUESTS        100
#define SHARE_LOST          0.001 /* of requests unsent, unanswered, failed: suspect beyond */
#define SHARE_FAILED_VOID   0.10
#define LAG_MEDIAN_SUSPECT  0.10 /* client's lateness / response time */
#define LAG_MEDIAN_VOID     0.50
#define LAG_TAIL_SUSPECT    0.50
#define LITTLE_SUSPECT      0.10
#define LITTLE_VOID         0.50
#define RETRANSMITS_SUSPECT 1e-4 /* per request */
#define DROPS_SUSPECT       1e-4 /* per request */
#define STEAL_SUSPECT       0.01
#define STEAL_TICKS         2 /* one tick of 10 ms is where the window's edges fell */

__attribute__((format(printf, 4, 5))) static void add(struct verdict *v, enum verdict_status status,
						      const char *code, const char *format, ...)
{
	struct reason *reason = &v->reasons[v->count];
	va_list args;

	assert(v->count < VERDICT_REASONS);
	v->count++;
	reason->status = status;
	reason->code = code;
	va_start(args, format);
	vsnprintf(reason->text, sizeof(reason->text), format, args);
	va_end(args);
	if (status > v->status)
		v->status = status;
}

static const struct tally *active(const struct result *r)
{
	return &r->total->tallies[POPULATION_ACTIVE];
}

static double share(uint64_t part, uint64_t whole)
{
	return whole ? (double)part / (double)whole : 0;
}

static uint64_t errors_of_kind(const struct result *r, enum failure kind)
{
	uint64_t n = 0;

	for (int p = 0; p < POPULATIONS; p++)
		n += r->total->tallies[p].request_errors[kind] +
		     r->total->tallies[p].connection_errors[kind];
	return n;
}

static void check_interrupted(struct verdict *v, const struct result *r)
{
	if (r->interrupted && r->turns)
		add(v, VERDICT_VOID, "interrupted",
		    "interrupted; only the slices that were over by then are in the result");
	else if (r->interrupted)
		add(v, VERDICT_VOID, "interrupted",
		    "interrupted after %.3f s of the %.3f s window; the result is partial",
		    r->window_s, (double)r->options->duration_ns / 1e9);
}

/*
 * Do the parts add up? They always should: if not, a worker is missing or the program is wrong, and
 * no other figure can be trusted either.
 */
static void check_complete(struct verdict *v, const struct result *r)
{
	uint64_t workers = (uint64_t)r->options->workers;

	for (int p = 0; p < POPULATIONS; p++) {
		const struct tally *t = &r->total->tallies[p];
		uint64_t parts = t->completed + t->unanswered + result_failed(t);

		if (t->sent == parts)
			continue;
		add(v, VERDICT_VOID, "incomplete",
		    "%s: %" PRIu64 " requests were sent, but %" PRIu64
		    " completed, unanswered or failed: the parts do not add up; run it again",
		    population_name((enum population)p), t->sent, parts);
		return;
	}
	if (r->workers_ended != workers)
		add(v, VERDICT_VOID, "incomplete",
		    "%" PRIu64 " of %" PRIu64
		    " workers ended: the share of the others is missing; run it again",
		    r->workers_ended, workers);
	else if (r->interrupted || r->total->gone || result_window_as_asked(r))
		return;
	else if (r->turns && r->options->arrangement == ARRANGEMENT_TURNS)
		add(v, VERDICT_VOID, "incomplete",
		    "the run ended before all slices had been measured; see the other reasons");
	else
		add(v, VERDICT_VOID, "incomplete",
		    "the window was %.3f s long, not the %.3f s that were asked for; run it again",
		    r->window_s, (double)r->options->duration_ns / 1e9);
}

static void check_server(struct verdict *v, const struct result *r)
{
	if (r->total->gone)
		add(v, VERDICT_VOID, "server-gone",
		    "the server refused %" PRIu64 " connections after the start; it has gone",
		    r->total->gone);
}

static void check_verification(struct verdict *v, const struct result *r)
{
	/* The warm-up counts: a server that was wrong once is not the one that was to be measured.
	 */
	if (r->total->wrong)
		add(v, VERDICT_VOID, "verification",
		    "%" PRIu64 " times what came was not what was due%s%s", r->total->wrong,
		    *r->total->mismatch ? "; first: " : "", r->total->mismatch);
}

static void check_warmup(struct verdict *v, const struct result *r)
{
	if (r->options->warmup_passes && !r->warm && r->window_s > 0 && !r->interrupted)
		add(v, VERDICT_SUSPECT, "warmup",
		    "not every connection had been answered %" PRId64
		    " times when the window began, after %.1f s: the server is slow or keeps some "
		    "waiting; a longer --warmup-most",
		    r->options->warmup_passes, r->warmup_s);
}

static void check_counts(struct verdict *v, const struct result *r)
{
	uint64_t completed = active(r)->completed;

	if (r->options->connections == 0 || r->interrupted)
		return;
	if (completed == 0)
		add(v, VERDICT_VOID, "too-few", "no request was answered");
	else if (completed < FEW_REQUESTS)
		add(v, VERDICT_SUSPECT, "too-few",
		    "only %" PRIu64 " requests were answered; too few for percentiles", completed);
}

/* What to do about the kind of error that has a remedy. */
static const char *error_remedy(const struct result *r)
{
	if (errors_of_kind(r, FAILURE_NO_PORT))
		return "; no local port was free: more --source-ip addresses";
	if (errors_of_kind(r, FAILURE_NO_DESCRIPTOR))
		return "; no descriptor was free: more workers (-t), or raise fs.file-max";
	if (errors_of_kind(r, FAILURE_CONNECT_TIMEOUT))
		return "; connects went unanswered: a larger backlog, or --connect-rate";
	if (errors_of_kind(r, FAILURE_TIMEOUT))
		return "; some took longer than --timeout";
	return "";
}

static void check_errors(struct verdict *v, const struct result *r)
{
	uint64_t failed = 0, sent = 0, broken = 0, opened = 0;
	double requests, connections;

	for (int p = 0; p < POPULATIONS; p++) {
		const struct tally *t = &r->total->tallies[p];

		failed += result_failed(t);
		sent += t->sent;
		opened += t->opened > t->connections ? t->opened : t->connections;
		for (int i = 0; i < FAILURES; i++)
			broken += t->connection_errors[i];
	}
	requests = share(failed, sent);
	connections = share(broken, opened);
	if (requests > SHARE_LOST || connections > SHARE_LOST)
		add(v,
		    requests > SHARE_FAILED_VOID || connections > SHARE_FAILED_VOID
			    ? VERDICT_VOID
			    : VERDICT_SUSPECT,
		    "errors",
		    "%" PRIu64 " of %" PRIu64 " requests and %" PRIu64 " of %" PRIu64
		    " connections failed%s",
		    failed, sent, broken, opened, error_remedy(r));
}

static void check_unanswered(struct verdict *v, const struct result *r)
{
	uint64_t n = active(r)->unanswered;

	if (share(n, active(r)->sent) > SHARE_LOST)
		add(v, VERDICT_SUSPECT, "unanswered",
		    "%" PRIu64 " of %" PRIu64
		    " requests had no reply when the run ended; they count "
		    "as infinite",
		    n, active(r)->sent);
}

static void check_stamps(struct verdict *v, const struct result *r)
{
	const struct record *t = r->total;

	if (share(t->unstamped, active(r)->completed) > SHARE_LOST)
		add(v, VERDICT_SUSPECT, "stamps",
		    "%" PRIu64 " of %" PRIu64
		    " replies had no time stamp of the kernel that can be "
		    "right%s; arrival does not speak for them",
		    t->unstamped, active(r)->completed,
		    t->stamps_steps ? ": somebody set the time of day" : "");
}

static void check_client(struct verdict *v, const struct result *r)
{
	if (r->most_absent > CLIENT_STARVED)
		add(v, r->most_absent > CLIENT_ABSENT_VOID ? VERDICT_VOID : VERDICT_SUSPECT,
		    "client-limited",
		    "a worker did nothing for %.0f %% of the window (limit %.0f %%): it was stopped "
		    "(SIGSTOP, Ctrl-Z), or had no CPU; run it again, with a CPU of its own (--cpus)",
		    r->most_absent * 100, CLIENT_STARVED * 100);
	else if (r->busiest_worker > CLIENT_CPU_LIMIT)
		add(v, VERDICT_SUSPECT, "client-limited",
		    "the busiest worker used %.0f %% of a CPU (limit %.0f %%): the client may be what "
		    "was measured; more workers (-t), or less load",
		    r->busiest_worker * 100, CLIENT_CPU_LIMIT * 100);
	else if (r->most_starved > CLIENT_STARVED)
		add(v, VERDICT_SUSPECT, "client-limited",
		    "a worker was kept from its CPU for %.0f %% of the window (limit %.0f %%): other "
		    "programs, or the server, ran there; give the client a CPU of its own (--cpus)",
		    r->most_starved * 100, CLIENT_STARVED * 100);
}

static void check_schedule(struct verdict *v, const struct result *r)
{
	uint64_t unsent = active(r)->unsent;

	if (!result_open_loop(r) || share(unsent, result_intended(r)) <= SHARE_LOST)
		return;
	add(v, VERDICT_SUSPECT, "schedule",
	    "%s%" PRIu64 " of %" PRIu64 " due requests were never sent (%.2f %%) for want of a "
	    "free connection: the server is saturated, or there are too few connections; they "
	    "count as infinite",
	    active(r)->unsent_estimated ? "about " : "", unsent, result_intended(r),
	    100 * share(unsent, result_intended(r)));
}

static void check_lag(struct verdict *v, const struct result *r)
{
	const struct hist *late = &r->total->late, *response = &r->total->response;
	double median, tail;

	if (!result_open_loop(r) || hist_count(late) == 0)
		return;
	median = (double)hist_percentile(late, 50) / (double)hist_percentile(response, 50);
	tail = (double)hist_percentile(late, 99) / (double)hist_percentile(response, 99);
	if (median > LAG_MEDIAN_SUSPECT || tail > LAG_TAIL_SUSPECT)
		add(v, median > LAG_MEDIAN_VOID ? VERDICT_VOID : VERDICT_SUSPECT, "lag",
		    "the client itself was late by %.1f us (median) and %.1f us (p99), %.0f %% and "
		    "%.0f %% of the response time; use --pace hybrid, more workers, a CPU of its own",
		    (double)hist_percentile(late, 50) / 1e3,
		    (double)hist_percentile(late, 99) / 1e3, median * 100, tail * 100);
}

/* In turns each slice is a window of its own. */
static size_t count_windows(const struct result *r)
{
	size_t n = 0;

	if (!r->turns || r->options->arrangement != ARRANGEMENT_TURNS)
		return 1;
	for (size_t i = 0; i < turns_slice_count(r->turns); i++) {
		const struct slice *slice = turns_slice(r->turns, i);

		n += slice && !slice->warmup && slice->target == r->number;
	}
	return n;
}

/* L = lambda W [Little, Operations Research 9(3), 1961]: each side from counters of its own. */
static void check_little(struct verdict *v, const struct result *r)
{
	double mean_s = hist_mean_finite(&r->total->service) / 1e9, l, lambda_w, off;

	if (active(r)->completed < FEW_REQUESTS || r->window_s <= 0)
		return;
	l = (double)r->total->inflight_ns / 1e9 / r->window_s;
	lambda_w = (double)active(r)->completed / r->window_s * mean_s;
	/* What crosses the edges of a window is on one side only: about W in so long a window. */
	off = fabs(lambda_w - l) / fmax(l, lambda_w) -
	      mean_s * (double)count_windows(r) / r->window_s;
	if (off > LITTLE_SUSPECT)
		add(v, off > LITTLE_VOID ? VERDICT_VOID : VERDICT_SUSPECT, "littles-law",
		    "%.2f requests were in flight on average, but rate times service time is %.2f: "
		    "the answered requests do not speak for all",
		    l, lambda_w);
}

static void check_network(struct verdict *v, const struct result *r)
{
	const struct host_counters *d = &r->disturbance;

	if (!d->network)
		return;
	if (d->listen_overflows || d->listen_drops)
		add(v, VERDICT_SUSPECT, "listen-overflow",
		    "%" PRIu64 " listen overflows and %" PRIu64
		    " dropped SYNs on this machine during "
		    "the window: connects waited for retransmission; larger backlog "
		    "(net.core.somaxconn, server option) or --connect-rate",
		    d->listen_overflows, d->listen_drops);
	if ((double)d->retransmits > RETRANSMITS_SUSPECT * (double)active(r)->completed + 1)
		add(v, VERDICT_SUSPECT, "retransmits",
		    "%" PRIu64 " TCP segments were retransmitted on this machine during the window",
		    d->retransmits);
}

static void check_drops(struct verdict *v, const struct result *r)
{
	uint32_t drops = r->disturbance.softnet_drops;

	if ((double)drops > DROPS_SUSPECT * (double)active(r)->completed)
		add(v, VERDICT_SUSPECT, "softnet-drops",
		    "%" PRIu32 " packets were dropped on this machine during the window because a "
		    "CPU's queue was full: each costs 200 ms until TCP sends it again; raise "
		    "net.core.netdev_max_backlog (sysctl)",
		    drops);
}

static void check_steal(struct verdict *v, const struct result *r)
{
	double stolen = share(r->disturbance.steal_ticks, r->disturbance.cpu_ticks);

	if (stolen > STEAL_SUSPECT && r->disturbance.steal_ticks >= STEAL_TICKS)
		add(v, VERDICT_SUSPECT, "steal",
		    "the hypervisor took %.1f %% of the CPU time during the window", stolen * 100);
}

static void check_server_cpu(struct verdict *v, const struct result *r)
{
	const struct option_list *sources = &r->options->server_cpus;
	size_t all = 0, lost = 0, count = r->turns ? turns_slice_count(r->turns) : 0;

	if (!sources->count || !server_cpu_wanted(sources->items[r->turns ? r->number : 0]))
		return;
	for (size_t i = 0; i < count; i++) {
		const struct slice *slice = turns_slice(r->turns, i);

		if (!slice || slice->target != r->number)
			continue;
		all++;
		lost += !slice_change(slice).server.known;
	}
	if (!r->turns && r->window_s > 0 && !result_server(r).server.known)
		add(v, VERDICT_VOID, "server-cpu",
		    "the CPU time of %s could not be read at both ends of the window: it has gone",
		    sources->items[0]);
	if (lost)
		add(v, VERDICT_VOID, "server-cpu",
		    "the CPU time of %s could not be read in %zu of %zu slices: it has gone",
		    sources->items[r->number], lost, all);
}

void verdict_reach(struct verdict *v, const struct result *r)
{
	v->status = VERDICT_VALID;
	v->count = 0;
	check_interrupted(v, r);
	check_complete(v, r);
	check_server_cpu(v, r);
	check_server(v, r);
	check_verification(v, r);
	check_warmup(v, r);
	check_counts(v, r);
	check_errors(v, r);
	check_unanswered(v, r);
	check_stamps(v, r);
	check_schedule(v, r);
	check_lag(v, r);
	check_client(v, r);
	check_little(v, r);
	check_network(v, r);
	check_drops(v, r);
	check_steal(v, r);
}

/* Reasons of a target that are not there yet; of the others, how many targets have them. */
static void take_over(struct verdict *v, const struct verdict *one, const char *url,
		      int targets[VERDICT_REASONS])
{
	for (size_t i = 0; i < one->count; i++) {
		const struct reason *reason = &one->reasons[i];
		size_t at = 0;

		while (at < v->count && strcmp(v->reasons[at].code, reason->code) != 0)
			at++;
		targets[at]++;
		if (at == v->count)
			add(v, reason->status, reason->code, "%.80s: %s", url, reason->text);
		else if (reason->status > v->reasons[at].status)
			v->reasons[at].status = reason->status;
		if (reason->status > v->status)
			v->status = reason->status;
	}
}

void verdict_reach_all(struct verdict *v, const struct result *all)
{
	int targets[VERDICT_REASONS] = {0};
	struct verdict one;

	v->status = VERDICT_VALID;
	v->count = 0;
	for (size_t i = 0; i < all->target_count; i++) {
		verdict_reach(&one, &all->targets[i]);
		take_over(v, &one, all->targets[i].url, targets);
	}
	for (size_t i = 0; i < v->count; i++) {
		char *end = strchr(v->reasons[i].text, '\0');
		size_t room = sizeof(v->reasons[i].text) - (size_t)(end - v->reasons[i].text);

		if (targets[i] > 1)
			snprintf(end, room, " (and %d more)", targets[i] - 1);
	}
	check_network(v, all);
	check_drops(v, all);
	check_steal(v, all);
}

const char *verdict_name(enum verdict_status status)
{
	static const char *const names[] = {"valid", "suspect", "void"};

	return names[status];
}

int verdict_exit_status(const struct verdict *v, const struct result *r)
{
	static const int statuses[] = {EXIT_VALID, EXIT_SUSPECT, EXIT_VOID};

	return r->interrupted ? EXIT_INTERRUPTED : statuses[v->status];
}
