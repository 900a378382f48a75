/* SPDX-License-Identifier: MIT
 * The kernel's own time stamps of what a TCP socket sends and receives (SO_TIMESTAMPING, software).
 *
 * Linux stamps a packet when it takes it in: on the loopback, when the sender's own system call
 * hands it over. The stamp that recvmsg(2) brings along is that of the last segment of the bytes it
 * returns. Stamping is switched on for the whole machine, by a worker of the kernel's, a little
 * after the first socket has asked for it: the first packets may have no stamp.
 *
 * Stamps are times of CLOCK_REALTIME, ours are of CLOCK_MONOTONIC. Both are steered alike, so they
 * are a constant apart until somebody sets the time of day.
 */
#ifndef TENK_LOADGEN_STAMPS_H
#define TENK_LOADGEN_STAMPS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

enum { STAMPS_CONTROL = 64 }; /* bytes of control data that one stamp comes in */

/*
 * Have what arrives at a TCP socket stamped and, with `departures`, what leaves it. Those come by
 * the error queue, which raises EPOLLERR. 0, or an errno.
 */
int stamps_enable(int fd, bool departures);

/* The stamp in control data of recvmsg(2), ns of CLOCK_REALTIME; 0: there is none. */
uint64_t stamps_find(struct msghdr *message);

/* recv(2) that brings the stamp of the last segment as well; *stamp_ns is 0 if there is none. */
ssize_t stamps_receive(int fd, char *buffer, size_t size, int flags, uint64_t *stamp_ns);

/* The latest stamp of what left the socket, ns of CLOCK_REALTIME; 0: there is none (yet). */
uint64_t stamps_departure(int fd);

/* How far CLOCK_REALTIME is ahead. All zero: not measured yet. */
struct stamps_clock {
	int64_t ahead_ns;
	uint64_t error_ns; /* `ahead_ns` is right to so many nanoseconds */
	uint64_t steps;    /* how often somebody set the time of day meanwhile */
	bool measured;
};

/*
 * Read the clocks, some 0.1 us. Where the readings contradict the earlier ones the time of day has
 * been set, and what was known is forgotten; else the closest reading stands.
 */
void stamps_clock_measure(struct stamps_clock *clock);

/*
 * The same with readings that were taken elsewhere: CLOCK_MONOTONIC, CLOCK_REALTIME, and
 * CLOCK_MONOTONIC once more, in that order.
 */
void stamps_clock_learn(struct stamps_clock *clock, uint64_t before_ns, uint64_t real_ns,
			uint64_t after_ns);

/*
 * A stamp as a time of CLOCK_MONOTONIC between `from_ns` and `to_ns`, which it must lie between by
 * all we know. 0: there is no stamp, or it lies outside by more than the clocks' error.
 */
uint64_t stamps_within(const struct stamps_clock *clock, uint64_t stamp_ns, uint64_t from_ns,
		       uint64_t to_ns);

#endif
