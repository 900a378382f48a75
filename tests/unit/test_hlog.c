/* SPDX-License-Identifier: MIT
 * Lines are taken apart again by a decoder written here from the format alone; that real readers
 * accept them is for tests/test_hdr_readers.py. JAVA_LINE was written by HistogramLogWriter of
 * HdrHistogram 2.1.11 from the values fill() records.
 */
#include "loadgen/hlog.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <cmocka.h>

#define JAVA_LINE                                                                             \
	"Tag=x,1.500,1.000,7000.293,HISTFAAAAEZ42pNpmSzMwMBwlgECmKE0I5DpZrBjAYP9B4jA5gwmayZb" \
	"ILbGQesySTPJAiGCpD+fn4mXiRuIIRDBQma//c7IBABySxSd"

#define START_NS UINT64_C(1700000000000000000)

static struct hist hist;

static int setup(void **state)
{
	(void)state;
	hist_init(&hist);
	return 0;
}

static void fill(void)
{
	for (uint64_t i = 0; i < 100; i++)
		hist_record(&hist, 50000 + i * 1000);
	hist_record(&hist, 7000000000);
}

/* A whole log of one interval; the caller frees it. */
static char *written(const char *comment, const char *tag)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	struct hlog *log = hlog_open(out, START_NS, comment);

	assert_non_null(log);
	assert_true(hlog_interval(log, tag, 1500000000, 2500000000, &hist));
	assert_true(hlog_close(log));
	fclose(out);
	return text;
}

/* The last line, without its end. */
static char *last_line(char *text)
{
	size_t len = strlen(text);
	char *line;

	assert_true(len > 0 && text[len - 1] == '\n');
	text[len - 1] = '\0';
	line = strrchr(text, '\n');
	return line ? line + 1 : text;
}

static size_t base64_decode(const char *text, uint8_t *out)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint32_t bits = 0;
	size_t len = 0, n = 0;

	assert_int_equal(strlen(text) % 4, 0);
	for (; *text && *text != '='; text++) {
		const char *digit = strchr(digits, *text);

		assert_non_null(digit);
		bits = bits << 6 | (uint32_t)(digit - digits);
		if (++n % 4 != 1)
			out[len++] = (uint8_t)(bits >> (6 - 2 * ((n - 1) % 4)));
	}
	assert_true(strlen(text) <= 2);
	return len;
}

static uint32_t be32(const uint8_t *from)
{
	return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 | from[3];
}

/* The uncompressed encoding a log line carries, and its length. */
static uint8_t *payload(const char *line, size_t *len)
{
	const char *base64 = strrchr(line, ',') + 1;
	uint8_t *packed = malloc(strlen(base64) + 1);
	uLongf room = 400000;
	uint8_t *raw = malloc(room);
	size_t packed_len = base64_decode(base64, packed);

	assert_int_equal(be32(packed), 0x1c849314);
	assert_int_equal(be32(packed + 4), packed_len - 8);
	assert_int_equal(uncompress(raw, &room, packed + 8, packed_len - 8), Z_OK);
	free(packed);
	*len = room;
	return raw;
}

/* Counters from the encoding, by the format's description. */
static void decode(const char *line, struct hist *out)
{
	size_t len, at = 40;
	uint8_t *raw = payload(line, &len);
	uint64_t index = 0;

	assert_int_equal(be32(raw), 0x1c849313);
	assert_int_equal(be32(raw + 4), len - 40);
	memset(out, 0, sizeof(*out));
	while (at < len) {
		uint64_t word = 0;
		int64_t value;

		for (int i = 0;; i++) {
			uint8_t byte = raw[at++];

			word |= (uint64_t)(i < 8 ? byte & 0x7f : byte) << 7 * i;
			if (i == 8 || !(byte & 0x80))
				break;
		}
		value = (int64_t)(word >> 1) ^ -(int64_t)(word & 1);
		if (value < 0) {
			index += (uint64_t)-value;
			continue;
		}
		assert_true(index < HIST_COUNTERS);
		out->counts[index++] = (uint64_t)value;
	}
	assert_int_equal(at, len);
	free(raw);
}

static void assert_round_trip(void)
{
	static struct hist back;
	char *text = written(NULL, NULL);

	decode(last_line(text), &back);
	assert_memory_equal(back.counts, hist.counts, HIST_COUNTERS * sizeof(back.counts[0]));
	free(text);
}

static void head_is_that_of_the_public_writer(void **state)
{
	char *text = written("by tenk\nand friends", NULL);
	const char *head = "#by tenk and friends\n"
			   "#[Histogram log format version 1.3]\n"
			   "#[StartTime: 1700000000.000 (seconds since epoch), "
			   "Tue Nov 14 22:13:20 UTC 2023]\n"
			   "#[BaseTime: 1700000000.000 (seconds since epoch)]\n"
			   "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\","
			   "\"Interval_Compressed_Histogram\"\n"
			   "1.500,1.000,0.000,HISTFA";

	(void)state;
	assert_memory_equal(text, head, strlen(head));
	free(text);
}

