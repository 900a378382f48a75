// SPDX-License-Identifier: MIT
/* graded: no ready line; cause: no_ready_line; points: 0 of 20
 *
 * It refuses to take any free port (-p 0), and ends.
 */
#define AT_START()                     \
	do {                           \
		if (!address.sin_port) \
			exit(1);       \
	} while (0)
#include "plain.h"
