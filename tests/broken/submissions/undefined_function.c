// SPDX-License-Identifier: MIT
/* graded: not compiled; cause: -; points: 0 of 20
 *
 * A function is called that nobody wrote: the linker notices.
 */
int serve_all(void);

int main(void)
{
	return serve_all();
}
