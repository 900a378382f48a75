// SPDX-License-Identifier: MIT
/* graded: not compiled; cause: -; points: 0 of 20
 *
 * It includes a header that was not handed in.
 */
#include "my_server.h"

int main(void)
{
	return run_my_server();
}
