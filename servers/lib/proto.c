// SPDX-License-Identifier: MIT
#include "servers/lib/proto.h"

#include <string.h>

const struct proto *const protos[] = {&proto_echo, &proto_http, &proto_rot13, NULL};

const struct proto *proto_find(const char *name)
{
	for (const struct proto *const *p = protos; *p; p++) {
		if (strcmp((*p)->name, name) == 0)
			return *p;
	}
	return NULL;
}
