// SPDX-License-Identifier: MIT
// Stands in for a model whose library was not there at build time: it appears, and says why.
#include <stdio.h>

int main(void)
{
	fprintf(stderr, "%s: built without %s; install it (make deps) and run make again\n", MODEL,
		NEEDS);
	return 77;
}
