// SPDX-License-Identifier: MIT
/* graded: cannot describe itself; cause: -; points: 0 of 20
 *
 * What it says of itself has no protocols in it.
 */
#define DESCRIPTION "{\"name\": \"student\"}\n"
#include "plain.h"
