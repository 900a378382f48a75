// SPDX-License-Identifier: MIT
#include "loadgen/report.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "loadgen/turns.h"

/* "1.23ms" as wrk writes times; "inf" where there is no end. */
static const char *time_text(double ns, char *buf, size_t size)
{
	static const struct {
		const char *name;
		double ns;
	} units[] = {{"s", 1e9}, {"ms", 1e6}, {"us", 1e3}, {"ns", 0}};
	size_t i = 0;

	if (isnan(ns))
		return "-";
	if (ns >= (double)HIST_INFINITE)
		return "inf";
	while (ns < units[i].ns)
		i++;
	snprintf(buf, size, "%.2f%s", units[i].ns > 0 ? ns / units[i].ns : ns, units[i].name);
	return buf;
}

static const char *count_text(double n, const char *const *units, double step, char *buf,
			      size_t size)
{
	while (n >= step && units[1]) {
		n /= step;
		units++;
	}
	snprintf(buf, size, "%.2f%s", n, *units);
	return buf;
}

static const char *metric_text(double n, char *buf, size_t size)
{
	static const char *const units[] = {"", "k", "M", "G", NULL};

	return count_text(n, units, 1000, buf, size);
}

static const char *bytes_text(double n, char *buf, size_t size)
{
	static const char *const units[] = {"B", "KB", "MB", "GB", NULL};

	return count_text(n, units, 1024, buf, size);
}

/* Share of the values within one standard deviation of the mean, as wrk has it. */
static double within_deviation(const struct hist *h)
{
	double mean = hist_mean_finite(h), deviation = hist_stddev_finite(h);
	uint64_t within = 0, all = 0;
	struct hist_iter it = hist_iter(h);

	while (hist_next(&it)) {
		double width = (double)(it.highest_ns - it.lowest_ns);
		double middle = (double)it.lowest_ns + width / 2;

		all += it.count;
		if (fabs(middle - mean) <= deviation + width)
			within += it.count;
	}
	return all ? 100.0 * (double)within / (double)all : 0;
}

static void rate_line(FILE *out, const struct result *r)
{
	double sum = 0, squares = 0, most = 0, within = 0, mean, deviation;
	double workers = (double)r->options->workers;
	char a[32], b[32], c[32];
	size_t n = 0;

	for (size_t i = 0; i < r->interval_count; i++) {
		const struct interval *in = &r->intervals[i];
		double seconds = (double)(in->end_ns - in->start_ns) / 1e9;
		double rate = seconds > 0 ? (double)in->replies / seconds / workers : 0;

		sum += rate;
		squares += rate * rate;
		most = rate > most ? rate : most;
		n++;
	}
	mean = n ? sum / (double)n : 0;
	deviation = n ? sqrt(fmax(squares / (double)n - mean * mean, 0)) : 0;
	for (size_t i = 0; i < r->interval_count; i++) {
		const struct interval *in = &r->intervals[i];
		double seconds = (double)(in->end_ns - in->start_ns) / 1e9;
		double rate = seconds > 0 ? (double)in->replies / seconds / workers : 0;

		within += fabs(rate - mean) <= deviation;
	}
	fprintf(out, "    Req/Sec %9s %9s %9s %8.2f%%\n", metric_text(mean, a, sizeof(a)),
		metric_text(deviation, b, sizeof(b)), metric_text(most, c, sizeof(c)),
		n ? 100 * within / (double)n : 0);
}

static void latency_line(FILE *out, const struct hist *h)
{
	char a[32], b[32], c[32];

	fprintf(out, "    Latency %9s %9s %9s %8.2f%%\n",
		time_text(hist_mean_finite(h), a, sizeof(a)),
		time_text(hist_stddev_finite(h), b, sizeof(b)),
		time_text((double)hist_max(h), c, sizeof(c)), within_deviation(h));
}

static void distribution(FILE *out, const char *title, const struct hist *h)
{
	static const double percents[] = {50, 75, 90, 99, 99.9, 99.99, 100};
	char buf[32];

	fprintf(out, "  %s\n", title);
	for (size_t i = 0; i < sizeof(percents) / sizeof(*percents); i++)
		fprintf(out, "  %7.3f%% %9s\n", percents[i],
			time_text((double)hist_percentile(h, percents[i]), buf, sizeof(buf)));
}

