// SPDX-License-Identifier: MIT
/* graded: wrong; cause: exit_status; points: 16 of 20
 *
 * It ends as if something had failed.
 */
#define STATUS 1
#include "plain.h"
