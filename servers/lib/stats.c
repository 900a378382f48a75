// SPDX-License-Identifier: MIT
#include "servers/lib/stats.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/die.h"

/* One cache line each, so that no two writers share one. */
struct slot {
	struct stats stats;
	pid_t owner; /* the thread that writes it; 0: free */
} __attribute__((aligned(64)));

static struct slot *slots;
static uint32_t n_slots;
static uint32_t
	*hint; /* where to look for a free slot next; behind the slots, shared as they are */
static pthread_key_t leave_at_exit;
static __thread struct slot *mine;

static void leave(void *unused)
{
	(void)unused;
	stats_leave();
}

/* The child is a new writer; the set it inherited is still its parent's. */
static void after_fork(void)
{
	mine = NULL;
}

void stats_init(int writers)
{
	int error;

	n_slots = (uint32_t)writers + 64;
	/* Shared with children, and touched only as far as it is used. */
	slots = mmap(NULL, (n_slots + 1) * sizeof(*slots), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (slots == MAP_FAILED)
		die_errno("mmap", "lower -c");
	hint = (uint32_t *)&slots[n_slots];
	error = pthread_key_create(&leave_at_exit, leave);
	if (error)
		die_error(error, "pthread_key_create", NULL);
	error = pthread_atfork(NULL, NULL, after_fork);
	if (error)
		die_error(error, "pthread_atfork", NULL);
}

/*
 * A slot is for one writer at a time; its counters go on from where the last one stopped. A child
 * that was killed never gave its slot back: when none is free, take that of a dead one.
 */
static bool claim(struct slot *slot, bool of_the_dead)
{
	pid_t owner = __atomic_load_n(&slot->owner, __ATOMIC_RELAXED);

	if (owner && !(of_the_dead && kill(owner, 0) && errno == ESRCH))
		return false;
	return __atomic_compare_exchange_n(&slot->owner, &owner, gettid(), false, __ATOMIC_ACQUIRE,
					   __ATOMIC_RELAXED);
}

struct stats *stats_mine(void)
{
	uint32_t start;

	if (mine)
		return &mine->stats;
	start = __atomic_load_n(hint, __ATOMIC_RELAXED);
	for (uint32_t i = 0; !mine; i++) {
		struct slot *slot = &slots[(start + i) % n_slots];

		if (claim(slot, i >= n_slots))
			mine = slot;
	}
	__atomic_store_n(hint, (uint32_t)(mine - slots) + 1, __ATOMIC_RELAXED);
	pthread_setspecific(leave_at_exit, mine);
	return &mine->stats;
}

void stats_leave(void)
{
	struct slot *slot = mine;

	if (!slot)
		return;
	mine = NULL;
	__atomic_store_n(hint, (uint32_t)(slot - slots), __ATOMIC_RELAXED);
	__atomic_store_n(&slot->owner, 0, __ATOMIC_RELEASE);
}

void stats_waited(int events)
{
	struct stats *stats = stats_mine();

	stats_add(&stats->waits, 1);
	if (events > 0)
		stats_add(&stats->events, (uint64_t)events);
}

struct stats stats_sum(void)
{
	struct stats sum = {0};

	for (uint32_t i = 0; i < n_slots; i++) {
		const uint64_t *from = (const uint64_t *)&slots[i].stats;
		uint64_t *to = (uint64_t *)&sum;

		for (size_t k = 0; k < sizeof(sum) / sizeof(*to); k++)
			to[k] += __atomic_load_n(&from[k], __ATOMIC_RELAXED);
	}
	return sum;
}

/* Into a list of n, the largest first; what does not fit falls off its end. */
static void insert(uint64_t *list, int n, uint64_t value)
{
	for (int i = 0; i < n && value; i++) {
		if (list[i] < value) {
			uint64_t smaller = list[i];

			list[i] = value;
			value = smaller;
		}
	}
}

void stats_by_worker(int n, uint64_t *requests, uint64_t *connections)
{
	for (int i = 0; i < n; i++)
		requests[i] = connections[i] = 0;
	for (uint32_t i = 0; i < n_slots; i++) {
		const struct stats *one = &slots[i].stats;

		insert(requests, n, __atomic_load_n(&one->requests, __ATOMIC_RELAXED));
		insert(connections, n, __atomic_load_n(&one->connections, __ATOMIC_RELAXED));
	}
}
