// SPDX-License-Identifier: MIT
/*
 * poll: one thread, readiness, one array (System V, 1986).
 *
 * As select.c, with an array of descriptors instead of bit sets. There is no highest number. What
 * we ask for (events) stands apart from what the kernel answers (revents), so nothing is copied
 * before a call. The whole array still goes into the kernel and back at every wait, however few of
 * its connections are ready. The next step is epoll_lt.c, where the kernel keeps the list.
 *
 * What to look for: a call costs O(connections) in the kernel, and looking for the ready ones costs
 * the same again in the loop below.
 *
 * Limits: descriptors. It works at 10,000 connections; it is only slow there.
 * Needs:  nothing.
 * Try:    build/servers/poll -p 9000 &  nc 127.0.0.1 9000
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "common/die.h"
#include "servers/lib/conn.h"
#include "servers/lib/model.h"
#include "servers/lib/stats.h"

static struct pollfd *fds;  /* [0] is the listening socket */
static struct conn **conns; /* conns[i] belongs to fds[i] */
static int n_fds;

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
		fds[n_fds] = (struct pollfd){.fd = fd, .events = POLLIN};
		conns[n_fds] = c;
		n_fds++;
	}
}

static void serve(int i)
{
	enum conn_io io = conn_turn(conns[i]);

	fds[i].events = io == IO_AGAIN ? POLLOUT : POLLIN;
	if (io == IO_CLOSED) {
		conn_close(conns[i]);
		n_fds--;
		fds[i] = fds[n_fds]; /* the last one takes its place: no holes */
		conns[i] = conns[n_fds];
	}
}

static void setup(const struct server *srv)
{
	fds = calloc((size_t)srv->max_conns + 1, sizeof(*fds));
	conns = calloc((size_t)srv->max_conns + 1, sizeof(struct conn *));
	if (!fds || !conns)
		die_errno("calloc", "lower -c");
	fds[0].fd = srv->listen_fd;
	n_fds = 1;
}

static void run(const struct server *srv)
{
	while (!server_stopping()) {
		bool accepting = server_accepting(srv);
		int n;

		fds[0].events = accepting ? POLLIN : 0;
		n = poll(fds, (nfds_t)n_fds, server_wait_ms(accepting));
		stats_waited(n);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			die_errno("poll", NULL);
		}
		/* From the end, so that the one moved into a hole has been looked at already. */
		for (int i = n_fds - 1; i > 0 && n > 0; i--) {
			if (!fds[i].revents)
				continue;
			n--;
			serve(i);
		}
		if (fds[0].revents)
			accept_clients(srv);
	}
}

const struct model model = {
	.name = "poll",
	.summary = "one thread waits for all connections with poll(2)",
	.family = "readiness",
	.flags = USES_MAX_CONNS | USES_ACCEPT_BATCH,
	.setup = setup,
	.run = run,
	.nonblocking = true,
};
