// SPDX-License-Identifier: MIT
/* graded: hung; cause: no_answer; points: 0 of 20
 *
 * A loop whose condition never changes.
 */
#define ON_DATA(fd, data, n)               \
	for (volatile int more = 1; more;) \
	continue
#include "plain.h"
