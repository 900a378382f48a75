// SPDX-License-Identifier: MIT
#include "loadgen/report.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "loadgen/edge.h"
#include "loadgen/hist_code.h"
#include "loadgen/turns.h"

/* Counts beyond 2^63 do not occur; jansson has no unsigned integer. */
static json_t *whole(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static json_t *time_ns(uint64_t ns)
{
	return ns == HIST_INFINITE ? json_string("inf") : whole(ns);
}

static json_t *real(double x)
{
	if (isinf(x))
		return json_string("inf");
	return isnan(x) ? json_null() : json_real(x);
}

static json_t *text_or_null(const char *text)
{
	return text && *text ? json_string(text) : json_null();
}

static json_t *list_json(const struct option_list *list)
{
	json_t *array = json_array();

	for (size_t i = 0; i < list->count; i++)
		json_array_append_new(array, json_string(list->items[i]));
	return array;
}

/* Every option as used, from the option table itself. */
static json_t *config_json(const struct result *r)
{
	json_t *config = json_object();
	char buf[32];

	json_object_set_new(config, "url", json_string(r->options->url));
	json_object_set_new(config, "urls", list_json(&r->options->urls));
	for (const struct option_row *row = option_table; row->name; row++) {
		const void *field = (const char *)r->options + row->offset;
		json_t *value = NULL;

		switch (row->kind) {
		case OPTION_INT:
		case OPTION_COUNT:
		case OPTION_SIZE:
		case OPTION_DURATION:
			value = json_integer(*(const int64_t *)field);
			break;
		case OPTION_NUMBER:
			value = json_real(*(const double *)field);
			break;
		case OPTION_AUTO:
			value = *(const int64_t *)field == DURATION_AUTO
					? json_string("auto")
					: json_integer(*(const int64_t *)field);
			break;
		case OPTION_LIST:
			value = list_json(field);
			break;
		case OPTION_TEXT:
			value = text_or_null(*(const char *const *)field);
			break;
		case OPTION_CHOICE:
			value = json_string(
				options_choice(row, *(const int *)field, buf, sizeof(buf)));
			break;
		case OPTION_FLAG:
			value = json_boolean(*(const bool *)field);
			break;
		}
		json_object_set_new(config, row->name, value);
	}
	return config;
}

static json_t *host_json(const struct host_facts *h)
{
	return json_pack("{s:o, s:o, s:o, s:I, s:I, s:I, s:[I, I]}", "name", text_or_null(h->name),
			 "kernel", text_or_null(h->kernel), "cpu", text_or_null(h->cpu), "cpus",
			 (json_int_t)h->cpus, "memory_bytes", (json_int_t)h->memory_bytes,
			 "descriptor_limit", (json_int_t)h->descriptor_limit, "local_ports",
			 (json_int_t)h->port_first, (json_int_t)h->port_last);
}

static json_t *verdict_json(const struct verdict *v)
{
	json_t *reasons = json_array();

	for (size_t i = 0; i < v->count; i++)
		json_array_append_new(reasons,
				      json_pack("{s:s, s:s, s:s}", "code", v->reasons[i].code,
						"status", verdict_name(v->reasons[i].status),
						"text", v->reasons[i].text));
	return json_pack("{s:s, s:o}", "status", verdict_name(v->status), "reasons", reasons);
}

static json_t *errors_json(const uint64_t errors[FAILURES])
{
	json_t *object = json_object();

	for (int i = 0; i < FAILURES; i++) {
		if (errors[i])
			json_object_set_new(object, failure_name((enum failure)i),
					    whole(errors[i]));
	}
	return object;
}

static json_t *latency_json(const struct hist *h)
{
	static const struct {
		const char *name;
		double percent;
	} columns[] = {{"p50", 50}, {"p75", 75},     {"p90", 90},
		       {"p99", 99}, {"p99_9", 99.9}, {"p99_99", 99.99}};
	json_t *object = json_object();

	json_object_set_new(object, "count", whole(hist_count(h)));
	json_object_set_new(object, "mean", real(hist_mean(h)));
	json_object_set_new(object, "mean_finite", real(hist_mean_finite(h)));
	json_object_set_new(object, "stddev_finite", real(hist_stddev_finite(h)));
	json_object_set_new(object, "min", time_ns(hist_min(h)));
	for (size_t i = 0; i < sizeof(columns) / sizeof(*columns); i++)
		json_object_set_new(object, columns[i].name,
				    time_ns(hist_percentile(h, columns[i].percent)));
	json_object_set_new(object, "max", time_ns(hist_max(h)));
	json_object_set_new(object, "max_finite", time_ns(hist_max_finite(h)));
	json_object_set_new(object, "overflow", whole(hist_overflow(h)));
	json_object_set_new(object, "infinite", whole(hist_infinite(h)));
	return object;
}

static json_t *tally_json(const struct tally *t)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "sent", whole(t->sent), "completed",
			 whole(t->completed), "unanswered", whole(t->unanswered), "unsent",
			 whole(t->unsent), "unsent_estimated", whole(t->unsent_estimated), "failed",
			 whole(result_failed(t)), "errors", errors_json(t->request_errors));
}

