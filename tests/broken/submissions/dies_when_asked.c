// SPDX-License-Identifier: MIT
/* graded: cannot describe itself; cause: -; points: 0 of 20
 *
 * It reads an argument that is not there.
 */
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	printf("port %zu\n", strlen(argv[argc]));
	return 0;
}