static void line_carries_the_bytes_the_public_writer_encodes(void **state)
{
	size_t len, java_len;
	uint8_t *raw, *java = payload(JAVA_LINE, &java_len);
	char *text, *line;

	(void)state;
	fill();
	text = written(NULL, "x");
	line = last_line(text);
	assert_memory_equal(line, JAVA_LINE, strlen("Tag=x,1.500,1.000,7000.293,HISTFA"));
	raw = payload(line, &len);
	assert_int_equal(len, java_len);
	assert_memory_equal(raw, java, len);
	free(raw);
	free(java);
	free(text);
}

static void counts_come_back(void **state)
{
	(void)state;
	fill();
	assert_round_trip();
}

static void an_empty_histogram_comes_back(void **state)
{
	(void)state;
	assert_round_trip();
}

static void the_ends_of_the_range_come_back(void **state)
{
	(void)state;
	hist_record(&hist, 0);
	hist_record(&hist, HIST_HIGHEST_NS);
	assert_round_trip();
}

static void counts_of_every_word_length_come_back(void **state)
{
	(void)state;
	/* Shifted by one in ZigZag: 2^62 is the greatest power of two of a signed count. */
	for (uint64_t bit = 0; bit <= 62; bit++) {
		hist_record_n(&hist, 10 + 2 * bit, UINT64_C(1) << bit);
		hist_record_n(&hist, 1000 + bit, (UINT64_C(1) << bit) - 1);
	}
	assert_round_trip();
}

static void a_histogram_with_all_counters_in_use_fits(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < HIST_COUNTERS; i++)
		hist.counts[i] = (UINT64_C(1) << 60) + i * UINT64_C(2654435761);
	assert_round_trip();
}

static void what_has_no_end_is_stated_and_left_out_of_the_counts(void **state)
{
	static struct hist back;
	char *text, *line;

	(void)state;
	fill();
	hist_record(&hist, HIST_HIGHEST_NS + 1);
	hist_record_infinite(&hist, 3);
	text = written(NULL, "x");
	assert_non_null(strstr(text,
			       "\n#[TenkUnended: tag x, start 1.500, infinite 3, overflow 1]\n"
			       "Tag=x,1.500,"));
	line = last_line(text);
	decode(line, &back);
	assert_int_equal(hist_count(&back), 101);
	free(text);
}

static void a_tag_that_would_break_the_line_is_refused(void **state)
{
	static const char *const bad[] = {"", "a,b", "a b", "a\nb", "a\tb"};
	char *text = NULL;
	size_t len = 0, before;
	FILE *out = open_memstream(&text, &len);
	struct hlog *log = hlog_open(out, START_NS, NULL);

	(void)state;
	fflush(out);
	before = len;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		errno = 0;
		assert_false(hlog_interval(log, bad[i], 0, 1, &hist));
		assert_int_equal(errno, EINVAL);
	}
	assert_true(hlog_interval(log, "good", 0, 1, &hist));
	assert_true(hlog_close(log));
	assert_true(len > before);
	assert_memory_equal(text + before, "Tag=good,", 9);
	fclose(out);
	free(text);
}

static void a_full_device_is_reported(void **state)
{
	FILE *full = fopen("/dev/full", "w");

	(void)state;
	if (!full)
		skip();
	errno = 0;
	assert_null(hlog_open(full, START_NS, NULL));
	assert_int_equal(errno, ENOSPC);
	fclose(full);
}

static void a_failure_after_opening_is_reported_at_the_latest_by_close(void **state)
{
	FILE *small = fmemopen(NULL, 400, "w");
	struct hlog *log;

	(void)state;
	assert_non_null(small);
	log = hlog_open(small, START_NS, NULL);
	assert_non_null(log);
	for (int i = 0; i < 200; i++)
		hlog_interval(log, NULL, 0, 1, &hist);
	errno = 0;
	assert_false(hlog_close(log));
	assert_int_not_equal(errno, 0);
	fclose(small);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(head_is_that_of_the_public_writer),
		TEST(line_carries_the_bytes_the_public_writer_encodes),
		TEST(counts_come_back),
		TEST(an_empty_histogram_comes_back),
		TEST(the_ends_of_the_range_come_back),
		TEST(counts_of_every_word_length_come_back),
		TEST(a_histogram_with_all_counters_in_use_fits),
		TEST(what_has_no_end_is_stated_and_left_out_of_the_counts),
		TEST(a_tag_that_would_break_the_line_is_refused),
		TEST(a_full_device_is_reported),
		TEST(a_failure_after_opening_is_reported_at_the_latest_by_close),
	};

	return cmocka_run_group_tests_name("hlog", tests, NULL, NULL);
}
