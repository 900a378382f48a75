// SPDX-License-Identifier: MIT
/*
 * prefork: a fixed number of processes, each serving one connection at a time.
 *
 * All processes block in accept(2) on the same socket, which they have from their parent. This is
 * `thread_pool` with processes, and `fork` with the forks made beforehand: no client waits for one.
 *
 * What to look for: the parent serves nobody. It waits for its children, and for SIGTERM. Older
 * systems needed a lock around accept(2), or woke all processes for each client; Stevens measured
 * both. Linux wakes one (accept(2) waits exclusively), so there is no lock here. As in every pool,
 * connection number -w + 1 waits until another ends, even if all the others are idle.
 *
 * Limits: -w connections at a time (default 128), and about 150 KiB of kernel and user memory for
 *         each process. One that dies takes only its own client with it, but the server stops then:
 *         it would no longer be the one that was asked for.
 * Needs:  nothing.
 * Try:    build/servers/prefork -w 4 -p 9000 &  P=$!; nc 127.0.0.1 9000 &  pstree -p $P
 */
#include "servers/lib/children.h"
#include "servers/lib/conn.h"
#include "servers/lib/model.h"

/* page tables, kernel stack, copied pages; seen by measuring */
#define BYTES_PER_CHILD (150UL * 1024)

static void serve(int fd)
{
	struct conn *c = conn_open(fd);

	if (!c)
		return;
	server_serving(fd);
	while (!server_stopping()) {
		if (conn_step(c) == IO_CLOSED)
			break;
	}
	server_serving(-1);
	conn_close(c);
}

static _Noreturn void work(const struct server *srv)
{
	int fd;

	while ((fd = server_accept_wait(srv, 0)) >= 0)
		serve(fd);
	children_leave();
}

static void setup(const struct server *srv)
{
	if (children_start(srv) >= 0)
		work(srv);
}

static void run(const struct server *srv)
{
	(void)srv;
	children_wait();
}

const struct model model = {
	.name = "prefork",
	.summary = "a fixed pool of processes, each serving one connection at a time",
	.family = "blocking",
	.flags = USES_WORKERS | CONN_PER_WORKER | CONNS_IN_CHILDREN,
	.workers = 128,
	.bytes_per_task = BYTES_PER_CHILD,
	.setup = setup,
	.run = run,
};
