/* SPDX-License-Identifier: MIT */
#include "loadgen/hlog.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zlib.h>

/* "V2" cookies; the 0x10 says that counts are ZigZag LEB128 words of up to 9 bytes. */
#define COOKIE            UINT32_C(0x1c849313)
#define COOKIE_COMPRESSED UINT32_C(0x1c849314)

#define HEADER_BYTES    40 /* of the encoded histogram before its counts */
#define WORD_BYTES      9  /* the most one count takes */
#define ENCODED_BYTES   (HEADER_BYTES + HIST_COUNTERS * WORD_BYTES)
#define COMPRESSED_HEAD 8 /* cookie and length before the zlib stream */

struct hlog {
	FILE *out;
	int error;                  /* of the first failure, or 0 */
	uLong packed_bytes;         /* room in packed[] */
	uint8_t raw[ENCODED_BYTES]; /* the encoded histogram */
	uint8_t packed[];           /* the same compressed, behind its head */
};

static uint8_t *put_be32(uint8_t *to, uint32_t value)
{
	for (int shift = 24; shift >= 0; shift -= 8)
		*to++ = (uint8_t)(value >> shift);
	return to;
}

static uint8_t *put_be64(uint8_t *to, uint64_t value)
{
	return put_be32(put_be32(to, (uint32_t)(value >> 32)), (uint32_t)value);
}

/*
 * ZigZag LEB128, the 64b9B variant: seven bits a byte, least first, but the ninth byte carries all
 * eight, so that 64 bits fit in nine bytes and not ten.
 */
static uint8_t *put_word(uint8_t *to, int64_t value)
{
	uint64_t twice = (uint64_t)value << 1;
	uint64_t zigzag = value < 0 ? ~twice : twice;

	for (int i = 1; i < WORD_BYTES && zigzag > 0x7f; i++) {
		*to++ = (uint8_t)(zigzag | 0x80);
		zigzag >>= 7;
	}
	*to++ = (uint8_t)zigzag;
	return to;
}

/* Counts up to the last one in use; a run of two or more zeros is one negative word. */
static uint8_t *put_counts(uint8_t *to, const struct hist *h)
{
	struct hist_iter it = hist_iter(h);
	uint32_t next = 0;

	while (hist_next(&it)) {
		uint32_t zeros = it.index - next;

		if (zeros)
			to = put_word(to, zeros == 1 ? 0 : -(int64_t)zeros);
		to = put_word(to, (int64_t)it.count);
		next = it.index + 1;
	}
	return next ? to : put_word(to, 0);
}

static size_t encode(uint8_t *raw, const struct hist *h)
{
	static const double ratio = 1.0; /* integer to double values, of DoubleHistogram only */
	uint8_t *end = put_counts(raw + HEADER_BYTES, h);
	uint64_t ratio_bits;
	uint8_t *to = raw;

	memcpy(&ratio_bits, &ratio, sizeof(ratio_bits));
	to = put_be32(to, COOKIE);
	to = put_be32(to, (uint32_t)(end - raw - HEADER_BYTES));
	to = put_be32(to, 0); /* normalizing index offset: counters were never shifted */
	to = put_be32(to, HIST_DIGITS);
	to = put_be64(to, HIST_LOWEST_NS);
	to = put_be64(to, HIST_HIGHEST_NS);
	to = put_be64(to, ratio_bits);
	assert(to == raw + HEADER_BYTES);
	return (size_t)(end - raw);
}

static void write_base64(FILE *out, const uint8_t *data, size_t len)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < len; i += 3) {
		uint32_t left = (uint32_t)(len - i < 3 ? len - i : 3);
		uint32_t bits = (uint32_t)data[i] << 16;
		char quad[4];

		bits |= left > 1 ? (uint32_t)data[i + 1] << 8 : 0;
		bits |= left > 2 ? (uint32_t)data[i + 2] : 0;
		for (uint32_t j = 0; j < 4; j++)
			quad[j] = j <= left ? digits[bits >> (18 - 6 * j) & 63] : '=';
		fwrite(quad, 1, sizeof(quad), out);
	}
}

