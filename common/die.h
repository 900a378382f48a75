/* SPDX-License-Identifier: MIT
 * Ending the program for a reason the user can act on.
 */
#ifndef TENK_DIE_H
#define TENK_DIE_H

#ifdef __cplusplus
extern "C" {
#endif

/* Exit statuses every tenk program shares. */
enum {
	EXIT_BAD_USAGE = 2,    /* an option or its value is wrong; nothing was done */
	EXIT_UNSUPPORTED = 77, /* this machine cannot do it; the reason is on stderr */
};

/*
 * Print "PROGRAM: message" on stderr and exit with `status`. It is always one line: control
 * characters in it, from a value of the user's, are spelt "\n", "\x1b".
 */
void die(int status, const char *format, ...) __attribute__((noreturn, format(printf, 2, 3)));

/*
 * A set-up call failed: print "PROGRAM: CALL: strerror(errno); REMEDY" and exit 1. `remedy` says
 * what the user can do, or is NULL where there is nothing sensible to say.
 */
void die_errno(const char *call, const char *remedy) __attribute__((noreturn));

/* The same for calls that return an error number instead of setting errno (pthread_*, io_uring). */
void die_error(int error, const char *call, const char *remedy) __attribute__((noreturn));

/* Print "PROGRAM: message" on stderr and go on. */
void warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

#ifdef __cplusplus
}
#endif

#endif
