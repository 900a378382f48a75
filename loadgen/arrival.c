// SPDX-License-Identifier: MIT
#include "loadgen/arrival.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/parse.h"
#include "loadgen/random.h"

static uint64_t rotate_left(uint64_t x, int k)
{
	return (x << k) | (x >> (64 - k));
}

/* xoshiro256++ 1.0 [Blackman, Vigna, ACM TOMS 47(4), 2021]. */
static uint64_t random_next(uint64_t s[4])
{
	uint64_t result = rotate_left(s[0] + s[3], 23) + s[0];
	uint64_t t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotate_left(s[3], 45);
	return result;
}

/* Uniform in (0, 1]: never 0, so that its logarithm is finite. */
static double random_unit(uint64_t s[4])
{
	return (double)((random_next(s) >> 11) + 1) * 0x1p-53;
}

void arrival_init(struct arrival *a, enum arrival_kind kind, double rate_rps, uint64_t seed)
{
	memset(a, 0, sizeof(*a));
	a->kind = kind;
	a->mean_gap_ns = 1e9 / rate_rps;
	a->shares = 1;
	for (int i = 0; i < 4; i++)
		a->random[i] = random_word(&seed);
}

void arrival_init_trace(struct arrival *a, const uint64_t *times_ns, size_t length)
{
	memset(a, 0, sizeof(*a));
	a->kind = ARRIVAL_TRACE;
	a->trace_ns = times_ns;
	a->trace_length = length;
	a->shares = 1;
}

void arrival_share(struct arrival *a, unsigned int share, unsigned int shares)
{
	a->share = share;
	a->shares = shares;
}

static uint64_t fixed_at(const struct arrival *a, uint64_t index)
{
	return (uint64_t)llrint((double)index * a->mean_gap_ns);
}

/* Arrival number a->index of the aggregate process. */
static uint64_t aggregate_next(struct arrival *a)
{
	uint64_t i = a->index++;

	switch (a->kind) {
	case ARRIVAL_FIXED:
		/* From the index, not by adding gaps: no error accumulates over a long run. */
		return fixed_at(a, i);
	case ARRIVAL_POISSON:
		/* A double counts nanoseconds exactly for 104 days. */
		a->at_ns -= a->mean_gap_ns * log(random_unit(a->random));
		return (uint64_t)llrint(a->at_ns);
	case ARRIVAL_TRACE:
		break;
	}
	return i < a->trace_length ? a->trace_ns[i] : ARRIVAL_NEVER;
}

uint64_t arrival_next(struct arrival *a)
{
	uint64_t at;

	do {
		at = aggregate_next(a);
	} while ((a->index - 1) % a->shares != a->share && at != ARRIVAL_NEVER);
	return at;
}

/* The number of the first arrival that is not before ns. */
static uint64_t fixed_first(const struct arrival *a, uint64_t ns)
{
	uint64_t i = (uint64_t)((double)ns / a->mean_gap_ns);

	/* The quotient is off by rounding: begin a little before it. */
	i = i > 2 ? i - 2 : 0;
	while (fixed_at(a, i) < ns)
		i++;
	return i;
}

static uint64_t trace_first(const struct arrival *a, uint64_t ns)
{
	size_t low = 0, high = a->trace_length;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (a->trace_ns[middle] < ns)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* How many numbers below n are of this share. */
static uint64_t share_below(const struct arrival *a, uint64_t n)
{
	return (n + a->shares - 1 - a->share) / a->shares;
}

static uint64_t count_drawn(struct arrival *a, uint64_t from_ns, uint64_t until_ns,
			    uint64_t most_draws, uint64_t *estimated)
{
	uint64_t n = 0;
	double left;

	for (; most_draws; most_draws--) {
		uint64_t at = aggregate_next(a);

		if (at >= until_ns)
			return n;
		n += at >= from_ns && (a->index - 1) % a->shares == a->share;
	}
	left = (double)until_ns - fmax(a->at_ns, (double)from_ns);
	*estimated = (uint64_t)llrint(fmax(left, 0) / a->mean_gap_ns / a->shares);
	return n + *estimated;
}

uint64_t arrival_count(struct arrival *a, uint64_t from_ns, uint64_t until_ns, uint64_t most_draws,
		       uint64_t *estimated)
{
	uint64_t (*first)(const struct arrival *, uint64_t) =
		a->kind == ARRIVAL_FIXED ? fixed_first : trace_first;
	uint64_t low, high;

	*estimated = 0;
	if (from_ns >= until_ns)
		return 0;
	if (a->kind == ARRIVAL_POISSON)
		return count_drawn(a, from_ns, until_ns, most_draws, estimated);
	low = first(a, from_ns);
	high = first(a, until_ns);
	if (low < a->index)
		low = a->index;
	return high > low ? share_below(a, high) - share_below(a, low) : 0;
}

/*
 * The next line, without its end. 1; 0 at the end of the file; -1 if it is too long or holds a NUL,
 * which no text does.
 */
static int read_line(FILE *in, char line[TRACE_LINE])
{
	size_t n = 0;
	int c;

	while ((c = getc_unlocked(in)) != EOF && c != '\n') {
		if (c == '\0' || n == TRACE_LINE - 1)
			return -1;
		line[n++] = (char)c;
	}
	line[n] = '\0';
	return n || c != EOF;
}

static bool parse_line(char *line, int64_t previous, int64_t *at, bool *blank)
{
	line[strcspn(line, "#\r")] = '\0';
	line += strspn(line, " \t");
	line[strcspn(line, " \t")] = '\0';
	*blank = *line == '\0';
	return *blank || parse_duration_ns(line, previous, INT64_MAX / 4, at);
}

static bool append(uint64_t **times, size_t *n, size_t *room, uint64_t at)
{
	uint64_t *grown;

	if (*n == *room) {
		*room = *room ? 2 * *room : 1024;
		grown = reallocarray(*times, *room, sizeof(*grown));
		if (!grown)
			return false;
		*times = grown;
	}
	(*times)[(*n)++] = at;
	return true;
}

uint64_t *arrival_read_trace(const char *path, size_t *length, char *reason, size_t reason_size)
{
	FILE *in = fopen(path, "re");
	size_t room = 0, n = 0, number = 0;
	char line[TRACE_LINE];
	uint64_t *times = NULL;
	int64_t at = 0;
	bool blank;
	int got;

	if (!in) {
		snprintf(reason, reason_size, "a readable file (%s)", strerror(errno));
		return NULL;
	}
	*reason = '\0';
	while (!*reason && (got = read_line(in, line)) != 0) {
		if (++number > TRACE_LINES)
			snprintf(reason, reason_size, "a trace of at most %d lines", TRACE_LINES);
		else if (got < 0)
			snprintf(reason, reason_size,
				 "a trace: line %zu is not text of less than %d bytes", number,
				 TRACE_LINE);
		else if (!parse_line(line, at, &at, &blank))
			snprintf(reason, reason_size,
				 "a trace: line %zu must be a time in seconds, not below the one "
				 "before",
				 number);
		else if (!blank && !append(&times, &n, &room, (uint64_t)at))
			snprintf(reason, reason_size, "a trace that fits into memory");
	}
	if (!*reason && ferror(in))
		snprintf(reason, reason_size, "a readable file (%s)", strerror(errno));
	else if (!*reason && n == 0)
		snprintf(reason, reason_size, "a trace with at least one arrival");
	fclose(in);
	if (*reason) {
		free(times);
		return NULL;
	}
	*length = n;
	return times;
}
