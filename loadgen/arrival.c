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

/* Seeds the generator below from one word [Steele, Lea, Flood, OOPSLA 2014: SplitMix64]. */
static uint64_t splitmix64(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

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
		a->random[i] = splitmix64(&seed);
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

/* Arrival number a->index of the aggregate process. */
static uint64_t aggregate_next(struct arrival *a)
{
	uint64_t i = a->index++;

	switch (a->kind) {
	case ARRIVAL_FIXED:
		/* From the index, not by adding gaps: no error accumulates over a long run. */
		return (uint64_t)llrint((double)i * a->mean_gap_ns);
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

static bool parse_line(char *line, int64_t previous, int64_t *at, bool *blank)
{
	line[strcspn(line, "#\r\n")] = '\0';
	line += strspn(line, " \t");
	line[strcspn(line, " \t")] = '\0';
	*blank = *line == '\0';
	return *blank || parse_duration_ns(line, previous, INT64_MAX / 4, at);
}

uint64_t *arrival_read_trace(const char *path, size_t *length, char *reason, size_t reason_size)
{
	FILE *in = fopen(path, "re");
	size_t room = 0, n = 0, line_room = 0, number = 0;
	uint64_t *times = NULL, *grown;
	char *line = NULL;
	int64_t at = 0;
	bool blank;

	if (!in) {
		snprintf(reason, reason_size, "a readable file (%s)", strerror(errno));
		return NULL;
	}
	while (getline(&line, &line_room, in) >= 0) {
		number++;
		if (!parse_line(line, at, &at, &blank)) {
			snprintf(reason, reason_size,
				 "a trace: line %zu must be a time in seconds, not below the one "
				 "before",
				 number);
			goto fail;
		}
		if (blank)
			continue;
		if (n == room) {
			room = room ? 2 * room : 1024;
			grown = reallocarray(times, room, sizeof(*times));
			if (!grown) {
				snprintf(reason, reason_size, "a trace that fits into memory");
				goto fail;
			}
			times = grown;
		}
		times[n++] = (uint64_t)at;
	}
	free(line);
	fclose(in);
	if (n == 0)
		snprintf(reason, reason_size, "a trace with at least one arrival");
	*length = n;
	return times;
fail:
	free(line);
	free(times);
	fclose(in);
	return NULL;
}
