// SPDX-License-Identifier: MIT
// Stands in for a model whose library was not there at build time: it appears, and says why.
#include <stdio.h>

int main(void)
{
	fprintf(stderr, "%s: built without %s; install %s and run make again\n", MODEL, NEEDS,
		*PACKAGE ? "the package " PACKAGE : "it");
	return 77;
}
