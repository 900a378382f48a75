// SPDX-License-Identifier: MIT
#include "common/parse.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/die.h"

/* strtoll() and strtod() skip white space and take hexadecimal; an option value may hold neither.
 */
static bool is_decimal(const char *text, const char *extra)
{
	if (*text == '-' || *text == '+')
		text++;
	if (!isdigit((unsigned char)*text))
		return false;
	for (; *text; text++) {
		if (!isdigit((unsigned char)*text) && !strchr(extra, *text))
			return false;
	}
	return true;
}

static bool in_range(int64_t value, int64_t min, int64_t max, int64_t *out)
{
	if (value < min || value > max)
		return false;
	*out = value;
	return true;
}

static bool parse_scaled(const char *text, int64_t step, int64_t min, int64_t max, int64_t *out)
{
	static const char suffixes[] = "kMG";
	const char *found;
	int64_t value;
	char *end;

	if (!is_decimal(text, suffixes))
		return false;
	errno = 0;
	value = strtoll(text, &end, 10);
	if (errno)
		return false;
	if (*end) {
		if (end[1])
			return false;
		found = strchr(suffixes, *end);
		for (const char *s = suffixes; s <= found; s++) {
			if (__builtin_mul_overflow(value, step, &value))
				return false;
		}
	}
	return in_range(value, min, max, out);
}

bool parse_int(const char *text, int64_t min, int64_t max, int64_t *out)
{
	int64_t value;

	if (!is_decimal(text, ""))
		return false;
	errno = 0;
	value = strtoll(text, NULL, 10);
	return !errno && in_range(value, min, max, out);
}

bool parse_count(const char *text, int64_t min, int64_t max, int64_t *out)
{
	return parse_scaled(text, 1000, min, max, out);
}

bool parse_size(const char *text, int64_t min, int64_t max, int64_t *out)
{
	return parse_scaled(text, 1024, min, max, out);
}

/* Split "12.5ms" into 12.5 and "ms"; false unless it begins with plain decimal digits. */
static bool split_number(const char *text, double *value, const char **suffix)
{
	size_t digits = strspn(text, "0123456789.");
	char *end;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	*value = strtod(text, &end);
	if (errno || end > text + digits) /* strtod went on into an exponent or 0x… */
		return false;
	*suffix = end;
	return true;
}

bool parse_number(const char *text, double min, double max, double *out)
{
	static const struct {
		const char *suffix;
		double factor;
	} units[] = {{"", 1}, {"k", 1e3}, {"M", 1e6}, {"G", 1e9}};
	const char *suffix;
	double value;

	if (!split_number(text, &value, &suffix))
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		if (strcmp(suffix, units[i].suffix) == 0) {
			value *= units[i].factor;
			if (!(value >= min && value <= max))
				return false;
			*out = value;
			return true;
		}
	}
	return false;
}

bool parse_duration_ns(const char *text, int64_t min_ns, int64_t max_ns, int64_t *out)
{
	static const struct {
		const char *suffix;
		double ns;
	} units[] = {{"ns", 1},   {"us", 1e3},   {"ms", 1e6}, {"s", 1e9},
		     {"m", 60e9}, {"h", 3600e9}, {"", 1e9}};
	const char *suffix;
	double value;

	if (!split_number(text, &value, &suffix))
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		if (strcmp(suffix, units[i].suffix) == 0) {
			value = nearbyint(value * units[i].ns);
			if (value > 9e18)
				return false;
			return in_range((int64_t)value, min_ns, max_ns, out);
		}
	}
	return false;
}

void opt_refuse(const char *option, const char *value, const char *allowed)
{
	die(EXIT_BAD_USAGE, "%s: '%s' is not %s", option, value, allowed);
}

int64_t opt_int(const char *option, const char *text, int64_t min, int64_t max)
{
	char allowed[96];
	int64_t value;

	if (!parse_int(text, min, max, &value)) {
		snprintf(allowed, sizeof(allowed), "a whole number from %" PRId64 " to %" PRId64,
			 min, max);
		opt_refuse(option, text, allowed);
	}
	return value;
}
