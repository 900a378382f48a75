// SPDX-License-Identifier: MIT
/* graded: limit; cause: too_much_memory; points: 0 of 20
 *
 * Each request takes memory until there is none.
 */
#define ON_DATA(fd, data, n)                        \
	for (char *more; (more = malloc(1 << 20));) \
	memset(more, 1, 1 << 20)
#include "plain.h"
