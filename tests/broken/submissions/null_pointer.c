// SPDX-License-Identifier: MIT
/* graded: crashed; cause: crashed_SIGSEGV; points: 0 of 20
 *
 * A pointer that was never set.
 */
#define ON_DATA(fd, data, n) memcpy(lost, data, (size_t)n)
static char *volatile lost;
#include "plain.h"
