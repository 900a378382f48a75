// SPDX-License-Identifier: MIT
// The same tests of the portable switch, which on this machine is not the one that is used.
#ifndef FIBER_UCONTEXT
#define FIBER_UCONTEXT
#endif
#include "servers/lib/fiber.c"
#include "tests/unit/test_fiber.c"
