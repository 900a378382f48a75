/* SPDX-License-Identifier: MIT
 * Write histograms described on standard input as an interval log, and all of them merged as a
 * percentile table: something for the public readers to read. Lines of input:
 *	value NS COUNT
 *	infinite COUNT
 *	interval TAG|- START_NS END_NS		(writes what came before it)
 *
 *	hdr_sample HLOG HGRM NS_PER_UNIT < description
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loadgen/hgrm.h"
#include "loadgen/hist.h"
#include "loadgen/hlog.h"

#define START_NS UINT64_C(1700000000000000000)

static struct hist now, all;

static void read_lines(struct hlog *log)
{
	char line[256], tag[64];
	uint64_t a, b;

	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "value %" SCNu64 " %" SCNu64, &a, &b) == 2) {
			hist_record_n(&now, a, b);
		} else if (sscanf(line, "infinite %" SCNu64, &a) == 1) {
			hist_record_infinite(&now, a);
		} else if (sscanf(line, "interval %63s %" SCNu64 " %" SCNu64, tag, &a, &b) == 3) {
			if (!hlog_interval(log, strcmp(tag, "-") ? tag : NULL, a, b, &now))
				abort();
			hist_merge(&all, &now);
			hist_init(&now);
		} else {
			fprintf(stderr, "hdr_sample: what is '%s'?\n", line);
			exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	FILE *hlog_file = argc == 4 ? fopen(argv[1], "w") : NULL;
	FILE *hgrm_file = argc == 4 ? fopen(argv[2], "w") : NULL;
	struct hlog *log = hlog_file && hgrm_file ? hlog_open(hlog_file, START_NS, "sample") : NULL;

	if (!log) {
		fprintf(stderr, "usage: hdr_sample HLOG HGRM NS_PER_UNIT < description\n");
		return 2;
	}
	read_lines(log);
	if (!hlog_close(log) || !hgrm_write(hgrm_file, &all, atof(argv[3])))
		abort();
	return fclose(hlog_file) || fclose(hgrm_file);
}
