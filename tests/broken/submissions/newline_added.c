// SPDX-License-Identifier: MIT
/* graded: wrong; cause: wrong_bytes; points: 0 of 20
 *
 * A newline is added to each answer.
 */
#define SEND(fd, data, n) (send_all(fd, data, n) && send_all(fd, "\n", 1))
#include "plain.h"
