// SPDX-License-Identifier: MIT
// Without liburing there is nothing here: the models that need it are absent then.
#if __has_include(<liburing.h>)
#include "servers/lib/ring.h"

#include <errno.h>
#include <string.h>

#include "common/die.h"

static int open_ring(struct io_uring *ring, struct io_uring_params how, unsigned completions)
{
	how.flags |= IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
	how.cq_entries = completions;
	return io_uring_queue_init_params(RING_ENTRIES, ring, &how);
}

void ring_open(struct io_uring *ring, struct io_uring_params how, unsigned completions)
{
	int error = -open_ring(ring, how, completions);

	if (error)
		die_error(error, "io_uring_setup", NULL);
}

unsigned ring_probe(struct io_uring_params how, const char *linux_version)
{
	struct io_uring ring;
	unsigned features;
	int res = open_ring(&ring, how, RING_ENTRIES);

	if (res == -ENOSYS || res == -EPERM || res == -EACCES)
		die(EXIT_UNSUPPORTED,
		    "io_uring_setup: %s; this kernel or its policy forbids it "
		    "(sysctl kernel.io_uring_disabled=0, or the container's seccomp profile)",
		    strerror(-res));
	if (res == -EINVAL)
		die(EXIT_UNSUPPORTED, "io_uring_setup: %s; this model needs Linux %s",
		    strerror(-res), linux_version);
	if (res)
		die(EXIT_UNSUPPORTED,
		    "io_uring_setup: %s; raise the locked-memory limit (ulimit -l)",
		    strerror(-res));
	features = ring.features;
	io_uring_queue_exit(&ring);
	/* As old as the request to shut down. Without it liburing waits by requests of its own. */
	if (!(features & IORING_FEAT_EXT_ARG))
		die(EXIT_UNSUPPORTED, "io_uring: this kernel's is too old; it needs Linux 5.11");
	return features;
}
#else
typedef int no_liburing; /* ISO C wants something in a file */
#endif
