// SPDX-License-Identifier: MIT
/* graded: limit; cause: too_much_output; points: 0 of 20
 *
 * It writes an error message to stderr, for ever.
 */
#define ON_DATA(fd, data, n) \
	for (;;)             \
	fputs("something is wrong\n", stderr)
#include "plain.h"
