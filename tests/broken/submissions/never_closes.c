// SPDX-License-Identifier: MIT
/* graded: hung; cause: never_closes; points: 8 of 20
 *
 * A client that has left is forgotten, and its descriptor is not closed.
 */
#define CLOSE(fd) ((void)(fd))
#include "plain.h"
