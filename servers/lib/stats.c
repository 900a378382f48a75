// SPDX-License-Identifier: MIT
#include "servers/lib/stats.h"

#include <pthread.h>
#include <stddef.h>
#include <sys/mman.h>

#include "common/die.h"

/* One cache line each, so that no two writers share one. */
struct slot {
	struct stats stats;
	uint32_t taken;
} __attribute__((aligned(64)));

static struct slot *slots;
static uint32_t n_slots;
static uint32_t hint; /* where to look for a free slot next; only a hint */
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
	n_slots = (uint32_t)writers + 64;
	/* Shared with children, and touched only as far as it is used. */
	slots = mmap(NULL, n_slots * sizeof(*slots), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (slots == MAP_FAILED)
		die_errno("mmap", "lower -c");
	if (pthread_key_create(&leave_at_exit, leave) || pthread_atfork(NULL, NULL, after_fork))
		die_errno("pthread_key_create", NULL);
}

struct stats *stats_mine(void)
{
	uint32_t i;

	if (mine)
		return &mine->stats;
	/* A slot is for one writer at a time; its counters go on from where the last one stopped.
	 */
	for (i = __atomic_load_n(&hint, __ATOMIC_RELAXED);; i++) {
		uint32_t free_slot = 0;
		struct slot *slot = &slots[i % n_slots];

		if (__atomic_compare_exchange_n(&slot->taken, &free_slot, 1, 0, __ATOMIC_ACQUIRE,
						__ATOMIC_RELAXED)) {
			mine = slot;
			break;
		}
	}
	__atomic_store_n(&hint, i + 1, __ATOMIC_RELAXED);
	pthread_setspecific(leave_at_exit, mine);
	return &mine->stats;
}

void stats_leave(void)
{
	struct slot *slot = mine;

	if (!slot)
		return;
	mine = NULL;
	__atomic_store_n(&hint, (uint32_t)(slot - slots), __ATOMIC_RELAXED);
	__atomic_store_n(&slot->taken, 0, __ATOMIC_RELEASE);
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
