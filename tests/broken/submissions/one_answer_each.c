// SPDX-License-Identifier: MIT
/* graded: wrong; cause: closes_too_early; points: 0 of 20
 *
 * It closes the connection after one answer, as HTTP/1.0 did.
 */
#define SEND(fd, data, n) (send_all(fd, data, n) && false)
#include "plain.h"