static json_t *populations_json(const struct result *r)
{
	json_t *object = json_object();

	for (int p = 0; p < POPULATIONS; p++) {
		const struct tally *t = &r->total->tallies[p];
		const struct hist *h = p == POPULATION_ACTIVE ? &r->total->response : &t->latency;

		if (!t->connections)
			continue;
		json_object_set_new(object, population_name((enum population)p),
				    json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "connections",
					      whole(t->connections), "up", whole(t->up), "opened",
					      whole(t->opened), "connection_errors",
					      errors_json(t->connection_errors), "requests",
					      tally_json(t), "latency_ns", latency_json(h)));
	}
	return object;
}

static json_t *classes_json(const struct result *r)
{
	const struct http_ask *ask = r->target->ask;
	json_t *object = json_object();

	for (uint32_t i = 0; i < r->total->class_count; i++)
		json_object_set_new(object, ask->classes[i],
				    json_pack("{s:o, s:o}", "share", real(ask_class_share(ask, i)),
					      "latency_ns", latency_json(&r->total->classes[i])));
	return object;
}

static json_t *connections_json(const struct result *r)
{
	uint64_t errors[FAILURES] = {0}, up = 0, opened = 0, wanted = 0;

	for (int p = 0; p < POPULATIONS; p++) {
		const struct tally *t = &r->total->tallies[p];

		up += t->up;
		opened += t->opened;
		wanted += t->connections;
		for (int i = 0; i < FAILURES; i++)
			errors[i] += t->connection_errors[i];
	}
	return json_pack("{s:o, s:o, s:o, s:o}", "wanted", whole(wanted), "up", whole(up), "opened",
			 whole(opened), "errors", errors_json(errors));
}

static json_t *intervals_json(const struct result *r)
{
	json_t *array = json_array();

	for (size_t i = 0; i < r->interval_count; i++) {
		const struct interval *in = &r->intervals[i];

		json_array_append_new(
			array,
			json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "start_ns",
				  whole(in->start_ns), "end_ns", whole(in->end_ns), "replies",
				  whole(in->replies), "failures", whole(in->failures), "p50_ns",
				  time_ns(in->p50_ns), "p90_ns", time_ns(in->p90_ns), "p99_ns",
				  time_ns(in->p99_ns), "max_ns", time_ns(in->max_ns)));
	}
	return array;
}

static json_t *little_json(const struct result *r)
{
	const struct record *t = r->total;
	double mean_s = hist_mean_finite(&t->service) / 1e9;
	double rate =
		r->window_s > 0 ? (double)t->tallies[POPULATION_ACTIVE].completed / r->window_s : 0;

	return json_pack("{s:o, s:o}", "in_flight",
			 real(r->window_s > 0 ? (double)t->inflight_ns / 1e9 / r->window_s : 0),
			 "rate_times_service", real(rate * mean_s));
}

