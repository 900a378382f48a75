// SPDX-License-Identifier: MIT
/* graded: crashed; cause: crashed_SIGABRT; points: 0 of 20
 *
 * The memory of a request is given back twice.
 */
#define ON_DATA(fd, data, n)                             \
	do {                                             \
		void *volatile copy = malloc((size_t)n); \
		free(copy);                              \
		free(copy);                              \
	} while (0)
#include "plain.h"
