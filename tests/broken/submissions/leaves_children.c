// SPDX-License-Identifier: MIT
/* graded: wrong; cause: left_processes; points: 16 of 20
 *
 * Twenty children in sessions of their own live on.
 */
#define AT_START()                       \
	for (int k = 0; k < 20; k++)     \
		if (fork() == 0) {       \
			setsid();        \
			for (;;)         \
				pause(); \
		}
#include "plain.h"
