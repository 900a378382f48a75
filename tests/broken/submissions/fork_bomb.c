// SPDX-License-Identifier: MIT
/* graded: limit; cause: too_many_processes; points: 0 of 20
 *
 * Each request makes processes that make processes.
 */
#define ON_DATA(fd, data, n) \
	for (;;)             \
	fork()
#include "plain.h"
