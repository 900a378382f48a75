// SPDX-License-Identifier: MIT
#include "common/die.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Append `in` to `out`; control characters become "\\n", "\\x1b": the message stays one line. */
static char *spell(char *out, const char *in)
{
	for (; *in; in++) {
		unsigned char c = (unsigned char)*in;

		if (c == '\n')
			out += sprintf(out, "\\n");
		else if (c < ' ' || c == 0x7f)
			out += sprintf(out, "\\x%02x", c);
		else
			*out++ = (char)c;
	}
	*out = '\0';
	return out;
}

static void say(const char *format, va_list args)
{
	const char *name = program_invocation_short_name;
	char *message = NULL, *line = NULL, *end;

	/* A value that the user gave may hold anything; the message is one line all the same. */
	if (vasprintf(&message, format, args) >= 0)
		line = malloc(4 * (strlen(name) + strlen(message)) + 4);
	else
		message = NULL;
	if (line) {
		end = spell(line, name);
		*end++ = ':';
		*end++ = ' ';
		end = spell(end, message);
		*end++ = '\n';
		*end = '\0';
		fputs(line, stderr);
	} else {
		fprintf(stderr, "%s: out of memory for a message: %s\n", name, format);
	}
	free(line);
	free(message);
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
