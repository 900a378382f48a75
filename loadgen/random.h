/* SPDX-License-Identifier: MIT
 * A small generator: it seeds the arrival process and shuffles the order of the targets.
 */
#ifndef TENK_LOADGEN_RANDOM_H
#define TENK_LOADGEN_RANDOM_H

#include <stdint.h>

/* The next of 2^64 words; neighbouring seeds give unrelated ones.
 * [Steele, Lea, Flood, OOPSLA 2014: SplitMix64]
 */
static inline uint64_t random_word(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* A seed for part number `part` of what `seed` is the seed of. Part 0 keeps the seed itself. */
static inline uint64_t random_seed(uint64_t seed, uint64_t part)
{
	uint64_t state = seed + part;

	return part ? random_word(&state) ^ part : seed;
}

#endif
