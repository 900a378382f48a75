// SPDX-License-Identifier: MIT
#include "loadgen/way.h"

#include <inttypes.h>

void way_add(struct way *way, const struct way_row *row)
{
	if (way->count < WAY_ROWS)
		way->rows[way->count++] = *row;
	else
		way->lost++;
}

static void write_time(FILE *out, uint64_t ns)
{
	if (ns)
		fprintf(out, ",%" PRIu64, ns);
	else
		fputc(',', out);
}

bool way_write(FILE *out, const struct way *way)
{
	fputs("connection,number,intended_ns,sent_ns,departed_ns,arrived_ns,received_ns\n", out);
	for (uint64_t i = 0; i < way->count; i++) {
		const struct way_row *row = &way->rows[i];

		fprintf(out, "%" PRIu32 ",%" PRIu32, row->connection, row->number);
		write_time(out, row->intended_ns);
		write_time(out, row->sent_ns);
		write_time(out, row->departed_ns);
		write_time(out, row->arrived_ns);
		write_time(out, row->received_ns);
		fputc('\n', out);
	}
	return fflush(out) == 0 && !ferror(out);
}
