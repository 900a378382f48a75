// SPDX-License-Identifier: MIT
/* graded: crashed; cause: crashed_SIGABRT; points: 16 of 20
 *
 * A copy on the stack is smaller than the bound that is checked.
 */
#define ON_DATA(fd, data, n)                               \
	do {                                               \
		char copy[256];                            \
		char *volatile to = copy;                  \
		for (ssize_t k = 0; k < n && k < 512; k++) \
			to[k] = data[k];                   \
	} while (0)
#include "plain.h"
