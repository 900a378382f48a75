// SPDX-License-Identifier: MIT
// echo, RFC 862: whatever arrives is sent back. The block it arrived in is the block it is sent
// from.
#include "servers/lib/proto.h"

static unsigned answer(struct dialogue *d, struct buffer *in, struct buffer *out)
{
	(void)d;
	buffer_swap(in, out);
	return 1;
}

const struct proto proto_echo = {
	.name = "echo",
	.summary = "RFC 862: any bytes back",
	.min_buffer = 1,
	.answer = answer,
};
