/* SPDX-License-Identifier: MIT
 * The client's side of RESP, which redis speaks: PING, or GET of the URL's key.
 * [redis.io/docs/latest/develop/reference/protocol-spec]
 */
#ifndef TENK_LOADGEN_CLIENT_REDIS_H
#define TENK_LOADGEN_CLIENT_REDIS_H

#include <stddef.h>

#include "loadgen/reply.h"
#include "loadgen/target.h"

/* The request, into out, of at least 512 bytes; its length. */
size_t redis_request(const struct target *target, char *out, size_t size);

/* As client_feed() in client.h. REPLY_STATUS: no value of that key, or an error in words. */
enum reply_result redis_feed(struct reply *reply, const char *data, size_t length, size_t *used);

#endif