static void arrival_lines(FILE *out, const struct result *r)
{
	if (r->options->stamps != STAMPS_KERNEL)
		return;
	distribution(out, "Arrival (from the send to the reply's arrival in the kernel)",
		     &r->total->arrival);
	if (r->total->unstamped)
		fprintf(out, "  %" PRIu64 " replies without a time stamp\n", r->total->unstamped);
}

static void class_lines(FILE *out, const struct result *r)
{
	char title[64];

	for (uint32_t i = 0; i < r->total->class_count; i++) {
		snprintf(title, sizeof(title), "Response Time of %s", r->target->ask->classes[i]);
		distribution(out, title, &r->total->classes[i]);
	}
}

static uint64_t errors_of(const struct result *r, enum failure kind)
{
	uint64_t n = 0;

	for (int p = 0; p < POPULATIONS; p++)
		n += r->total->tallies[p].request_errors[kind] +
		     r->total->tallies[p].connection_errors[kind];
	return n;
}

static void error_lines(FILE *out, const struct result *r)
{
	uint64_t kinds[FAILURES], connect = 0, all = 0;

	for (int i = 0; i < FAILURES; i++) {
		kinds[i] = errors_of(r, (enum failure)i);
		all += kinds[i];
		if (i <= FAILURE_NO_MEMORY)
			connect += kinds[i];
	}
	if (!all)
		return;
	fprintf(out,
		"  Socket errors: connect %" PRIu64 ", read %" PRIu64 ", write %" PRIu64
		", timeout %" PRIu64 "\n",
		connect, kinds[FAILURE_CLOSED] + kinds[FAILURE_RESET] + kinds[FAILURE_IO],
		kinds[FAILURE_WRITE], kinds[FAILURE_TIMEOUT]);
	if (kinds[FAILURE_STATUS])
		fprintf(out, "  Non-2xx or 3xx responses: %" PRIu64 "\n", kinds[FAILURE_STATUS]);
	fprintf(out, "  Errors by kind:");
	for (int i = 0; i < FAILURES; i++) {
		if (kinds[i])
			fprintf(out, " %s %" PRIu64, failure_name((enum failure)i), kinds[i]);
	}
	fputc('\n', out);
}

static void population_lines(FILE *out, const struct result *r)
{
	char p50[32], p99[32];

	for (int p = POPULATION_ACTIVE + 1; p < POPULATIONS; p++) {
		const struct tally *t = &r->total->tallies[p];

		if (!t->connections)
			continue;
		fprintf(out, "  %s: %" PRIu64 " connections, %" PRIu64 " up",
			population_name((enum population)p), t->connections, t->up);
		if (t->sent)
			fprintf(out, ", %" PRIu64 " requests, p50 %s, p99 %s", t->completed,
				time_text((double)hist_percentile(&t->latency, 50), p50,
					  sizeof(p50)),
				time_text((double)hist_percentile(&t->latency, 99), p99,
					  sizeof(p99)));
		fputc('\n', out);
	}
}

static void verdict_lines(FILE *out, const struct verdict *v)
{
	fprintf(out, "Verdict: %s\n", verdict_name(v->status));
	for (size_t i = 0; i < v->count; i++)
		fprintf(out, "  %s (%s): %s\n", v->reasons[i].code,
			verdict_name(v->reasons[i].status), v->reasons[i].text);
}

static void loop_line(FILE *out, const struct result *r)
{
	fprintf(out, "  %" PRId64 " workers and %" PRId64 " connections%s (%s loop, %s)\n",
		r->options->workers, r->options->connections, r->target_count ? " each" : "",
		result_open_loop(r) ? "open" : "closed", r->options->engine);
}

/* What the measured slices of a target add up to. */
struct sum {
	size_t slices;
	uint64_t wall_ns, replies;
	struct whole cost; /* where the server's clock is exact: see docs/loadgen.md */
};

static struct sum sum_slices(const struct result *r)
{
	bool together = r->options->arrangement == ARRANGEMENT_TOGETHER;
	struct sum sum = {.cost.server.known = true};

