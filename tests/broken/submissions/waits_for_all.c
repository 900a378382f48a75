// SPDX-License-Identifier: MIT
/* graded: hung; cause: no_answer; points: 0 of 20
 *
 * It waits for a whole buffer before it answers.
 */
#define RECEIVE(fd, data, size) recv(fd, data, size, MSG_WAITALL)
#include "plain.h"
