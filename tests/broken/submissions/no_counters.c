// SPDX-License-Identifier: MIT
/* graded: wrong; cause: counters; points: 16 of 20
 *
 * It ends without its line of counters.
 */
#define COUNTERS()
#include "plain.h"
