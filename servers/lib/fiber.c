// SPDX-License-Identifier: MIT
#include "servers/lib/fiber.h"

#include <assert.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#if !defined(__x86_64__) && !defined(__aarch64__) && !defined(FIBER_UCONTEXT)
#define FIBER_UCONTEXT
#endif
#ifdef FIBER_UCONTEXT
#include <ucontext.h>
#endif

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define VALGRIND_STACK_REGISTER(from, to) 0
#define VALGRIND_STACK_DEREGISTER(id)     ((void)(id))
#endif

#ifdef __has_feature /* clang's way to tell of sanitizers; gcc's are the macros */
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

#define STACKS_MAX 64 /* that a thread keeps for reuse, as it does with buffers */

/* It lies at the upper end of its own stack, which grows down from it. */
struct fiber {
	void (*body)(void *arg);
	void *arg;
	bool has_returned;
	char *map; /* the page that may not be touched, then the stack */
	size_t map_bytes;
	struct fiber *next; /* in the list of those to be used again */
#ifdef FIBER_UCONTEXT
	ucontext_t here, runner;
#else
	void *here, *runner; /* the stack pointers of the two sides, each while it is left */
#endif
	unsigned valgrind_id;
#ifdef __SANITIZE_ADDRESS__
	void *fake_here, *fake_runner;
	const void *runner_stack;
	size_t runner_bytes;
#endif
#ifdef __SANITIZE_THREAD__
	void *tsan_here, *tsan_runner;
#endif
};

static __thread struct fiber *running;
static __thread struct fiber *unused;
static __thread unsigned n_unused;

/* --- what the sanitizers have to be told: which stack is next, and which it is -------------- */

#ifdef __SANITIZE_ADDRESS__
static size_t page_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}
#endif

static void before_entering(struct fiber *f)
{
	(void)f;
#ifdef __SANITIZE_ADDRESS__
	__sanitizer_start_switch_fiber(&f->fake_runner, f->map + page_bytes(),
				       f->map_bytes - page_bytes());
#endif
#ifdef __SANITIZE_THREAD__
	f->tsan_runner = __tsan_get_current_fiber();
	__tsan_switch_to_fiber(f->tsan_here, 0);
#endif
}

static void after_entering(struct fiber *f)
{
	(void)f;
#ifdef __SANITIZE_ADDRESS__
	__sanitizer_finish_switch_fiber(f->fake_here, &f->runner_stack, &f->runner_bytes);
#endif
}

static void before_leaving(struct fiber *f)
{
	(void)f;
#ifdef __SANITIZE_ADDRESS__
	__sanitizer_start_switch_fiber(f->has_returned ? NULL : &f->fake_here, f->runner_stack,
				       f->runner_bytes);
#endif
#ifdef __SANITIZE_THREAD__
	__tsan_switch_to_fiber(f->tsan_runner, 0);
#endif
}

static void after_leaving(struct fiber *f)
{
	(void)f;
#ifdef __SANITIZE_ADDRESS__
	__sanitizer_finish_switch_fiber(f->fake_runner, NULL, NULL);
#endif
}

static void before_first(struct fiber *f)
{
	(void)f;
#ifdef __SANITIZE_ADDRESS__
	f->fake_here = NULL;
#endif
#ifdef __SANITIZE_THREAD__
	f->tsan_here = __tsan_create_fiber(0);
#endif
}

static void after_last(struct fiber *f)
{
	(void)f;
#ifdef __SANITIZE_ADDRESS__
	__asan_unpoison_memory_region(f->map + page_bytes(), f->map_bytes - page_bytes());
#endif
#ifdef __SANITIZE_THREAD__
	__tsan_destroy_fiber(f->tsan_here);
#endif
}

/* --- the switch ----------------------------------------------------------------------------- */

#ifdef FIBER_UCONTEXT

static void enter(struct fiber *f)
{
	swapcontext(&f->runner, &f->here);
}

static void leave(struct fiber *f)
{
	swapcontext(&f->here, &f->runner);
}

#else

/*
 * Store the registers that a function must leave as they were, on the stack, and the stack pointer
 * at *left; take the stack pointer `next` and the registers that lie there. It returns where that
 * side called it. (The calling convention lets a call change all other registers, so the compiler
 * has stored them already. The control words of the floating point unit are nobody's here.)
 */
void fiber_switch(void **left, void *next) __attribute__((visibility("hidden")));

#ifdef __x86_64__

/*
 * System V ABI: rbx, rbp, r12 to r15. It ends in a jump: a processor predicts returns by the calls
 * it has seen, and those were on another stack. `ret` here took half as long again.
 */
__asm__(".text\n"
	".globl fiber_switch\n"
	".hidden fiber_switch\n"
	".type fiber_switch, @function\n"
	"fiber_switch:\n"
	"	pushq %rbp\n"
	"	pushq %rbx\n"
	"	pushq %r12\n"
	"	pushq %r13\n"
	"	pushq %r14\n"
	"	pushq %r15\n"
	"	movq %rsp, (%rdi)\n"
	"	movq %rsi, %rsp\n"
	"	popq %r15\n"
	"	popq %r14\n"
	"	popq %r13\n"
	"	popq %r12\n"
	"	popq %rbx\n"
	"	popq %rbp\n"
	"	popq %rcx\n"
	"	jmpq *%rcx\n"
	".size fiber_switch, . - fiber_switch\n");

