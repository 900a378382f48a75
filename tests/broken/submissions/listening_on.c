// SPDX-License-Identifier: MIT
/* graded: no ready line; cause: no_ready_line; points: 0 of 20
 *
 * It says that it listens in words of its own.
 */
#define SAY_READY(port) printf("listening on %d\n", port)
#include "plain.h"
