// SPDX-License-Identifier: MIT
#include "loadgen/engine.h"

#include <stddef.h>
#include <string.h>

const struct engine *const engines[] = {&engine_epoll, &engine_uring, NULL};

const struct engine *engine_find(const char *name)
{
	for (const struct engine *const *e = engines; *e; e++) {
		if (strcmp((*e)->name, name) == 0)
			return *e;
	}
	return NULL;
}
