// SPDX-License-Identifier: MIT
#include "loadgen/target.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/parse.h"

static const char *const names[] = {
	[PROTOCOL_ECHO] = "echo",           [PROTOCOL_HTTP] = "http",   [PROTOCOL_ROT13] = "rot13",
	[PROTOCOL_MEMCACHED] = "memcached", [PROTOCOL_REDIS] = "redis",
};

/* 0: a URL must have one. */
static const uint16_t ports[PROTOCOLS] = {
	[PROTOCOL_HTTP] = 80,
	[PROTOCOL_MEMCACHED] = 11211,
	[PROTOCOL_REDIS] = 6379,
};

const char *protocol_name(enum protocol protocol)
{
	return names[protocol];
}

static bool find_protocol(const char *name, size_t length, enum protocol *out)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (strlen(names[i]) == length && memcmp(names[i], name, length) == 0) {
			*out = (enum protocol)i;
			return true;
		}
	}
	return false;
}

/* ":PORT", or nothing where the protocol has a default one, from `text` to `end`. */
static const char *parse_port(const char *text, const char *end, struct target *target)
{
	size_t length = (size_t)(end - text);
	int64_t number;
	char digits[8];

	if (!length) {
		target->port = ports[target->protocol];
		return target->port ? NULL
				    : "a URL with a port; only http, memcached and redis "
				      "have a default one";
	}
	if (*text != ':' || length > sizeof(digits))
		return "a URL whose port is from 1 to 65535";
	memcpy(digits, text + 1, length - 1);
	digits[length - 1] = '\0';
	if (digits[strspn(digits, "0123456789")] || !parse_int(digits, 1, 65535, &number))
		return "a URL whose port is from 1 to 65535";
	target->port = (uint16_t)number;
	return NULL;
}

/* HOST or [HOST], and :PORT, from `text` to `end`. */
static const char *parse_host(const char *text, const char *end, struct target *target)
{
	const char *stop, *after;

	if (*text == '[') {
		struct in6_addr any;

		text++;
		stop = memchr(text, ']', (size_t)(end - text));
		if (!stop || (size_t)(stop - text) >= sizeof(target->host))
			return "a URL whose IPv6 address stands in brackets, as [::1]";
		after = stop + 1;
		snprintf(target->host, sizeof(target->host), "%.*s", (int)(stop - text), text);
		if (inet_pton(AF_INET6, target->host, &any) != 1)
			return "a URL whose brackets hold an IPv6 address (without a zone), as [::1]";
		return parse_port(after, end, target);
	}
	stop = memchr(text, ':', (size_t)(end - text));
	stop = stop ? stop : end;
	if (strcspn(text, "[]") < (size_t)(end - text) ||
	    (stop < end && memchr(stop + 1, ':', (size_t)(end - stop) - 1)))
		return "a URL whose IPv6 address stands in brackets, as [::1]";
	if (stop == text || (size_t)(stop - text) >= sizeof(target->host))
		return "a URL with a host of 1 to 255 characters";
	snprintf(target->host, sizeof(target->host), "%.*s", (int)(stop - text), text);
	if (strcmp(target->host, "unix") == 0) /* with a port it would be a socket */
		return "a URL with a UNIX socket as unix:SOCKET, or with another host name";
	return parse_port(stop, end, target);
}

/* SOCKET after "unix:", up to ":" or the end; *end is where the path begins. */
static const char *parse_local(const char *text, const char **end, struct target *target)
{
	size_t length = strcspn(text, ":");

	if (length == 0 || length >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return "a URL whose UNIX socket has a path of 1 to 107 characters";
	if (text[length] == ':' && text[length + 1] != '/')
		return "a URL whose UNIX socket is followed by nothing or by :/PATH";
	snprintf(target->host, sizeof(target->host), "%.*s", (int)length, text);
	target->local = true;
	*end = text + length + (text[length] == ':');
	return NULL;
}

/* A path for http; a key, or none, for memcached and redis. */
static const char *parse_path(const char *text, struct target *target)
{
	bool key = target->protocol == PROTOCOL_MEMCACHED || target->protocol == PROTOCOL_REDIS;
	const char *rest = text + (*text == '/'); /* "http://host?query" has no slash */

	if (!key && target->protocol != PROTOCOL_HTTP && *text && strcmp(text, "/") != 0)
		return "a URL without a path; only http, memcached and redis have one";
	if (key && strlen(rest) > 250)
		return "a URL with a key of at most 250 characters";
	if (strlen(rest) + 2 > sizeof(target->path))
		return "a URL with a path of at most 2047 characters";
	snprintf(target->path, sizeof(target->path), "/%s", rest);
	if (target->protocol == PROTOCOL_MEMCACHED && !*rest)
		return "a URL with the key that is asked for, as memcached://HOST:PORT/KEY";
	return NULL;
}

const char *target_parse(const char *url, struct target *target)
{
	const char *colons = strstr(url, "://"), *host, *end, *wrong;

	memset(target, 0, sizeof(*target));
	if (!colons || !find_protocol(url, (size_t)(colons - url), &target->protocol))
		return "echo://HOST:PORT, rot13://HOST:PORT, http://HOST[:PORT][/PATH], "
		       "memcached://HOST[:PORT]/KEY or redis://HOST[:PORT][/KEY]";
	host = colons + 3;
	end = host + strcspn(host, "/?#");
	if (strncmp(host, "unix:", 5) == 0) {
		wrong = parse_local(host + 5, &end, target);
	} else {
		if (memchr(host, '@', (size_t)(end - host)))
			return "a URL without user and password; give them with -H, if the server "
			       "asks for them";
		wrong = parse_host(host, end, target);
	}
	if (wrong)
		return wrong;
	for (const char *c = host; *c; c++) {
		if ((unsigned char)*c <= ' ' || *c == 0x7f || *c == '#')
			return "a URL without blanks, control characters and fragment";
	}
	return parse_path(end, target);
}

const char *target_resolve(const struct target *target, struct endpoint *address)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found, *best;
	int error;

	memset(address, 0, sizeof(*address));
	if (target->local) {
		address->length = sizeof(address->local);
		address->local.sun_family = AF_UNIX;
		memcpy(address->local.sun_path, target->host, strlen(target->host) + 1);
		return NULL;
	}
	error = getaddrinfo(target->host, NULL, &hints, &found);
	if (error)
		return gai_strerror(error);
	/* "localhost" has both, and most servers listen on 127.0.0.1. */
	for (best = found; best && best->ai_family != AF_INET; best = best->ai_next)
		;
	best = best ? best : found;
	address->length = best->ai_addrlen;
	memcpy(&address->any, best->ai_addr, best->ai_addrlen);
	freeaddrinfo(found);
	if (address->any.sa_family == AF_INET)
		address->v4.sin_port = htons(target->port);
	else
		address->v6.sin6_port = htons(target->port);
	return NULL;
}

