// SPDX-License-Identifier: MIT
/*
 * LD_PRELOAD shim: one call of set-up fails.
 *
 *   TENK_FAILS=calloc              those for 777 or 778 things; others are left alone
 *   TENK_FAILS=pthread_key_create  all of them; errno says something else, as it may
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void *__libc_calloc(size_t n, size_t size);

static bool is_told_to_fail(const char *call)
{
	const char *told = getenv("TENK_FAILS");

	return told && strcmp(told, call) == 0;
}

void *calloc(size_t n, size_t size)
{
	if ((n == 777 || n == 778) && is_told_to_fail("calloc")) {
		errno = ENOMEM;
		return NULL;
	}
	return __libc_calloc(n, size);
}

int pthread_key_create(pthread_key_t *key, void (*destroy)(void *))
{
	int (*real)(pthread_key_t *, void (*)(void *)) = dlsym(RTLD_NEXT, "pthread_key_create");

	if (is_told_to_fail("pthread_key_create")) {
		errno = ENOTTY;
		return EAGAIN;
	}
	return real(key, destroy);
}
