// SPDX-License-Identifier: MIT
#include "loadgen/record.h"

#include <errno.h>

const char *population_name(enum population population)
{
	static const char *const names[] = {
		[POPULATION_ACTIVE] = "active",
		[POPULATION_IDLE] = "idle",
		[POPULATION_SILENT] = "silent",
		[POPULATION_SLOW_READERS] = "slow_readers",
		[POPULATION_SLOW_WRITERS] = "slow_writers",
		[POPULATION_SHORT_LIVED] = "short_lived",
	};

	return names[population];
}

const char *failure_name(enum failure failure)
{
	static const char *const names[] = {
		[FAILURE_REFUSED] = "refused",
		[FAILURE_CONNECT_TIMEOUT] = "connect-timeout",
		[FAILURE_CONNECT] = "connect",
		[FAILURE_NO_PORT] = "no-port",
		[FAILURE_NO_DESCRIPTOR] = "no-descriptor",
		[FAILURE_NO_MEMORY] = "no-memory",
		[FAILURE_RESET] = "reset",
		[FAILURE_WRITE] = "write",
		[FAILURE_CLOSED] = "closed",
		[FAILURE_TIMEOUT] = "timeout",
		[FAILURE_STATUS] = "status",
		[FAILURE_GARBAGE] = "garbage",
		[FAILURE_MISMATCH] = "mismatch",
		[FAILURE_TOO_MUCH] = "too-much",
		[FAILURE_IO] = "io",
	};

	return names[failure];
}

enum failure failure_of_connect(int error)
{
	switch (error) {
	case ECONNREFUSED:
		return FAILURE_REFUSED;
	case ETIMEDOUT:
		return FAILURE_CONNECT_TIMEOUT;
	case EADDRNOTAVAIL:
	case EADDRINUSE:
		return FAILURE_NO_PORT;
	case EMFILE:
	case ENFILE:
		return FAILURE_NO_DESCRIPTOR;
	case ENOBUFS:
	case ENOMEM:
		return FAILURE_NO_MEMORY;
	case ECONNRESET:
	case EPIPE:
		return FAILURE_RESET;
	default:
		return FAILURE_CONNECT;
	}
}

enum failure failure_of_recv(int error)
{
	switch (error) {
	case ECONNRESET:
		return FAILURE_RESET;
	case ETIMEDOUT:
		return FAILURE_TIMEOUT;
	default:
		return FAILURE_IO;
	}
}
