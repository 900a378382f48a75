// SPDX-License-Identifier: MIT
/* graded: cannot describe itself; cause: -; points: 0 of 20
 *
 * Its own main() serves at once, whatever it is asked, and says nothing.
 */
#include <unistd.h>

int main(void)
{
	for (;;)
		pause();
}
