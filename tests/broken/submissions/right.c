// SPDX-License-Identifier: MIT
/* graded: ok; cause: -; points: 20 of 20
 *
 * Nothing is wrong with it.
 */
#include "plain.h"
