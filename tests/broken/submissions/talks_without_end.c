// SPDX-License-Identifier: MIT
/* graded: limit; cause: too_much_output; points: 0 of 20
 *
 * It writes a log to stdout, faster than anybody reads.
 */
#define SAY_READY(port) \
	for (;;)        \
	fputs("I am fine. ", stdout)
#include "plain.h"