/* Remember the first failure: the log ends at a line that may be broken. */
static bool fail(struct hlog *log, int error)
{
	if (!log->error)
		log->error = error ? error : EIO;
	errno = log->error;
	return false;
}

static bool checked(struct hlog *log)
{
	return ferror(log->out) ? fail(log, errno) : true;
}

static void write_head(FILE *out, uint64_t start_realtime_ns, const char *comment)
{
	time_t seconds = (time_t)(start_realtime_ns / 1000000000);
	uint64_t ms = start_realtime_ns / 1000000 % 1000;
	struct tm tm;
	char date[32];

	if (comment) {
		fputc('#', out);
		for (; *comment; comment++)
			fputc(*comment == '\n' || *comment == '\r' ? ' ' : *comment, out);
		fputc('\n', out);
	}
	gmtime_r(&seconds, &tm);
	strftime(date, sizeof(date), "%a %b %d %H:%M:%S UTC %Y", &tm);
	fprintf(out, "#[Histogram log format version 1.3]\n");
	fprintf(out, "#[StartTime: %lld.%03llu (seconds since epoch), %s]\n", (long long)seconds,
		(unsigned long long)ms, date);
	/* Without it readers guess whether interval times are absolute. */
	fprintf(out, "#[BaseTime: %lld.%03llu (seconds since epoch)]\n", (long long)seconds,
		(unsigned long long)ms);
	fprintf(out, "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\","
		     "\"Interval_Compressed_Histogram\"\n");
}

struct hlog *hlog_open(FILE *out, uint64_t start_realtime_ns, const char *comment)
{
	uLong packed_bytes = compressBound(ENCODED_BYTES);
	struct hlog *log = malloc(sizeof(*log) + COMPRESSED_HEAD + packed_bytes);

	if (!log)
		return NULL;
	log->out = out;
	log->error = 0;
	log->packed_bytes = packed_bytes;
	write_head(out, start_realtime_ns, comment);
	if (!checked(log) || fflush(out)) {
		int error = log->error ? log->error : errno;

		free(log);
		errno = error;
		return NULL;
	}
	return log;
}

bool hlog_interval(struct hlog *log, const char *tag, uint64_t start_ns, uint64_t end_ns,
		   const struct hist *h)
{
	uLongf packed = log->packed_bytes;
	double start_s = (double)start_ns / 1e9;
	int error;

	assert(end_ns >= start_ns);
	if (tag && (!*tag || strpbrk(tag, ", \t\r\n"))) {
		errno = EINVAL;
		return false;
	}
	if (log->error)
		return fail(log, log->error);
	error = compress2(log->packed + COMPRESSED_HEAD, &packed, log->raw, encode(log->raw, h),
			  Z_DEFAULT_COMPRESSION);
	if (error != Z_OK)
		return fail(log, error == Z_MEM_ERROR ? ENOMEM : EIO);
	put_be32(put_be32(log->packed, COOKIE_COMPRESSED), (uint32_t)packed);

	if (hist_overflow(h) || hist_infinite(h))
		fprintf(log->out,
			"#[TenkUnended: tag %s, start %.3f, infinite %llu, overflow %llu]\n",
			tag ? tag : "-", start_s, (unsigned long long)hist_infinite(h),
			(unsigned long long)hist_overflow(h));
	if (tag)
		fprintf(log->out, "Tag=%s,", tag);
	fprintf(log->out, "%.3f,%.3f,%.3f,", start_s, (double)(end_ns - start_ns) / 1e9,
		(double)hist_max_finite(h) / 1e6);
	write_base64(log->out, log->packed, COMPRESSED_HEAD + packed);
	fputc('\n', log->out);
	return checked(log);
}

bool hlog_close(struct hlog *log)
{
	int error;

	if (!log)
		return true;
	if (fflush(log->out))
		fail(log, errno);
	checked(log);
	error = log->error;
	free(log);
	errno = error;
	return !error;
}
