/* SPDX-License-Identifier: MIT */
#include "loadgen/hlog.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "loadgen/hist_code.h"

struct hlog {
	FILE *out;
	int error; /* of the first failure, or 0 */
	uint8_t encoded[HIST_ENCODED_BYTES];
};

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
	struct hlog *log = malloc(sizeof(*log));

	if (!log)
		return NULL;
	log->out = out;
	log->error = 0;
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
	double start_s = (double)start_ns / 1e9;
	char *text;

	assert(end_ns >= start_ns);
	if (tag && (!*tag || strpbrk(tag, ", \t\r\n"))) {
		errno = EINVAL;
		return false;
	}
	if (log->error)
		return fail(log, log->error);
	text = hist_text(log->encoded, hist_encode(log->encoded, h));
	if (!text)
		return fail(log, errno);

	if (hist_overflow(h) || hist_infinite(h))
		fprintf(log->out,
			"#[TenkUnended: tag %s, start %.3f, infinite %llu, overflow %llu]\n",
			tag ? tag : "-", start_s, (unsigned long long)hist_infinite(h),
			(unsigned long long)hist_overflow(h));
	if (tag)
		fprintf(log->out, "Tag=%s,", tag);
	fprintf(log->out, "%.3f,%.3f,%.3f,", start_s, (double)(end_ns - start_ns) / 1e9,
		(double)hist_max_finite(h) / 1e6);
	fprintf(log->out, "%s\n", text);
	free(text);
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
