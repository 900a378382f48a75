// SPDX-License-Identifier: MIT
// The option parsers: the whole text is the value, in range, or nothing happens.
#include "common/parse.h"

#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/die.h"

typedef bool whole_parser(const char *text, int64_t min, int64_t max, int64_t *out);

static void assert_taken(whole_parser *parse, const char *text, int64_t due)
{
	int64_t value = ~due;

	if (!parse(text, INT64_MIN, INT64_MAX, &value))
		fail_msg("'%s' is refused", text);
	if (value != due)
		fail_msg("'%s' is %" PRId64 ", not %" PRId64, text, value, due);
}

static void assert_refused_in(whole_parser *parse, const char *text, int64_t min, int64_t max)
{
	int64_t value = 4711;

	if (parse(text, min, max, &value))
		fail_msg("'%s' is taken as %" PRId64, text, value);
	assert_int_equal(value, 4711);
}

static void assert_refused(whole_parser *parse, const char *text)
{
	assert_refused_in(parse, text, INT64_MIN, INT64_MAX);
}

static const char *const garbage[] = {
	"",
	" ",
	"x",
	"-",
	"+",
	"--1",
	"+-1",
	"1 ",
	" 1",
	"\t1",
	"1\n",
	"0x1",
	"0b1",
	"1x",
	"1,0",
	"1.0",
	"1e3",
	"1_0",
	"NaN",
	"inf",
	"k",
	"M",
	"kk",
	"1kk",
	"1kM",
	"1k1",
	"1K",
	"1m",
	"1g",
	"1 k",
	"1kb",
	"1Ki",
	"\xd9\xa1",
	"1-",
	"1+1",
	"0x1k",
	"1\x80",
	"9223372036854775808",
	"-9223372036854775809",
	"99999999999999999999999999999999999999999999999999999999999999999999999999999",
};

static void garbage_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(garbage) / sizeof(*garbage); i++) {
		assert_refused(parse_int, garbage[i]);
		assert_refused(parse_count, garbage[i]);
		assert_refused(parse_size, garbage[i]);
	}
}

static void whole_numbers_are_decimal(void **state)
{
	static whole_parser *const all[] = {parse_int, parse_count, parse_size};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		assert_taken(all[i], "0", 0);
		assert_taken(all[i], "-0", 0);
		assert_taken(all[i], "7", 7);
		assert_taken(all[i], "+7", 7);
		assert_taken(all[i], "-7", -7);
		assert_taken(all[i], "010", 10); /* not octal */
		assert_taken(all[i], "9223372036854775807", INT64_MAX);
		assert_taken(all[i], "-9223372036854775808", INT64_MIN);
	}
}

static void int_takes_no_suffix(void **state)
{
	(void)state;
	assert_refused(parse_int, "1k");
	assert_refused(parse_int, "1M");
	assert_refused(parse_int, "1G");
}

static void range_ends_belong_to_the_range(void **state)
{
	int64_t value;

	(void)state;
	assert_true(parse_int("0", 0, 65535, &value));
	assert_true(parse_int("65535", 0, 65535, &value));
	assert_int_equal(value, 65535);
	assert_true(parse_int("5", 5, 5, &value));
	assert_refused_in(parse_int, "65536", 0, 65535);
	assert_refused_in(parse_int, "-1", 0, 65535);
	assert_refused_in(parse_count, "1k", 1, 999);
	assert_true(parse_count("1k", 1, 1000, &value));
	assert_refused_in(parse_size, "1k", 1, 1023);
	assert_true(parse_size("1k", 1, 1024, &value));
	assert_refused_in(parse_int, "4", 5, 3); /* an empty range */
}

static void counts_have_powers_of_1000(void **state)
{
	(void)state;
	assert_taken(parse_count, "10k", 10000);
	assert_taken(parse_count, "2M", 2000000);
	assert_taken(parse_count, "3G", 3000000000);
	assert_taken(parse_count, "-3k", -3000);
	assert_taken(parse_count, "0G", 0);
}

static void sizes_have_powers_of_1024(void **state)
{
	(void)state;
	assert_taken(parse_size, "16k", 16384);
	assert_taken(parse_size, "1M", 1048576);
	assert_taken(parse_size, "3G", 3221225472);
}

static void products_that_overflow_are_refused(void **state)
{
	(void)state;
	assert_taken(parse_count, "9223372036G", 9223372036000000000);
	assert_refused(parse_count, "9223372037G");
	assert_refused(parse_count, "9223372036854775807k");
	assert_refused(parse_count, "-9223372037G");
	assert_taken(parse_size, "8589934591G", 9223372035781033984);
	assert_refused(parse_size, "8589934592G"); /* 2^63 */
	assert_taken(parse_size, "-8589934592G", INT64_MIN);
	assert_refused(parse_size, "18014398509481984k"); /* 2^64 */
}

