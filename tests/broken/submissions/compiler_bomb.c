// SPDX-License-Identifier: MIT
/* graded: not compiled; cause: -; points: 0 of 20
 *
 * A table of four gigabytes goes into the program file.
 */
char table[4L << 30] = {1};

int main(void)
{
	return table[0];
}
