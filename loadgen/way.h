/* SPDX-License-Identifier: MIT
 * --way: the times of each request of the window, one row for each, kept in memory until the run is
 * over and written as CSV.
 */
#ifndef TENK_LOADGEN_WAY_H
#define TENK_LOADGEN_WAY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { WAY_ROWS = 1 << 20 };

/* Times are ns of CLOCK_MONOTONIC; 0: not known. */
struct way_row {
	uint32_t connection, number; /* as in the bytes of an echo request */
	uint64_t intended_ns;
	uint64_t sent_ns;     /* before the call that sends it */
	uint64_t departed_ns; /* the kernel gave its last segment to the network device */
	uint64_t arrived_ns;  /* the kernel took the last segment of its reply in */
	uint64_t received_ns; /* after the call that brought it */
};

/* In memory that the worker, who writes it, shares with the parent, who reads it at the end. */
struct way {
	uint64_t count; /* rows there are */
	uint64_t lost;  /* requests for which there was no room */
	struct way_row rows[WAY_ROWS];
};

void way_add(struct way *way, const struct way_row *row);

/* A line of names, and a line for each row; unknown times are empty. False if it cannot be written. */
bool way_write(FILE *out, const struct way *way);

#endif
