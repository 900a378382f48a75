// SPDX-License-Identifier: MIT
#include "loadgen/target.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/parse.h"

static const char *const names[] = {
	[PROTOCOL_ECHO] = "echo",
	[PROTOCOL_HTTP] = "http",
	[PROTOCOL_ROT13] = "rot13",
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

const char *target_parse(const char *url, struct target *target)
{
	const char *colons = strstr(url, "://"), *host, *end, *port;
	char digits[8];
	int64_t number = 80;

	if (!colons || !find_protocol(url, (size_t)(colons - url), &target->protocol))
		return "echo://HOST:PORT, rot13://HOST:PORT or http://HOST[:PORT][/PATH]";
	host = colons + 3;
	end = host + strcspn(host, "/?#");
	if (memchr(host, '@', (size_t)(end - host)))
		return "a URL without user and password; no server here asks for them";
	port = memchr(host, ':', (size_t)(end - host));
	if (strcspn(host, "[]") < (size_t)(end - host) ||
	    (port && memchr(port + 1, ':', (size_t)(end - port) - 1)))
		return "a URL with a host name or an IPv4 address; IPv6 is not supported";
	if (port) {
		size_t length = (size_t)(end - port) - 1;

		if (length >= sizeof(digits))
			return "a URL whose port is from 1 to 65535";
		memcpy(digits, port + 1, length);
		digits[length] = '\0';
		if (digits[strspn(digits, "0123456789")] || !parse_int(digits, 1, 65535, &number))
			return "a URL whose port is from 1 to 65535";
	} else if (target->protocol != PROTOCOL_HTTP) {
		return "a URL with a port; only http has a default one";
	}
	target->port = (uint16_t)number;
	if (!port)
		port = end;
	if (port == host || (size_t)(port - host) >= sizeof(target->host))
		return "a URL with a host of 1 to 255 characters";
	snprintf(target->host, sizeof(target->host), "%.*s", (int)(port - host), host);
	for (const char *c = host; *c; c++) {
		if ((unsigned char)*c <= ' ' || *c == 0x7f || *c == '#')
			return "a URL without blanks, control characters and fragment";
	}
	if (target->protocol != PROTOCOL_HTTP && strcmp(end, "/") != 0 && *end)
		return "a URL without a path; only http has one";
	if (strlen(end) + 2 > sizeof(target->path))
		return "a URL with a path of at most 2046 characters";
	snprintf(target->path, sizeof(target->path), "%s%s", *end == '/' ? "" : "/", end);
	return NULL;
}

const char *target_resolve(const struct target *target, struct sockaddr_in *address)
{
	struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found;
	int error = getaddrinfo(target->host, NULL, &hints, &found);

	if (error)
		return gai_strerror(error);
	memcpy(address, found->ai_addr, sizeof(*address));
	address->sin_port = htons(target->port);
	freeaddrinfo(found);
	return NULL;
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
