// SPDX-License-Identifier: MIT
/* graded: not compiled; cause: -; points: 0 of 20
 *
 * A semicolon was forgotten.
 */
int main(void)
{
	return 0
}
