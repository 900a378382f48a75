// SPDX-License-Identifier: MIT
/* graded: hung; cause: no_answer; points: 0 of 20
 *
 * A mutex that this thread has already.
 */
#define ON_DATA(fd, data, n)               \
	do {                               \
		pthread_mutex_lock(&lock); \
		pthread_mutex_lock(&lock); \
	} while (0)
#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
#include "plain.h"