static json_t *disturbance_json(const struct host_counters *d)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "listen_overflows",
			 whole(d->listen_overflows), "listen_drops", whole(d->listen_drops),
			 "retransmits", whole(d->retransmits), "softnet_drops",
			 whole(d->softnet_drops), "steal_fraction",
			 real(d->cpu_ticks ? (double)d->steal_ticks / (double)d->cpu_ticks : 0));
}

/* What there is of each target: of the only one at the top, of several in "targets". */
static void set_measured(json_t *root, const struct result *r)
{
	const struct record *t = r->total;

	json_object_set_new(root, "window_s", real(r->window_s));
	json_object_set_new(root, "complete", json_boolean(result_complete(r)));
	json_object_set_new(root, "requests", tally_json(&t->tallies[POPULATION_ACTIVE]));
	json_object_set_new(root, "connections", connections_json(r));
	json_object_set_new(
		root, "rate_rps",
		json_pack("{s:o, s:o, s:o}", "intended",
			  real(r->window_s > 0 ? (double)result_intended(r) / r->window_s : 0),
			  "offered", real(result_offered_rps(r)), "achieved",
			  real(result_achieved_rps(r))));
	json_object_set_new(
		root, "bytes",
		json_pack("{s:o, s:o}", "in", whole(t->bytes_in), "out", whole(t->bytes_out)));
	json_object_set_new(root, "latency_ns",
			    json_pack("{s:o, s:o, s:o, s:o, s:o}", "response",
				      latency_json(&t->response), "service",
				      latency_json(&t->service), "lag", latency_json(&t->lag),
				      "connect", latency_json(&t->connect), "client_late",
				      latency_json(&t->late)));
	if (r->options->stamps == STAMPS_KERNEL) {
		json_object_set_new(json_object_get(root, "latency_ns"), "arrival",
				    latency_json(&t->arrival));
		json_object_set_new(root, "stamps",
				    json_pack("{s:o, s:o, s:o}", "unstamped", whole(t->unstamped),
					      "clock_error_ns", whole(t->stamps_error_ns),
					      "clock_steps", whole(t->stamps_steps)));
	}
	if (t->class_count)
		json_object_set_new(root, "classes", classes_json(r));
	if (r->way)
		json_object_set_new(root, "way",
				    json_pack("{s:o, s:o}", "rows", whole(r->way->count), "lost",
					      whole(r->way->lost)));
	json_object_set_new(root, "cpu_s",
			    json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "user",
				      real((double)t->user_ns / 1e9), "system",
				      real((double)t->system_ns / 1e9), "pacing",
				      real((double)t->spin_ns / 1e9), "busiest_fraction",
				      real(r->busiest_worker), "starved",
				      real((double)t->starved_ns / 1e9), "starved_fraction",
				      real(r->most_starved), "absent_fraction",
				      real(r->most_absent)));
	json_object_set_new(root, "fairness",
			    json_pack("{s:o, s:o, s:o}", "connections", whole(t->servants),
				      "served", whole(t->served), "jain", real(result_jain(r))));
	json_object_set_new(root, "little", little_json(r));
	json_object_set_new(root, "verification",
			    json_pack("{s:o, s:o}", "failures", whole(t->wrong), "first",
				      text_or_null(t->mismatch)));
	json_object_set_new(root, "populations", populations_json(r));
	json_object_set_new(root, "intervals", intervals_json(r));
}

static json_t *cpu_or_null(bool known, uint64_t ns)
{
	return known ? whole(ns) : json_null();
}

static json_t *warmup_json(const struct result *r)
{
	bool asked = r->options->warmup_passes > 0;

	if (!r->measured)
		return json_null();
	return json_pack("{s:o, s:o}", "seconds", real(r->warmup_s), "passes_made",
			 asked ? json_boolean(r->warm) : json_null());
}

