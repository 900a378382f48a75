/* SPDX-License-Identifier: MIT
 * Where the load goes and where it comes from: URLs, addresses, CPU lists.
 */
#ifndef TENK_LOADGEN_TARGET_H
#define TENK_LOADGEN_TARGET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

enum protocol {
	PROTOCOL_ECHO,
	PROTOCOL_HTTP,
	PROTOCOL_ROT13,
	PROTOCOL_MEMCACHED,
	PROTOCOL_REDIS,
	PROTOCOLS,
};

struct http_ask;

struct target {
	enum protocol protocol;
	bool local;     /* a UNIX socket: host is its path, port is 0 */
	char host[256]; /* as written, without brackets or port */
	char path[2048];
	uint16_t port;
	const struct http_ask *ask; /* http: what is asked for; NULL: GET of the path */
};

/* Where to connect to. */
struct endpoint {
	socklen_t length;
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_un local;
	};
};

/*
 * Parse SCHEME://HOST[:PORT][/PATH] or SCHEME://unix:SOCKET[:/PATH]. HOST is a name, an IPv4 address
 * or an IPv6 address in brackets. The port defaults to 80 (http), 11211 (memcached) and 6379
 * (redis); the others have none. A path is for http, and names the key for memcached and redis.
 * Returns NULL, or what a right URL looks like in words ("... is not ...") when this is none.
 */
const char *target_parse(const char *url, struct target *target);

/* The URL's scheme: "echo", "http", ... */
const char *protocol_name(enum protocol protocol);

/*
 * Resolve the target to its first IPv4 address or, where it has none, its first IPv6 address.
 * Returns NULL, or the resolver's reason.
 */
const char *target_resolve(const struct target *target, struct endpoint *address);

/* A UNIX socket, the loopback, or an address of an interface of this machine. */
bool endpoint_is_here(const struct endpoint *address);

/*
 * Parse "127.0.0.2,127.0.0.5-127.0.0.9" into addresses (network byte order). Returns how many, or 0
 * when the text is wrong or holds more than `max`.
 */
size_t sources_parse(const char *text, uint32_t *addresses, size_t max);

/* Parse "0,2-3" into CPU numbers. Returns how many, or 0 when it is wrong or holds more than max.
 */
size_t cpus_parse(const char *text, int *cpus, size_t max);

#endif
