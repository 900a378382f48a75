// SPDX-License-Identifier: MIT
/* graded: no ready line; cause: no_ready_line; points: 0 of 20
 *
 * stdout is a pipe: the line waits in a buffer of stdio.
 */
#define FLUSH()
#include "plain.h"
