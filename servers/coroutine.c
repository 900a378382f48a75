// SPDX-License-Identifier: MIT
/*
 * coroutine: code that looks blocking, a stack per connection, edge-triggered epoll below.
 *
 * As epoll_et.c, but each connection is served by a function that goes from accept to close like
 * that of blocking.c. Where it would wait, it pauses: the loop goes on with another one, and comes
 * back when the kernel says that there is something to do. What a thread is to the kernel, a
 * coroutine is to us; only, we switch, and only where we choose.
 *
 * What to look for: serve() and step(), and that nobody keeps the state of a connection between two
 * events. It is in the local variables, on a stack that waits too. The price is that stack: pages
 * of it that were used once stay memory, while a connection of epoll_et.c is a hundred bytes. The
 * switch itself costs less than a system call by far, if it is none: see fiber.h, and run
 * `make bench-fiber`.
 *
 * Limits: vm.max_map_count, two for each connection (a stack, and a page below it that may not be
 *         touched); descriptors; fs.epoll.max_user_watches.
 * Needs:  Linux.
 * Try:    build/servers/coroutine -p 9000 &  P=$!; nc 127.0.0.1 9000 &  grep -c rw-p /proc/$P/maps
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "common/die.h"
#include "servers/lib/conn.h"
#include "servers/lib/fiber.h"
#include "servers/lib/model.h"
#include "servers/lib/stats.h"

#define EVENTS   512  /* taken per wait; what is ready beyond that comes with the next */
#define LISTENER NULL /* in an event: the listening socket, which is no connection */
#define STEPS    32   /* of one connection before the others get theirs */
#define OWN_MAPS 1000 /* mappings the process may need besides the stacks */

/* What we keep in each connection. */
struct mine {
	struct fiber *fiber; /* the rest of serve() */
	bool is_ready;       /* it is in the list */
};

static int ep;
static struct conn **ready; /* connections still ready; each at most once */
static int n_ready;
static bool more_clients; /* some may wait in the backlog that no edge will report */
static long stack_bytes = 32768;

/* --- in a coroutine ------------------------------------------------------------------------- */

/* Let the others have their turn, and go on after them. */
static void pause_ready(struct conn *c)
{
	struct mine *mine = conn_mine(c);

	mine->is_ready = true;
	ready[n_ready++] = c;
	fiber_pause();
}

/* Receive or send, whichever is next, however long it takes: as step() in blocking.c. */
static enum conn_io step(struct conn *c)
{
	enum conn_io io;

	while ((io = conn_step(c)) == IO_AGAIN)
		fiber_pause(); /* until an edge is reported */
	return io;
}

/*
 * Off the list first: close(2) takes a socket off only if nobody else has it, and whoever reads
 * /proc/PID/fd (ls, lsof, ss -p) has it for a moment. Its event would then come once more, for a
 * connection that is gone.
 */
static void drop(struct conn *c)
{
	epoll_ctl(ep, EPOLL_CTL_DEL, conn_fd(c), NULL);
	conn_close(c);
}

static void serve(void *arg)
{
	struct conn *c = arg;

	for (int steps = 1; step(c) != IO_CLOSED; steps++) {
		if (steps % STEPS == 0)
			pause_ready(c);
	}
	drop(c);
}

/* --- in the loop ---------------------------------------------------------------------------- */

/* An edge is reported once: drain the backlog, or remember that it is not empty. */
static void accept_clients(const struct server *srv)
{
	while (server_accepting(srv)) {
		int fd = server_accept(srv, SOCK_NONBLOCK);
		struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET};
		struct mine *mine;
		struct conn *c;

		if (fd == ACCEPT_FULL)
			break;
		if (fd < 0)
			return;
		c = conn_open(fd);
		if (!c)
			continue;
		event.data.ptr = c;
		if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event)) {
			warn("epoll_ctl: %s; this client is turned away", strerror(errno));
			conn_close(c);
			continue;
		}
		mine = conn_mine(c);
		mine->fiber = fiber_new((size_t)stack_bytes, serve, c);
		if (!mine->fiber) {
			warn("mmap of a stack: %s; this client is turned away", strerror(errno));
			drop(c);
		}
	}
	more_clients = true;
}

static void serve_ready(void)
{
	int n = n_ready;

	n_ready = 0;
	for (int i = 0; i < n; i++) {
		struct conn *c = ready[i]; /* it may put itself at ready[n_ready], n_ready <= i */
		struct mine *mine = conn_mine(c);

		mine->is_ready = false;
		fiber_run(mine->fiber);
	}
}

/* A stack is two mappings, and so many may one process have. */
static void probe(struct limit *limit)
{
	FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
	long maps;

	if (!file)
		return;
	if (fscanf(file, "%ld", &maps) == 1 && (maps - OWN_MAPS) / 2 < limit->conns)
		*limit = (struct limit){(int)((maps - OWN_MAPS) / 2),
					"two mappings per stack (vm.max_map_count)"};
	fclose(file);
}

static void setup(const struct server *srv)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = LISTENER};

	ready = calloc((size_t)srv->max_conns, sizeof(struct conn *));
	if (!ready)
		die_errno("calloc", "lower -c");
	ep = epoll_create1(EPOLL_CLOEXEC);
	if (ep < 0)
		die_errno("epoll_create1", NULL);
	if (epoll_ctl(ep, EPOLL_CTL_ADD, srv->listen_fd, &event))
		die_errno("epoll_ctl", NULL);
}

static void run(const struct server *srv)
{
	struct epoll_event events[EVENTS];

	while (!server_stopping()) {
		bool accepting = server_accepting(srv);
		int n;

		if (more_clients && accepting) {
			more_clients = false;
			accept_clients(srv);
			/* That took time and slots, so the answer may be another now. */
			accepting = !more_clients;
		}
		n = epoll_wait(ep, events, EVENTS, n_ready ? 0 : server_wait_ms(accepting));
		stats_waited(n);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			die_errno("epoll_wait", NULL);
		}
		for (int i = 0; i < n; i++) {
			struct conn *c = events[i].data.ptr;
			struct mine *mine;

			if (c == LISTENER) {
				accept_clients(srv);
				continue;
			}
			mine = conn_mine(c);
			if (!mine->is_ready) /* in the list, its turn comes anyway */
				fiber_run(mine->fiber);
		}
		serve_ready(); /* after the events: it may close what they point to */
	}
}

static const struct model_option options[] = {
	{"stack-bytes", "BYTES",
	 "size of a connection's stack, rounded up to whole pages (default 32768)", 16384, 8 << 20,
	 &stack_bytes},
	{0},
};

const struct model model = {
	.name = "coroutine",
	.summary = "a stack per connection, code that looks blocking, over edge-triggered epoll",
	.family = "coroutine",
	.flags = USES_MAX_CONNS,
	.conn_bytes = sizeof(struct mine),
	.probe = probe,
	.setup = setup,
	.run = run,
	.nonblocking = true,
	.options = options,
};
