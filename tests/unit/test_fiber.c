// SPDX-License-Identifier: MIT
// Fibers: what is left in the middle is found again as it was.
#include "servers/lib/fiber.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

enum {
	STACK = 65536,
	MANY = 200, /* more than are kept for reuse */
};

static void count_to_three(void *arg)
{
	int *at = arg;

	for (int i = 1; i <= 3; i++) {
		*at = i;
		fiber_pause();
	}
	*at = 4;
}

static void a_fiber_goes_on_where_it_paused_and_says_when_it_has_returned(void **state)
{
	int at = 0;
	struct fiber *f = fiber_new(STACK, count_to_three, &at);

	(void)state;
	assert_int_equal(at, 0);
	for (int i = 1; i <= 3; i++) {
		assert_true(fiber_run(f));
		assert_int_equal(at, i);
	}
	assert_false(fiber_run(f));
	assert_int_equal(at, 4);
}

/* Values enough that some are in each register a call must keep, on both sides of the pause. */
static uint64_t mix(uint64_t x, void (*between)(void))
{
	uint64_t a = x + 1, b = x * 3, c = x ^ 5, d = x + 7, e = x * 11, f = x ^ 13, g = x + 17;
	double p = (double)x * 0.5, q = (double)x * 0.25, r = (double)x + 0.125;

	for (int i = 0; i < 5; i++) {
		between();
		a += b ^ c;
		b += d * 3;
		c ^= e + f;
		d += g;
		e *= 5;
		f += a;
		g ^= b;
		p += q;
		q += r;
		r *= 1.5;
	}
	return a ^ b ^ c ^ d ^ e ^ f ^ g ^ (uint64_t)p ^ (uint64_t)q ^ (uint64_t)r;
}

static void do_nothing(void)
{
}

static void mix_in_pieces(void *arg)
{
	uint64_t *x = arg;

	*x = mix(*x, fiber_pause);
}

static void registers_and_locals_survive_while_many_others_run(void **state)
{
	static struct fiber *fibers[MANY];
	static uint64_t x[MANY];
	int left = MANY;

	(void)state;
	for (int round = 0; round < 2; round++) { /* the second one on used stacks */
		for (int i = 0; i < MANY; i++) {
			x[i] = (uint64_t)i * 7919;
			fibers[i] = fiber_new(STACK, mix_in_pieces, &x[i]);
			assert_non_null(fibers[i]);
		}
		for (left = MANY; left > 0;) {
			for (int i = 0; i < MANY; i++) {
				if (fibers[i] && !fiber_run(fibers[i])) {
					fibers[i] = NULL;
					left--;
				}
			}
		}
		for (int i = 0; i < MANY; i++)
			assert_int_equal(x[i], mix((uint64_t)i * 7919, do_nothing));
	}
}

static void look_at_alignment(void *arg)
{
	_Alignas(16) char local[32];
	int *misaligned = arg;

	memset(local, 1, sizeof(local));
	/* Opaque to the compiler, which otherwise goes by what the ABI promises. */
	uintptr_t at = (uintptr_t)local, frame = (uintptr_t)__builtin_frame_address(0);

	__asm__ volatile("" : "+r"(at), "+r"(frame));
	*misaligned = (int)(at % 16) + (int)(frame % 16);
}

static void a_stack_begins_aligned_as_after_a_call(void **state)
{
	int misaligned = -1;

	(void)state;
	assert_false(fiber_run(fiber_new(STACK, look_at_alignment, &misaligned)));
	assert_int_equal(misaligned, 0);
}

static void use_stack(void *arg)
{
	volatile size_t bytes = *(size_t *)arg;
	volatile char *room = __builtin_alloca(bytes);

	for (size_t i = bytes; i > 0; i -= 1024) /* downwards, and over no page */
		room[i - 1] = 1;
}

static void a_stack_has_the_size_that_was_asked_for(void **state)
{
	size_t bytes = 512 * 1024;

	(void)state;
	assert_false(fiber_run(fiber_new(bytes + 32768, use_stack, &bytes)));
}

static void a_stack_that_is_too_small_ends_the_program_before_it_overwrites_anything(void **state)
{
	size_t bytes = 64 * 1024;
	pid_t child = fork();
	int status;

	(void)state;
	assert_true(child >= 0);
	if (child == 0) {
		signal(SIGSEGV, SIG_DFL); /* cmocka's, or a sanitizer's, which would report it */
		fiber_run(fiber_new(16384, use_stack, &bytes));
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSEGV);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fiber_goes_on_where_it_paused_and_says_when_it_has_returned),
		cmocka_unit_test(registers_and_locals_survive_while_many_others_run),
		cmocka_unit_test(a_stack_begins_aligned_as_after_a_call),
		cmocka_unit_test(a_stack_has_the_size_that_was_asked_for),
		cmocka_unit_test(
			a_stack_that_is_too_small_ends_the_program_before_it_overwrites_anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
