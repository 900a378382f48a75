/* SPDX-License-Identifier: MIT
 * The client's side of memcached's text protocol: "get KEY", and whether a value came.
 * [github.com/memcached/memcached, doc/protocol.txt, "Retrieval command"]
 */
#ifndef TENK_LOADGEN_CLIENT_MEMCACHED_H
#define TENK_LOADGEN_CLIENT_MEMCACHED_H

#include <stddef.h>

#include "loadgen/reply.h"
#include "loadgen/target.h"

/* The request, into out, of at least 512 bytes; its length. */
size_t memcached_request(const struct target *target, char *out, size_t size);

/* As client_feed() in client.h. REPLY_STATUS: no value of that key, or an error in words. */
enum reply_result memcached_feed(struct reply *reply, const char *data, size_t length,
				 size_t *used);

#endif