/* The server's CPU time and the replies that it was spent on, read at the same two moments. */
static json_t *server_json(const struct result *r)
{
	struct slice_change c = result_server(r);
	json_t *o;

	if (!r->options->server_cpus.count || !r->total->to.at_ns)
		return json_null();
	o = json_object();
	json_object_set_new(o, "source", json_string(r->options->server_cpus.items[0]));
	json_object_set_new(o, "cpu_ns", cpu_or_null(c.server.known, c.server.total_ns));
	json_object_set_new(o, "user_ns", cpu_or_null(c.server.split, c.server.user_ns));
	json_object_set_new(o, "system_ns", cpu_or_null(c.server.split, c.server.system_ns));
	json_object_set_new(o, "replies", whole(c.replies));
	json_object_set_new(o, "wall_ns", whole(c.wall_ns));
	json_object_set_new(o, "edge_skew_ns", whole(c.skew_ns));
	json_object_set_new(o, "tick_ns", whole(edge_tick_ns()));
	return o;
}

static json_t *quantiles_json(const struct slice *s)
{
	const struct quantiles *q = &s->latency;

	if (!s->has_counts)
		return json_null();
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "count", whole(q->count), "p50",
			 time_ns(q->p50_ns), "p90", time_ns(q->p90_ns), "p99", time_ns(q->p99_ns),
			 "p99_9", time_ns(q->p99_9_ns), "max", time_ns(q->max_ns));
}

/* As in an interval log, "HISTFAAA...": requests without an end are not in it, but in the count. */
static json_t *histogram_json(const struct turns *t, const struct slice *s)
{
	const uint8_t *encoded = turns_histogram(t, s);
	char *text = encoded ? hist_text(encoded, s->packed) : NULL;
	json_t *o = text ? json_string(text) : json_null();

	free(text);
	return o;
}

/*
 * Busy time of the machine that neither clients nor servers account for. In turns only one target
 * runs; together all do, in slices of the same number.
 */
static json_t *foreign_json(const struct turns *t, size_t at)
{
	const struct slice *slice = turns_slice(t, at);
	struct slice_change change = slice_change(slice);
	bool known = change.server.known;
	uint64_t client_ns = change.client_ns + change.spin_ns;
	uint64_t server_ns = change.server.total_ns;
	size_t first = (size_t)slice->round * t->targets;

	for (size_t i = first;
	     t->options->arrangement == ARRANGEMENT_TOGETHER && i < first + t->targets; i++) {
		const struct slice *other = turns_slice(t, i);
		struct slice_change its = {0};

		if (i == at)
			continue;
		if (other)
			its = slice_change(other);
		known &= its.server.known;
		client_ns += its.client_ns + its.spin_ns;
		server_ns += its.server.total_ns;
	}
	return known ? whole(slice_foreign_ns(change.busy_ns, client_ns, server_ns)) : json_null();
}

static json_t *slice_json(const struct result *r, size_t at)
{
	const struct slice *s = turns_slice(r->turns, at);
	struct slice_change c = slice_change(s);
	struct whole whole_turn = slice_whole(s);
	uint64_t start_ns = r->turns->start_ns;
	bool together = r->options->arrangement == ARRANGEMENT_TOGETHER;
	json_t *o = json_object();

	json_object_set_new(o, "target", whole(s->target));
	json_object_set_new(o, "round", whole(s->round));
	json_object_set_new(o, "warmup", json_boolean(s->warmup));
	json_object_set_new(o, "begin_ns", whole(s->begin_ns - start_ns));
	json_object_set_new(o, "from_ns", whole(s->from.at_ns - start_ns));
	json_object_set_new(o, "to_ns", whole(s->to.at_ns - start_ns));
	json_object_set_new(o, "drained_ns", whole(s->drained_ns - start_ns));
	json_object_set_new(o, "replies", whole(c.replies));
	json_object_set_new(o, "failures", whole(c.failures));
	json_object_set_new(o, "sent", cpu_or_null(s->has_counts, s->sent));
	json_object_set_new(o, "due", cpu_or_null(s->has_counts && result_open_loop(r), s->due));
	json_object_set_new(o, "server_cpu_ns", cpu_or_null(c.server.known, c.server.total_ns));
	json_object_set_new(o, "server_user_ns", cpu_or_null(c.server.split, c.server.user_ns));
	json_object_set_new(o, "server_system_ns", cpu_or_null(c.server.split, c.server.system_ns));
	json_object_set_new(o, "turn_replies", cpu_or_null(!together, whole_turn.replies));
	json_object_set_new(o, "turn_cpu_ns",
			    cpu_or_null(whole_turn.server.known, whole_turn.server.total_ns));
	json_object_set_new(o, "turn_user_ns",
			    cpu_or_null(whole_turn.server.split, whole_turn.server.user_ns));
	json_object_set_new(o, "turn_system_ns",
			    cpu_or_null(whole_turn.server.split, whole_turn.server.system_ns));
	json_object_set_new(o, "edge_skew_ns", whole(c.skew_ns));
	json_object_set_new(o, "client_cpu_ns", whole(c.client_ns));
	json_object_set_new(o, "client_spin_ns", whole(c.spin_ns));
	json_object_set_new(o, "client_delay_ns", whole(c.delay_ns));
	json_object_set_new(o, "steal_ns", whole(c.steal_ns));
	json_object_set_new(o, "foreign_cpu_ns", foreign_json(r->turns, at));
	json_object_set_new(o, "idle_ns", cpu_or_null(s->idle_known, s->idle_ns));
	json_object_set_new(o, "idle_cpu_ns", cpu_or_null(s->idle_cpu_known, s->idle_cpu_ns));
	json_object_set_new(o, "latency", quantiles_json(s));
	json_object_set_new(o, "histogram", histogram_json(r->turns, s));
	return o;
}

