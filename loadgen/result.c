// SPDX-License-Identifier: MIT
#include "loadgen/result.h"

#include <math.h>
#include <string.h>

#include "loadgen/turns.h"

#define WINDOW_TOLERANCE 0.001 /* of --duration */

static void tally_add(struct tally *dst, const struct tally *src)
{
	dst->connections += src->connections;
	dst->up += src->up;
	dst->opened += src->opened;
	dst->sent += src->sent;
	dst->completed += src->completed;
	dst->unanswered += src->unanswered;
	dst->unsent += src->unsent;
	dst->unsent_estimated += src->unsent_estimated;
	for (int i = 0; i < FAILURES; i++) {
		dst->request_errors[i] += src->request_errors[i];
		dst->connection_errors[i] += src->connection_errors[i];
	}
	hist_merge(&dst->latency, &src->latency);
}

void record_add(struct record *dst, const struct record *src)
{
	for (int i = 0; i < POPULATIONS; i++)
		tally_add(&dst->tallies[i], &src->tallies[i]);
	hist_merge(&dst->response, &src->response);
	hist_merge(&dst->service, &src->service);
	hist_merge(&dst->lag, &src->lag);
	hist_merge(&dst->arrival, &src->arrival);
	for (uint32_t i = 0; i < src->class_count; i++)
		hist_merge(&dst->classes[i], &src->classes[i]);
	if (src->class_count)
		dst->class_count = src->class_count;
	dst->unstamped += src->unstamped;
	if (src->stamps_error_ns > dst->stamps_error_ns)
		dst->stamps_error_ns = src->stamps_error_ns;
	if (src->stamps_steps > dst->stamps_steps)
		dst->stamps_steps = src->stamps_steps;
	hist_merge(&dst->late, &src->late);
	hist_merge(&dst->connect, &src->connect);
	dst->replies_in_window += src->replies_in_window;
	dst->bytes_in += src->bytes_in;
	dst->bytes_out += src->bytes_out;
	dst->failures += src->failures;
	dst->inflight_ns += src->inflight_ns;
	dst->user_ns += src->user_ns;
	dst->system_ns += src->system_ns;
	dst->spin_ns += src->spin_ns;
	dst->starved_ns += src->starved_ns;
	dst->absent_ns += src->absent_ns;
	dst->served += src->served;
	dst->served_squares += src->served_squares;
	dst->servants += src->servants;
	dst->wrong += src->wrong;
	dst->gone += src->gone;
	if (src->to.at_ns) {
		dst->from = src->from;
		dst->to = src->to;
	}
	if (src->ended_ns < dst->ended_ns || !dst->ended_ns)
		dst->ended_ns = src->ended_ns;
	if (!*dst->message)
		memcpy(dst->message, src->message, sizeof(dst->message));
	if (!*dst->mismatch)
		memcpy(dst->mismatch, src->mismatch, sizeof(dst->mismatch));
}

struct slice_change result_server(const struct result *r)
{
	struct slice window = {.from = r->total->from, .to = r->total->to};

	return slice_change(&window);
}

double result_jain(const struct result *r)
{
	double sum = (double)r->total->served, squares = (double)r->total->served_squares;

	return squares > 0 ? sum * sum / ((double)r->total->servants * squares) : 0;
}

uint64_t result_intended(const struct result *r)
{
	const struct tally *active = &r->total->tallies[POPULATION_ACTIVE];

	return active->sent + active->unsent;
}

uint64_t result_failed(const struct tally *t)
{
	uint64_t n = 0;

	for (int i = 0; i < FAILURES; i++)
		n += t->request_errors[i];
	return n;
}

double result_offered_rps(const struct result *r)
{
	double sent = (double)r->total->tallies[POPULATION_ACTIVE].sent;

	return r->window_s > 0 ? sent / r->window_s : 0;
}

double result_achieved_rps(const struct result *r)
{
	return r->window_s > 0 ? (double)r->total->replies_in_window / r->window_s : 0;
}

bool result_window_as_asked(const struct result *r)
{
	double asked_s = (double)r->options->duration_ns / 1e9;

	if (r->turns && r->options->arrangement == ARRANGEMENT_TURNS)
		return turns_all_done(r->turns);
	return fabs(r->window_s - asked_s) <= WINDOW_TOLERANCE * asked_s;
}

bool result_complete(const struct result *r)
{
	return !r->interrupted && result_window_as_asked(r) &&
	       r->workers_ended ==
		       (uint64_t)r->options->workers * (r->target_count ? r->target_count : 1);
}

bool result_open_loop(const struct result *r)
{
	return r->options->rate_rps > 0 || r->options->arrival == ARRIVAL_TRACE;
}
