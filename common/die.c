// SPDX-License-Identifier: MIT
#include "common/die.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void say(const char *format, va_list args)
{
	fprintf(stderr, "%s: ", program_invocation_short_name);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
}

void die(int status, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
	exit(status);
}

void die_error(int error, const char *call, const char *remedy)
{
	if (remedy)
		die(EXIT_FAILURE, "%s: %s; %s", call, strerror(error), remedy);
	die(EXIT_FAILURE, "%s: %s", call, strerror(error));
}

void die_errno(const char *call, const char *remedy)
{
	die_error(errno, call, remedy);
}

void warn(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
}
