// SPDX-License-Identifier: MIT
/* graded: hung; cause: no_answer; points: 0 of 20
 *
 * What was received is taken for a string: it ends at the first zero.
 */
#define SEND(fd, data, n) send_all(fd, data, strnlen(data, n))
#include "plain.h"
