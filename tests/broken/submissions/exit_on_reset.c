// SPDX-License-Identifier: MIT
/* graded: crashed; cause: crashed_1; points: 16 of 20
 *
 * Any error of recv(2) ends the program.
 */
#define ON_ERROR(fd)            \
	do {                    \
		perror("recv"); \
		exit(1);        \
	} while (0)
#include "plain.h"