static void numbers_may_have_a_fraction_and_a_suffix(void **state)
{
	static const struct {
		const char *text;
		double due;
	} good[] = {{"0", 0},          {"1.5", 1.5}, {"0.25", 0.25}, {"50k", 50e3},
		    {"1.5M", 1500000}, {"2G", 2e9},  {"007", 7}};
	static const char *const bad[] = {
		"",   ".",   "-1",  "+1",  "1.2.3", "1e3", "1e400", "0x10", "nan",   "inf", "1 k",
		" 1", "1kk", "1ki", "1,5", "k",     "-0",  "1K",    "1m",   "0x1p4", "1e",  "1ek"};
	double value;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		value = -1;
		if (!parse_number(good[i].text, 0, 1e12, &value) || value != good[i].due)
			fail_msg("'%s' gives %g", good[i].text, value);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		value = -1;
		if (parse_number(bad[i], -1e300, 1e300, &value) || value != -1)
			fail_msg("'%s' is taken as %g", bad[i], value);
	}
}

static void numbers_have_a_range(void **state)
{
	double value = -1;

	(void)state;
	assert_true(parse_number("1", 1, 2, &value));
	assert_true(parse_number("2", 1, 2, &value));
	value = -1;
	assert_false(parse_number("0.999", 1, 2, &value));
	assert_false(parse_number("2.001", 1, 2, &value));
	assert_false(parse_number("1k", 1, 2, &value));
	assert_false(parse_number("1", NAN, NAN, &value));
	assert_true(value == -1);
}

static void durations_have_units(void **state)
{
	(void)state;
	assert_taken(parse_duration_ns, "0", 0);
	assert_taken(parse_duration_ns, "1", 1000000000); /* seconds if bare */
	assert_taken(parse_duration_ns, "0.5", 500000000);
	assert_taken(parse_duration_ns, "5ns", 5);
	assert_taken(parse_duration_ns, "250us", 250000);
	assert_taken(parse_duration_ns, "12.5ms", 12500000);
	assert_taken(parse_duration_ns, "10s", 10000000000);
	assert_taken(parse_duration_ns, "2m", 120000000000);
	assert_taken(parse_duration_ns, "1h", 3600000000000);
	assert_taken(parse_duration_ns, "0.6ns", 1); /* to the nearest */
	assert_taken(parse_duration_ns, "0.4ns", 0);
}

static void durations_beyond_64_bits_are_refused(void **state)
{
	static const char *const bad[] = {"",
					  "s",
					  "-1s",
					  "+1s",
					  "1 s",
					  "1S",
					  "1sec",
					  "1min",
					  "1d",
					  "1s1ms",
					  "1e3s",
					  "0x1s",
					  "ms",
					  ".5s",
					  "1..5s",
					  "3000000h",
					  "9223372036854775808ns",
					  "1e999h",
					  "nan",
					  "inf"};

	(void)state;
	assert_taken(parse_duration_ns, "2000000h", 7200000000000000000);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_refused(parse_duration_ns, bad[i]);
	assert_refused_in(parse_duration_ns, "1s", 0, 999999999);
	assert_refused_in(parse_duration_ns, "1ns", 2, 9);
}

/* Exit status and standard error of opt_int() with a value it must refuse. */
static void a_refused_option_is_named_with_value_and_range(void **state)
{
	char said[200] = "";
	int to[2], status;
	ssize_t n;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(to), 0);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		dup2(to[1], STDERR_FILENO);
		opt_int("--backlog", "4097", 1, 4096);
		_exit(0);
	}
	close(to[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	n = read(to[0], said, sizeof(said) - 1);
	close(to[0]);
	assert_true(n > 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), EXIT_BAD_USAGE);
	assert_string_equal(said, "test_parse: --backlog: '4097' is not a whole number from 1 to "
				  "4096\n");
	assert_int_equal(opt_int("--backlog", "4096", 1, 4096), 4096);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(garbage_is_refused),
		cmocka_unit_test(whole_numbers_are_decimal),
		cmocka_unit_test(int_takes_no_suffix),
		cmocka_unit_test(range_ends_belong_to_the_range),
		cmocka_unit_test(counts_have_powers_of_1000),
		cmocka_unit_test(sizes_have_powers_of_1024),
		cmocka_unit_test(products_that_overflow_are_refused),
		cmocka_unit_test(numbers_may_have_a_fraction_and_a_suffix),
		cmocka_unit_test(numbers_have_a_range),
		cmocka_unit_test(durations_have_units),
		cmocka_unit_test(durations_beyond_64_bits_are_refused),
		cmocka_unit_test(a_refused_option_is_named_with_value_and_range),
	};

	return cmocka_run_group_tests_name("parse", tests, NULL, NULL);
}