/* As fiber_switch() leaves a stack, to return to `start`; which finds it as after a call. */
static void *first_stack(void *top, void (*start)(void))
{
	uintptr_t *sp = top;

	*--sp = 0; /* where `start` would return to: here a backtrace ends */
	*--sp = (uintptr_t)start;
	for (int i = 0; i < 6; i++)
		*--sp = 0;
	return sp;
}

#else

/* AAPCS64: x19 to x29, the lower halves of v8 to v15; x30 is where it returns to. */
__asm__(".text\n"
	".globl fiber_switch\n"
	".hidden fiber_switch\n"
	".type fiber_switch, %function\n"
	"fiber_switch:\n"
	"	stp x29, x30, [sp, #-160]!\n"
	"	stp x19, x20, [sp, #16]\n"
	"	stp x21, x22, [sp, #32]\n"
	"	stp x23, x24, [sp, #48]\n"
	"	stp x25, x26, [sp, #64]\n"
	"	stp x27, x28, [sp, #80]\n"
	"	stp d8, d9, [sp, #96]\n"
	"	stp d10, d11, [sp, #112]\n"
	"	stp d12, d13, [sp, #128]\n"
	"	stp d14, d15, [sp, #144]\n"
	"	mov x9, sp\n"
	"	str x9, [x0]\n"
	"	mov sp, x1\n"
	"	ldp d14, d15, [sp, #144]\n"
	"	ldp d12, d13, [sp, #128]\n"
	"	ldp d10, d11, [sp, #112]\n"
	"	ldp d8, d9, [sp, #96]\n"
	"	ldp x27, x28, [sp, #80]\n"
	"	ldp x25, x26, [sp, #64]\n"
	"	ldp x23, x24, [sp, #48]\n"
	"	ldp x21, x22, [sp, #32]\n"
	"	ldp x19, x20, [sp, #16]\n"
	"	ldp x29, x30, [sp], #160\n"
	"	ret\n"
	".size fiber_switch, . - fiber_switch\n");

static void *first_stack(void *top, void (*start)(void))
{
	uintptr_t *sp = (uintptr_t *)top - 20;

	for (int i = 0; i < 20; i++)
		sp[i] = 0;
	sp[1] = (uintptr_t)start;
	return sp;
}

#endif

static void enter(struct fiber *f)
{
	fiber_switch(&f->runner, f->here);
}

static void leave(struct fiber *f)
{
	fiber_switch(&f->here, f->runner);
}

#endif

/* --- fibers --------------------------------------------------------------------------------- */

/* The first function on every stack. */
static void start(void)
{
	struct fiber *f = running;

	after_entering(f);
	f->body(f->arg);
	f->has_returned = true;
	before_leaving(f);
	leave(f);
	assert(false); /* nobody enters it again */
}

static struct fiber *map_stack(size_t bytes, size_t page)
{
	char *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
	struct fiber *f;

	if (map == MAP_FAILED)
		return NULL;
	if (mprotect(map, page, PROT_NONE)) {
		munmap(map, bytes);
		return NULL;
	}
	f = (struct fiber *)(map + bytes) - 1;
	*f = (struct fiber){.map = map, .map_bytes = bytes};
	f->valgrind_id = VALGRIND_STACK_REGISTER(map + page, map + bytes);
	return f;
}

/* The next enter() calls start(), at the upper end of the stack. */
static void make_ready(struct fiber *f)
{
#ifdef FIBER_UCONTEXT
	getcontext(&f->here);
	f->here.uc_stack.ss_sp = f->map;
	f->here.uc_stack.ss_size = (size_t)((char *)f - f->map);
	f->here.uc_link = NULL;
	makecontext(&f->here, start, 0);
#else
	f->here = first_stack((void *)((uintptr_t)f & ~(uintptr_t)15), start);
#endif
}

struct fiber *fiber_new(size_t stack_bytes, void (*body)(void *arg), void *arg)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t bytes = page + (stack_bytes + page - 1) / page * page;
	struct fiber *f = unused;

	if (f && f->map_bytes == bytes) {
		unused = f->next;
		n_unused--;
	} else {
		f = map_stack(bytes, page);
	}
	if (!f)
		return NULL;
	f->body = body;
	f->arg = arg;
	f->has_returned = false;
	before_first(f);
	make_ready(f);
	return f;
}

static void reuse_or_free(struct fiber *f)
{
	after_last(f);
	if (n_unused < STACKS_MAX) {
		f->next = unused;
		unused = f;
		n_unused++;
	} else {
		VALGRIND_STACK_DEREGISTER(f->valgrind_id);
		munmap(f->map, f->map_bytes);
	}
}

bool fiber_run(struct fiber *f)
{
	assert(!running);
	running = f;
	before_entering(f);
	enter(f);
	after_leaving(f);
	running = NULL;
	if (!f->has_returned)
		return true;
	reuse_or_free(f);
	return false;
}

void fiber_pause(void)
{
	struct fiber *f = running;

	assert(f);
	before_leaving(f);
	leave(f);
	after_entering(f);
}
