/* SPDX-License-Identifier: MIT
 * Where the load goes and where it comes from: URLs, addresses, CPU lists.
 */
#ifndef TENK_LOADGEN_TARGET_H
#define TENK_LOADGEN_TARGET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum protocol { PROTOCOL_ECHO, PROTOCOL_HTTP, PROTOCOL_ROT13 };

struct target {
	enum protocol protocol;
	char host[256]; /* as written, without brackets or port */
	char path[2048];
	uint16_t port;
};

/*
 * Parse scheme://HOST[:PORT][/PATH]; http's port defaults to 80, the others have none. Returns
 * NULL, or what a right URL looks like in words ("... is not ...") when this is none.
 */
const char *target_parse(const char *url, struct target *target);

/* "echo", "http" or "rot13". */
const char *protocol_name(enum protocol protocol);

/* Resolve the target to its first IPv4 address. Returns NULL, or the resolver's reason. */
const char *target_resolve(const struct target *target, struct sockaddr_in *address);

/*
 * Parse "127.0.0.2,127.0.0.5-127.0.0.9" into addresses (network byte order). Returns how many, or 0
 * when the text is wrong or holds more than `max`.
 */
size_t sources_parse(const char *text, uint32_t *addresses, size_t max);

/* Parse "0,2-3" into CPU numbers. Returns how many, or 0 when it is wrong or holds more than max.
 */
size_t cpus_parse(const char *text, int *cpus, size_t max);

#endif
