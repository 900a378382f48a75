// SPDX-License-Identifier: MIT
/* graded: hung; cause: does_not_stop; points: 16 of 20
 *
 * The handler of the signal does nothing.
 */
#define ON_SIGNAL() (void)stopping
#include "plain.h"
