// SPDX-License-Identifier: MIT
#include "loadgen/stamps.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>

#include "common/clock.h"

enum {
	CONTROL_ROOM = 256, /* of the error queue: a stamp comes with an extended error */
	READINGS = 3,       /* of the clocks; the closest counts */
};

int stamps_enable(int fd, bool departures)
{
	unsigned int flags = SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;

	/* Without OPT_TSONLY the error queue would hold a copy of each packet. */
	if (departures)
		flags |= SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_OPT_TSONLY;
	return setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &flags, sizeof(flags)) < 0 ? errno : 0;
}

uint64_t stamps_find(struct msghdr *message)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		struct scm_timestamping stamps;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPING ||
		    c->cmsg_len < CMSG_LEN(sizeof(stamps)))
			continue;
		memcpy(&stamps, CMSG_DATA(c), sizeof(stamps));
		/* The first of the three is the software's. */
		return (uint64_t)stamps.ts[0].tv_sec * NS_PER_S + (uint64_t)stamps.ts[0].tv_nsec;
	}
	return 0;
}

ssize_t stamps_receive(int fd, char *buffer, size_t size, int flags, uint64_t *stamp_ns)
{
	_Alignas(struct cmsghdr) char control[STAMPS_CONTROL];
	struct iovec part = {.iov_base = buffer, .iov_len = size};
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(fd, &message, flags);

	*stamp_ns = n > 0 ? stamps_find(&message) : 0;
	return n;
}

uint64_t stamps_departure(int fd)
{
	uint64_t latest = 0;

	for (;;) {
		_Alignas(struct cmsghdr) char control[CONTROL_ROOM];
		struct msghdr message = {.msg_control = control, .msg_controllen = sizeof(control)};

		if (recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
			return latest;
		latest = stamps_find(&message);
	}
}

static uint64_t distance(int64_t a, int64_t b)
{
	return a > b ? (uint64_t)(a - b) : (uint64_t)(b - a);
}

void stamps_clock_learn(struct stamps_clock *clock, uint64_t before_ns, uint64_t real_ns,
			uint64_t after_ns)
{
	uint64_t error_ns = (after_ns - before_ns + 1) / 2;
	int64_t ahead_ns = (int64_t)real_ns - (int64_t)(before_ns + (after_ns - before_ns) / 2);

	if (clock->measured &&
	    distance(ahead_ns, clock->ahead_ns) > error_ns + clock->error_ns + 1) {
		clock->steps++;
		clock->measured = false;
	}
	if (clock->measured && error_ns >= clock->error_ns)
		return;
	clock->ahead_ns = ahead_ns;
	clock->error_ns = error_ns;
	clock->measured = true;
}

void stamps_clock_measure(struct stamps_clock *clock)
{
	for (int i = 0; i < READINGS; i++) {
		uint64_t before_ns = clock_now_ns();
		struct timespec real;

		clock_gettime(CLOCK_REALTIME, &real);
		stamps_clock_learn(clock, before_ns,
				   (uint64_t)real.tv_sec * NS_PER_S + (uint64_t)real.tv_nsec,
				   clock_now_ns());
	}
}

uint64_t stamps_within(const struct stamps_clock *clock, uint64_t stamp_ns, uint64_t from_ns,
		       uint64_t to_ns)
{
	uint64_t at_ns = (uint64_t)((int64_t)stamp_ns - clock->ahead_ns);

	if (!stamp_ns || !clock->measured || at_ns + clock->error_ns < from_ns ||
	    at_ns > to_ns + clock->error_ns)
		return 0;
	return at_ns < from_ns ? from_ns : at_ns > to_ns ? to_ns : at_ns;
}