static json_t *slices_json(const struct result *r)
{
	json_t *array = json_array();

	for (size_t i = 0; i < turns_slice_count(r->turns); i++) {
		if (turns_slice(r->turns, i))
			json_array_append_new(array, slice_json(r, i));
	}
	return array;
}

static json_t *target_json(const struct result *r)
{
	const struct option_list *sources = &r->options->server_cpus;
	struct verdict verdict;
	json_t *root = json_object();

	verdict_reach(&verdict, r);
	json_object_set_new(root, "url", json_string(r->url));
	json_object_set_new(root, "server_cpu",
			    text_or_null(sources->count ? sources->items[r->number] : NULL));
	json_object_set_new(root, "verdict", verdict_json(&verdict));
	set_measured(root, r);
	return root;
}

static void set_targets(json_t *root, const struct result *r)
{
	json_t *targets = json_array();
	bool together = r->options->arrangement == ARRANGEMENT_TOGETHER;

	for (size_t i = 0; i < r->target_count; i++)
		json_array_append_new(targets, target_json(&r->targets[i]));
	json_object_set_new(root, "arrangement", json_string(together ? "together" : "turns"));
	json_object_set_new(root, "started_monotonic_ns", whole(r->turns->start_ns));
	json_object_set_new(root, "window_s", real(r->window_s));
	json_object_set_new(root, "complete", json_boolean(result_complete(r)));
	json_object_set_new(root, "targets", targets);
	json_object_set_new(root, "slices", slices_json(r));
}

static json_t *result_json(const struct result *r, const struct verdict *v)
{
	json_t *root = json_object();

	json_object_set_new(root, "schema", json_string(REPORT_SCHEMA));
	json_object_set_new(root, "config", config_json(r));
	json_object_set_new(root, "host", host_json(&r->host));
	json_object_set_new(root, "verdict", verdict_json(v));
	json_object_set_new(root, "started_realtime_ns", whole(r->started_realtime_ns));
	json_object_set_new(root, "disturbance", disturbance_json(&r->disturbance));
	if (r->target_count) {
		set_targets(root, r);
	} else {
		set_measured(root, r);
		json_object_set_new(root, "server", server_json(r));
		json_object_set_new(root, "warmup", warmup_json(r));
	}
	return root;
}

bool report_json(FILE *out, const struct result *r, const struct verdict *v)
{
	json_t *root = result_json(r, v);
	bool fine;

	errno = ENOMEM; /* what jansson fails of if the stream does not */
	fine = json_dumpf(root, out, JSON_INDENT(1) | JSON_REAL_PRECISION(12)) == 0;
	json_decref(root);
	return fine && fputc('\n', out) != EOF && fflush(out) == 0;
}
