/* SPDX-License-Identifier: MIT
 * The expected texts were printed by AbstractHistogram.outputPercentileDistribution() of
 * HdrHistogram 2.1.11; where requests have no end there is no such text, and the rule is ours.
 */
#include "loadgen/hgrm.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct hist hist;

static int setup(void **state)
{
	(void)state;
	hist_init(&hist);
	return 0;
}

/* What hgrm_write() writes; the caller frees it. */
static char *written(double scale)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	assert_true(hgrm_write(out, &hist, scale));
	fclose(out);
	return text;
}

static void assert_written(double scale, const char *expected)
{
	char *text = written(scale);

	assert_string_equal(text, expected);
	free(text);
}

static void empty_histogram_is_head_and_footer(void **state)
{
	(void)state;
	assert_written(1e6, "       Value     Percentile TotalCount 1/(1-Percentile)\n"
			    "\n"
			    "#[Mean    =        0.000, StdDeviation   =        0.000]\n"
			    "#[Max     =        0.000, Total count    =            0]\n"
			    "#[Buckets =           32, SubBuckets     =         2048]\n");
}

static void single_value_has_two_rows(void **state)
{
	(void)state;
	hist_record(&hist, 5);
	assert_written(1, "       Value     Percentile TotalCount 1/(1-Percentile)\n"
			  "\n"
			  "       5.000 0.000000000000          1           1.00\n"
			  "       5.000 1.000000000000          1\n"
			  "#[Mean    =        5.000, StdDeviation   =        0.000]\n"
			  "#[Max     =        5.000, Total count    =            1]\n"
			  "#[Buckets =           32, SubBuckets     =         2048]\n");
}

static void rows_are_those_of_hdrhistogram(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 100; i++)
		hist_record(&hist, 50000 + i * 1000);
	hist_record(&hist, 7000000000);
	assert_written(1e6, "       Value     Percentile TotalCount 1/(1-Percentile)\n"
			    "\n"
			    "       0.050 0.000000000000          1           1.00\n"
			    "       0.060 0.100000000000         11           1.11\n"
			    "       0.070 0.200000000000         21           1.25\n"
			    "       0.080 0.300000000000         31           1.43\n"
			    "       0.090 0.400000000000         41           1.67\n"
			    "       0.100 0.500000000000         51           2.00\n"
			    "       0.105 0.550000000000         56           2.22\n"
			    "       0.110 0.600000000000         61           2.50\n"
			    "       0.115 0.650000000000         66           2.86\n"
			    "       0.120 0.700000000000         71           3.33\n"
			    "       0.125 0.750000000000         76           4.00\n"
			    "       0.128 0.775000000000         79           4.44\n"
			    "       0.130 0.800000000000         81           5.00\n"
			    "       0.133 0.825000000000         84           5.71\n"
			    "       0.135 0.850000000000         86           6.67\n"
			    "       0.138 0.875000000000         89           8.00\n"
			    "       0.139 0.887500000000         90           8.89\n"
			    "       0.140 0.900000000000         91          10.00\n"
			    "       0.142 0.912500000000         93          11.43\n"
			    "       0.143 0.925000000000         94          13.33\n"
			    "       0.144 0.937500000000         95          16.00\n"
			    "       0.145 0.943750000000         96          17.78\n"
			    "       0.145 0.950000000000         96          20.00\n"
			    "       0.146 0.956250000000         97          22.86\n"
			    "       0.147 0.962500000000         98          26.67\n"
			    "       0.147 0.968750000000         98          32.00\n"
			    "       0.148 0.971875000000         99          35.56\n"
			    "       0.148 0.975000000000         99          40.00\n"
			    "       0.148 0.978125000000         99          45.71\n"
			    "       0.149 0.981250000000        100          53.33\n"
			    "       0.149 0.984375000000        100          64.00\n"
			    "       0.149 0.985937500000        100          71.11\n"
			    "       0.149 0.987500000000        100          80.00\n"
			    "       0.149 0.989062500000        100          91.43\n"
			    "    7000.293 0.990625000000        101         106.67\n"
			    "    7000.293 1.000000000000        101\n"
			    "#[Mean    =       69.388, StdDeviation   =      692.881]\n"
			    "#[Max     =     7000.293, Total count    =          101]\n"
			    "#[Buckets =           32, SubBuckets     =         2048]\n");
}

static void rows_end_below_the_requests_without_an_end(void **state)
{
	(void)state;
	hist_record_n(&hist, 1000, 6);
	hist_record_n(&hist, 2000, 1);
	hist_record(&hist, HIST_HIGHEST_NS + 1);
	hist_record_infinite(&hist, 2);
	assert_written(1, "       Value     Percentile TotalCount 1/(1-Percentile)\n"
			  "\n"
			  "    1000.000 0.000000000000          6           1.00\n"
			  "    1000.000 0.100000000000          6           1.11\n"
			  "    1000.000 0.200000000000          6           1.25\n"
			  "    1000.000 0.300000000000          6           1.43\n"
			  "    1000.000 0.400000000000          6           1.67\n"
			  "    1000.000 0.500000000000          6           2.00\n"
			  "    1000.000 0.550000000000          6           2.22\n"
			  "    1000.000 0.600000000000          6           2.50\n"
			  "    2000.000 0.650000000000          7           2.86\n"
			  "    2000.000 0.700000000000          7           3.33\n"
			  "#[Mean    =     1142.857, StdDeviation   =      349.927]\n"
			  "#[Max     =     2000.000, Total count    =           10]\n"
			  "#[Buckets =           32, SubBuckets     =         2048]\n"
			  "#[Infinite = 2, Overflow = 1, Fraction = 0.300000000]\n");
}

static void nothing_but_endless_requests_gives_no_row(void **state)
{
	char *text;

	(void)state;
	hist_record_infinite(&hist, 4);
	text = written(1e6);
	assert_null(strstr(text, "0.000000000000"));
	assert_non_null(strstr(text, "Total count    =            4]"));
	assert_non_null(strstr(text, "#[Infinite = 4, Overflow = 0, Fraction = 1.000000000]\n"));
	free(text);
}

static void many_values_end_in_one_row_at_one(void **state)
{
	char *text, *row;
	int at_one = 0;

	(void)state;
	for (uint64_t v = 0; v < 2000000; v++)
		hist_record(&hist, v * 17 % 5000011);
	text = written(1);
	for (row = text; (row = strstr(row, " 1.000000000000 ")); row++)
		at_one++;
	assert_int_equal(at_one, 1);
	assert_null(strstr(text, "inf"));
	assert_null(strstr(text, "nan"));
	free(text);
}

static void a_full_device_is_reported(void **state)
{
	FILE *full = fopen("/dev/full", "w");

	(void)state;
	if (!full)
		skip();
	hist_record(&hist, 1);
	assert_false(hgrm_write(full, &hist, 1));
	fclose(full);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(empty_histogram_is_head_and_footer),
		TEST(single_value_has_two_rows),
		TEST(rows_are_those_of_hdrhistogram),
		TEST(rows_end_below_the_requests_without_an_end),
		TEST(nothing_but_endless_requests_gives_no_row),
		TEST(many_values_end_in_one_row_at_one),
		TEST(a_full_device_is_reported),
	};

	return cmocka_run_group_tests_name("hgrm", tests, NULL, NULL);
}
