// SPDX-License-Identifier: MIT
/*
 * coroutine_cxx20: code that looks blocking, without a stack: coroutines of C++20 over
 * edge-triggered epoll.
 *
 * As coroutine.c, but the compiler takes serve() apart at each co_await and makes a state machine
 * of it. What must outlive a pause, a few local variables and the place to go on at, lies in a
 * frame of the size that it needs. There is no library here: the language brings the coroutine, and
 * the loop is ours.
 *
 * What to look for: co_await marks each place where others may run. Only the coroutine itself can
 * pause there, not a function it calls, so step() of coroutine.c has become part of serve(). A
 * function that may pause must be a coroutine too, and so must all that call it. In return, a
 * connection costs a frame of less than a hundred bytes and not pages of a stack, there is no limit
 * of mappings, and to switch is to call a function.
 *
 * Limits: descriptors, and fs.epoll.max_user_watches.
 * Needs:  a C++20 compiler.
 * Try:    build/servers/coroutine_cxx20 -p 9000 &  strace -p $! &  nc 127.0.0.1 9000
 */
#include <cerrno>
#include <coroutine>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "common/die.h"
#include "servers/lib/conn.h"
#include "servers/lib/model.h"
#include "servers/lib/stats.h"

namespace
{

constexpr int EVENTS = 512; /* taken per wait; what is ready beyond that comes with the next */
constexpr struct conn *LISTENER = nullptr; /* in an event: the listening socket, no connection */
constexpr int STEPS = 32;                  /* of one connection before the others get theirs */

/* What we keep in each connection. */
struct mine {
	std::coroutine_handle<> rest; /* of serve() */
	bool is_ready;                /* it is in the list */
};

int ep;
struct conn **ready; /* connections still ready; each at most once */
int n_ready;
bool more_clients; /* some may wait in the backlog that no edge will report */

mine *mine_of(struct conn *c)
{
	return static_cast<mine *>(conn_mine(c));
}

/* --- what the language asks of a coroutine -------------------------------------------------- */

/* serve() gives this back when it is called, before its first line: it starts when it is resumed.
 */
struct task {
	std::coroutine_handle<> start; /* null: there was no memory for a frame */

	struct promise_type {
		task get_return_object()
		{
			return {std::coroutine_handle<promise_type>::from_promise(*this)};
		}
		static task get_return_object_on_allocation_failure()
		{
			return {nullptr};
		}
		std::suspend_always initial_suspend() noexcept
		{
			return {};
		}
		/* At its end it does not pause again, and so its frame is freed. */
		std::suspend_never final_suspend() noexcept
		{
			return {};
		}
		void return_void()
		{
		}
		void unhandled_exception()
		{
			std::terminate(); /* nothing in here throws */
		}
	};
};

/* co_await an_edge: pause until the loop has an event of this connection. */
constexpr std::suspend_always an_edge;

/* co_await others_first{c}: let the others have their turn, and go on after them. */
struct others_first : std::suspend_always {
	struct conn *c;

	explicit others_first(struct conn *conn) : c(conn)
	{
	}
	void await_suspend(std::coroutine_handle<>) const noexcept
	{
		mine_of(c)->is_ready = true;
		ready[n_ready++] = c;
	}
};

/*
 * Off the list first: close(2) takes a socket off only if nobody else has it, and whoever reads
 * /proc/PID/fd (ls, lsof, ss -p) has it for a moment. Its event would then come once more, for a
 * connection that is gone.
 */
void drop(struct conn *c)
{
	epoll_ctl(ep, EPOLL_CTL_DEL, conn_fd(c), nullptr);
	conn_close(c);
}

/* --- in a coroutine ------------------------------------------------------------------------- */

task serve(struct conn *c)
{
	enum conn_io io;

	for (int steps = 1; (io = conn_step(c)) != IO_CLOSED; steps++) {
		if (io == IO_AGAIN)
			co_await an_edge;
		else if (steps % STEPS == 0)
			co_await others_first(c);
	}
	drop(c);
}

/* --- in the loop ---------------------------------------------------------------------------- */

/* An edge is reported once: drain the backlog, or remember that it is not empty. */
void accept_clients(const struct server *srv)
{
	while (server_accepting(srv)) {
		int fd = server_accept(srv, SOCK_NONBLOCK);
		struct epoll_event event = {};
		struct conn *c;

		if (fd == ACCEPT_FULL)
			break;
		if (fd < 0)
			return;
		c = conn_open(fd);
		if (!c)
			continue;
		event.events = EPOLLIN | EPOLLOUT | EPOLLET;
		event.data.ptr = c;
		if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event)) {
			warn("epoll_ctl: %s; this client is turned away", strerror(errno));
			conn_close(c);
			continue;
		}
		mine_of(c)->rest = serve(c).start;
		if (!mine_of(c)->rest) {
			warn("memory for a frame: %s; this client is turned away",
			     strerror(ENOMEM));
			drop(c);
		}
	}
	more_clients = true;
}

void serve_ready()
{
	int n = n_ready;

	n_ready = 0;
	for (int i = 0; i < n; i++) {
		struct conn *c = ready[i]; /* it may put itself at ready[n_ready], n_ready <= i */

		mine_of(c)->is_ready = false;
		mine_of(c)->rest.resume();
	}
}

void setup(const struct server *srv)
{
	struct epoll_event event = {};

	ready = static_cast<struct conn **>(
		calloc(static_cast<size_t>(srv->max_conns), sizeof(struct conn *)));
	if (!ready)
		die_errno("calloc", "lower -c");
	ep = epoll_create1(EPOLL_CLOEXEC);
	if (ep < 0)
		die_errno("epoll_create1", nullptr);
	event.events = EPOLLIN | EPOLLET;
	event.data.ptr = LISTENER;
	if (epoll_ctl(ep, EPOLL_CTL_ADD, srv->listen_fd, &event))
		die_errno("epoll_ctl", nullptr);
}

void run(const struct server *srv)
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
			die_errno("epoll_wait", nullptr);
		}
		for (int i = 0; i < n; i++) {
			struct conn *c = static_cast<struct conn *>(events[i].data.ptr);

			if (c == LISTENER)
				accept_clients(srv);
			else if (!mine_of(c)->is_ready) /* in the list, its turn comes anyway */
				mine_of(c)->rest.resume();
		}
		serve_ready(); /* after the events: it may close what they point to */
	}
}

} /* namespace */

const struct model model = {
	.name = "coroutine_cxx20",
	.summary = "C++20: code that looks blocking, a frame per connection, edge-triggered epoll",
	.family = "coroutine",
	.flags = USES_MAX_CONNS,
	.conn_bytes = sizeof(mine),
	.setup = setup,
	.run = run,
	.nonblocking = true,
};