/* The IPv4 address in an IPv4-mapped one, network byte order. */
static uint32_t mapped(const struct sockaddr_in6 *v6)
{
	uint32_t inner;

	memcpy(&inner, v6->sin6_addr.s6_addr + 12, sizeof(inner));
	return inner;
}

/* The loopback, or "any", which connect(2) takes for the loopback. */
static bool is_loopback(const struct endpoint *address)
{
	const struct in6_addr *v6 = &address->v6.sin6_addr;
	uint32_t v4;

	if (address->any.sa_family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(v6))
		return IN6_IS_ADDR_LOOPBACK(v6) || IN6_IS_ADDR_UNSPECIFIED(v6);
	v4 = address->any.sa_family == AF_INET ? address->v4.sin_addr.s_addr : mapped(&address->v6);
	return v4 == 0 || ntohl(v4) >> 24 == 127;
}

static bool same_host(const struct endpoint *a, const struct sockaddr *b)
{
	if (a->any.sa_family == AF_INET && b->sa_family == AF_INET)
		return a->v4.sin_addr.s_addr ==
		       ((const struct sockaddr_in *)(const void *)b)->sin_addr.s_addr;
	if (a->any.sa_family == AF_INET6 && b->sa_family == AF_INET6)
		return IN6_ARE_ADDR_EQUAL(
			&a->v6.sin6_addr,
			&((const struct sockaddr_in6 *)(const void *)b)->sin6_addr);
	return a->any.sa_family == AF_INET6 && b->sa_family == AF_INET &&
	       IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr) &&
	       mapped(&a->v6) == ((const struct sockaddr_in *)(const void *)b)->sin_addr.s_addr;
}

bool endpoint_is_here(const struct endpoint *address)
{
	struct ifaddrs *all, *one;
	bool here = false;

	if (address->any.sa_family == AF_UNIX || is_loopback(address))
		return true;
	if (getifaddrs(&all) < 0)
		return false;
	for (one = all; one && !here; one = one->ifa_next)
		here = one->ifa_addr && same_host(address, one->ifa_addr);
	freeifaddrs(all);
	return here;
}

/* One "A" or "A-B" of a list, `length` long, through `parse`; false unless A <= B. */
static bool parse_range(const char *text, size_t length, bool (*parse)(const char *, int64_t *),
			int64_t *first, int64_t *last)
{
	char buf[64], *dash;

	if (length >= sizeof(buf))
		return false;
	memcpy(buf, text, length);
	buf[length] = '\0';
	dash = strchr(buf, '-');
	if (dash)
		*dash = '\0';
	if (!parse(buf, first))
		return false;
	*last = *first;
	return !dash || (parse(dash + 1, last) && *first <= *last);
}

static bool parse_address(const char *text, int64_t *out)
{
	struct in_addr address;

	if (inet_pton(AF_INET, text, &address) != 1)
		return false;
	*out = ntohl(address.s_addr);
	return true;
}

static bool parse_cpu(const char *text, int64_t *out)
{
	return parse_int(text, 0, 4095, out);
}

size_t sources_parse(const char *text, uint32_t *addresses, size_t max)
{
	int64_t first, last;
	size_t n = 0;

	for (;; text++) {
		size_t length = strcspn(text, ",");

		if (!parse_range(text, length, parse_address, &first, &last) ||
		    (uint64_t)(last - first) >= max - n)
			return 0;
		while (first <= last)
			addresses[n++] = htonl((uint32_t)first++);
		text += length;
		if (!*text)
			return n;
	}
}

size_t cpus_parse(const char *text, int *cpus, size_t max)
{
	int64_t first, last;
	size_t n = 0;

	for (;; text++) {
		size_t length = strcspn(text, ",");

		if (!parse_range(text, length, parse_cpu, &first, &last) ||
		    (uint64_t)(last - first) >= max - n)
			return 0;
		while (first <= last)
			cpus[n++] = (int)first++;
		text += length;
		if (!*text)
			return n;
	}
}
