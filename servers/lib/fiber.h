/* SPDX-License-Identifier: MIT
 * A fiber: a function with a stack of its own, which can be left in the middle and gone on with.
 *
 * It costs no thread and no system call: whoever runs it stores a few registers, takes another
 * stack pointer, and is in it. Nothing interrupts it. It goes on until it pauses or returns, and it
 * belongs to the thread that made it.
 *
 * On x86-64 and aarch64 the switch is a few lines of assembly. Elsewhere, and with
 * -DFIBER_UCONTEXT, it is swapcontext(3), which is portable and slower: it makes two system calls
 * each time there and back, to keep the signal mask. `make bench-fiber` measures both.
 */
#ifndef TENK_FIBER_H
#define TENK_FIBER_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct fiber;

/*
 * A fiber that will call body(arg), not started yet. Its stack has `stack_bytes`, rounded up to
 * whole pages, and below them a page that may not be touched: a stack that is too small ends the
 * program by SIGSEGV, and overwrites nothing. A page of the stack is memory once it was used. NULL
 * and errno when there is no memory or no mapping left (vm.max_map_count; a stack is two).
 */
struct fiber *fiber_new(size_t stack_bytes, void (*body)(void *arg), void *arg);

/*
 * Start it or go on with it; returns when it pauses or has returned. True: it paused, and can be
 * gone on with. False: its body has returned, and it is gone. Not to be called in a fiber.
 */
bool fiber_run(struct fiber *f);

/* In a fiber: back to fiber_run(). Returns when that is called again. */
void fiber_pause(void);

#ifdef __cplusplus
}
#endif

#endif
