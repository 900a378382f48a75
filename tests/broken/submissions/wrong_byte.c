// SPDX-License-Identifier: MIT
/* graded: wrong; cause: wrong_bytes; points: 0 of 20
 *
 * One byte of each answer is wrong.
 */
#define ON_DATA(fd, data, n) ((data)[0] ^= 1)
#include "plain.h"