	for (size_t i = 0; i < turns_slice_count(r->turns); i++) {
		const struct slice *slice = turns_slice(r->turns, i);
		struct slice_change change;
		struct whole cost;

		if (!slice || slice->warmup || slice->target != r->number)
			continue;
		change = slice_change(slice);
		cost = together ? (struct whole){change.replies, change.server}
				: slice_whole(slice);
		sum.slices++;
		sum.wall_ns += change.wall_ns;
		sum.replies += change.replies;
		sum.cost.replies += cost.replies;
		sum.cost.server.known &= cost.server.known;
		sum.cost.server.total_ns += cost.server.total_ns;
	}
	return sum;
}

static void target_line(FILE *out, const struct result *r)
{
	char p50[32], p99[32], cpu[32] = "-";
	struct sum sum = sum_slices(r);

	if (sum.cost.server.known && sum.cost.replies)
		snprintf(cpu, sizeof(cpu), "%.3fus",
			 (double)sum.cost.server.total_ns / 1e3 / (double)sum.cost.replies);
	fprintf(out, "  %6zu %12.2f %9s %9s %12s  %s\n", sum.slices,
		sum.wall_ns ? (double)sum.replies * 1e9 / (double)sum.wall_ns : 0,
		time_text((double)hist_percentile(&r->total->response, 50), p50, sizeof(p50)),
		time_text((double)hist_percentile(&r->total->response, 99), p99, sizeof(p99)), cpu,
		r->url);
}

static void report_targets(FILE *out, const struct result *all, const struct verdict *v)
{
	bool together = all->options->arrangement == ARRANGEMENT_TOGETHER;

	fprintf(out, "Running %s test @ %zu targets, %s\n", together ? "together" : "turns",
		all->target_count,
		together ? "all at the same time" : "one at a time, in random order");
	loop_line(out, all);
	fprintf(out, "  Slices      Req/Sec       p50       p99  CPU/Request  Target\n");
	for (size_t i = 0; i < all->target_count; i++)
		target_line(out, &all->targets[i]);
	for (size_t i = 0; i < all->target_count && all->options->latency; i++) {
		const struct result *r = &all->targets[i];

		fprintf(out, "  %s\n", r->url);
		distribution(out, "Latency Distribution (response time)", &r->total->response);
		distribution(out, "Service Time", &r->total->service);
		distribution(out, "Lag", &r->total->lag);
		arrival_lines(out, r);
		class_lines(out, r);
	}
	error_lines(out, all);
	verdict_lines(out, v);
}

void report_text(FILE *out, const struct result *r, const struct verdict *v)
{
	const struct record *t = r->total;
	const struct tally *active = &t->tallies[POPULATION_ACTIVE];
	double seconds = r->window_s > 0 ? r->window_s : 0;
	char buf[32];

	if (r->target_count) {
		report_targets(out, r, v);
		return;
	}
	fprintf(out, "Running %gs test @ %s\n", (double)r->options->duration_ns / 1e9,
		r->options->url);
	loop_line(out, r);
	fprintf(out, "  Thread Stats   Avg      Stdev     Max   +/- Stdev\n");
	latency_line(out, &t->response);
	rate_line(out, r);
	if (r->options->latency) {
		distribution(out, "Latency Distribution (response time)", &t->response);
		distribution(out, "Service Time", &t->service);
		distribution(out, "Lag", &t->lag);
		arrival_lines(out, r);
		class_lines(out, r);
	}
	fprintf(out, "  %" PRIu64 " requests in %.2fs, %s read\n", t->replies_in_window, seconds,
		bytes_text((double)t->bytes_in, buf, sizeof(buf)));
	if (active->unanswered || active->unsent)
		fprintf(out, "  Infinite: %" PRIu64 " unanswered, %" PRIu64 " never sent\n",
			active->unanswered, active->unsent);
	error_lines(out, r);
	population_lines(out, r);
	fprintf(out, "Requests/sec: %10.2f\n", result_achieved_rps(r));
	fprintf(out, "Transfer/sec: %10s\n",
		bytes_text(seconds > 0 ? (double)t->bytes_in / seconds : 0, buf, sizeof(buf)));
	verdict_lines(out, v);
}
