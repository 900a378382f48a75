// SPDX-License-Identifier: MIT
/*
 * busy_poll: one thread that never waits. It tries every socket, all the time.
 *
 * The listening socket and all connections are non-blocking. The loop asks each of them in turn:
 * accept, receive, receive, and so on, from the beginning again. Nearly always the answer is
 * EAGAIN. The libevent book shows this loop on the way to select(2), and calls its performance
 * unforgivably bad.
 *
 * What to look for: it is poll.c without the poll. There is a system call for each connection in
 * each pass, ready or not, and a whole CPU is used while nobody says anything: see `eagain` in the
 * counters. What it saves is the time to wake up, and only while it has a CPU to itself. The
 * kernel's busy polling, DPDK and SPDK spin for that too, but on one queue and not on a thousand
 * sockets.
 *
 * Limits: descriptors, and the CPU. Never measure it beside another server: it takes what it gets.
 * Needs:  nothing.
 * Try:    build/servers/busy_poll -p 9000 &  top -p $!
 */
#include <stdlib.h>
#include <sys/socket.h>

#include "common/die.h"
#include "servers/lib/conn.h"
#include "servers/lib/model.h"

static struct conn **conns;
static int n_conns;

static void accept_clients(const struct server *srv)
{
	for (int i = 0; i < srv->accept_batch && server_accepting(srv); i++) {
		int fd = server_accept(srv, SOCK_NONBLOCK);
		struct conn *c;

		if (fd < 0)
			return;
		c = conn_open(fd);
		if (!c)
			continue;
		conns[n_conns++] = c;
	}
}

static void serve(int i)
{
	enum conn_io io = conn_turn(conns[i]);

	if (io == IO_CLOSED) {
		conn_close(conns[i]);
		conns[i] = conns[--n_conns]; /* the last one takes its place: no holes */
	}
}

static void setup(const struct server *srv)
{
	conns = calloc((size_t)srv->max_conns, sizeof(struct conn *));
	if (!conns)
		die_errno("calloc", "lower -c");
}

static void run(const struct server *srv)
{
	while (!server_stopping()) {
		/* From the end, so that the one moved into a hole has been looked at already. */
		for (int i = n_conns - 1; i >= 0; i--)
			serve(i);
		accept_clients(srv);
	}
}

const struct model model = {
	.name = "busy_poll",
	.summary = "one thread tries every non-blocking socket in turn, and never waits",
	.family = "readiness",
	.flags = USES_MAX_CONNS | USES_ACCEPT_BATCH | BUSY_POLLS,
	.setup = setup,
	.run = run,
	.nonblocking = true,
};
