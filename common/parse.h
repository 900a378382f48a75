/* SPDX-License-Identifier: MIT
 * Strict parsers for option values: the whole text must be the value, and it must be in range.
 *
 * Each returns true and stores the value, or returns false and leaves *out alone. None prints or
 * exits; opt_refuse() does that.
 */
#ifndef TENK_PARSE_H
#define TENK_PARSE_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A decimal integer, optionally signed, in min..max. */
bool parse_int(const char *text, int64_t min, int64_t max, int64_t *out);

/* A count with an optional SI suffix: k = 1000, M = 1000000, G = 1000000000 (wrk's rule). */
bool parse_count(const char *text, int64_t min, int64_t max, int64_t *out);

/* A positive decimal number with an optional k, M or G (powers of 1000), in min..max. */
bool parse_number(const char *text, double min, double max, double *out);

/* A byte size with an optional suffix: k = 1024, M = 1024^2, G = 1024^3. */
bool parse_size(const char *text, int64_t min, int64_t max, int64_t *out);

/* A duration, in nanoseconds: a decimal number and one of ns, us, ms, s, m, h; seconds if bare. */
bool parse_duration_ns(const char *text, int64_t min_ns, int64_t max_ns, int64_t *out);

/* Print "PROGRAM: OPTION: 'VALUE' is not ALLOWED" and exit 2. */
void opt_refuse(const char *option, const char *value, const char *allowed)
	__attribute__((noreturn));

/* parse_int() for option `option`; on failure opt_refuse() naming the range. */
int64_t opt_int(const char *option, const char *text, int64_t min, int64_t max);

#ifdef __cplusplus
}
#endif

#endif
