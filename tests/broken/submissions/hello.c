// SPDX-License-Identifier: MIT
/* graded: cannot describe itself; cause: -; points: 0 of 20
 *
 * It ends at once, with something that is not JSON.
 */
#include <stdio.h>

int main(void)
{
	puts("Hello, world!");
	return 0;
}
