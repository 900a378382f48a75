// SPDX-License-Identifier: MIT
/* graded: wrong; cause: leaks_descriptors; points: 14 of 20
 *
 * For each client a file is opened, and never closed.
 */
#define AT_ACCEPT(fd) (void)!open("/dev/null", O_WRONLY)
#include "plain.h"
