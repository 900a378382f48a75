// SPDX-License-Identifier: MIT
/*
 * asio_coroutine: Asio with coroutines of C++20 in place of callbacks (Asio 1.22, 2022).
 *
 * As asio.cc, the same library and the same calls. But where there we gave a function to be called
 * when bytes have come, here we write co_await, and the next line is what happens then. So the
 * server reads from top to bottom again.
 *
 * What to look for: received(), go_on() and submit() of asio.cc are one function, serve(), and the
 * loop that could not be seen there is a loop. The socket is a local variable: it is closed where
 * serve() ends. Asio keeps a frame per connection and, for each co_await, an object that knows whom
 * to resume. Below, it is asio.cc to the last system call.
 *
 * Limits: descriptors, and fs.epoll.max_user_watches.
 * Needs:  the headers of Asio (on Debian libasio-dev) and a C++20 compiler.
 * tenk-needs-header: asio.hpp
 * tenk-package: libasio-dev
 * Try:    build/servers/asio_coroutine -p 9000 &  strace -p $! &  nc 127.0.0.1 9000
 */
#include <cerrno>
#include <chrono>
#include <cstring>
#include <exception>
#include <new>
#include <system_error>
#include <utility>

/* Asio 1.22 does not know that clang has the coroutines of C++20 with any standard library. */
#if defined(__clang__) && defined(__cpp_impl_coroutine)
#define ASIO_HAS_CO_AWAIT 1
#endif
#include <asio.hpp>
#include <sys/socket.h>

#include "common/die.h"
#include "servers/lib/conn.h"
#include "servers/lib/model.h"
#include "servers/lib/stats.h"

namespace
{

using asio::awaitable;
using asio::ip::tcp;
using error_code = std::error_code;

/* All that Asio does goes through this; made in setup(), because that may fail. */
struct loop {
	asio::io_context io;
	asio::steady_timer pause;
	tcp::acceptor acceptor;

	loop(const tcp &family, int listen_fd) : io(1), pause(io), acceptor(io, family, listen_fd)
	{
		/* A client that gave up in the backlog: tell us, or the one behind it waits. */
		acceptor.set_option(asio::socket_base::enable_connection_aborted(true));
	}
};

loop *the_loop;

constexpr int STEPS = 32; /* of one connection before the others get theirs */

/* An error is not thrown but stored there: `co_await socket.async_…(…, into(error))`. */
auto into(error_code &error)
{
	return asio::redirect_error(asio::use_awaitable, error);
}

/* Ends when the connection does; or, without memory for what Asio keeps, by an exception. */
awaitable<void> talk(struct conn *c, tcp::socket &socket)
{
	enum conn_io io = IO_OK;

	while (io != IO_CLOSED) {
		error_code error;
		std::size_t len;
		char *buf;

		/* Send; or read a file, or shut down: no client to wait for. */
		for (int i = 0; i < STEPS && io == IO_OK && conn_next(c) != OP_RECV; i++)
			io = conn_step(c);
		if (io == IO_AGAIN) {
			co_await socket.async_wait(tcp::socket::wait_write, into(error));
			io = IO_OK;
		} else if (io == IO_OK && conn_next(c) != OP_RECV) {
			co_await asio::post(asio::use_awaitable); /* the others' turn */
		} else if (io == IO_OK) {
			buf = conn_buf(c, &len);
			len = co_await socket.async_read_some(asio::buffer(buf, len), into(error));
			/* The end of file is an error to Asio, and nothing received to us. */
			if (error && error != asio::error::eof)
				io = conn_done(c, -error.value());
			else
				io = conn_done(c, static_cast<ssize_t>(len));
			if (io == IO_AGAIN)
				io = IO_OK; /* it waits to receive as before */
		}
	}
}

awaitable<void> serve(struct conn *c, tcp::socket socket)
{
	try {
		co_await talk(c, socket);
	} catch (const std::bad_alloc &) {
		/* This client is given up. */
	}
	conn_free(c); /* and the socket is Asio's to close, after this: its number may be reused */
}

void open_conn(tcp::socket socket)
{
	struct conn *c = conn_new(socket.native_handle());

	if (!c) {
		server_turn_away(socket.release());
		return;
	}
	try {
		asio::co_spawn(the_loop->io, serve(c, std::move(socket)), asio::detached);
	} catch (const std::bad_alloc &) {
		warn("memory for a frame: %s; this client is turned away", strerror(ENOMEM));
		conn_free(c);
	}
}

awaitable<void> accept_clients(const struct server *srv)
{
	while (!server_stopping()) {
		bool accepting = server_accepting(srv);
		std::chrono::milliseconds wait(server_wait_ms(accepting));
		error_code error;

		if (!accepting) {
			the_loop->pause.expires_after(wait);
			co_await the_loop->pause.async_wait(into(error));
			continue;
		}
		tcp::socket socket = co_await the_loop->acceptor.async_accept(into(error));

		if (error.value() == ENOSPC) /* not of accept(2): Asio could not have it watched */
			warn("epoll_ctl: %s; this client is turned away", error.message().c_str());
		else if (server_accepted(srv, error ? -error.value() : socket.native_handle()) >= 0)
			open_conn(std::move(socket));
	}
}

void setup(const struct server *srv)
{
	struct sockaddr_storage at;
	socklen_t len = sizeof(at);

	if (getsockname(srv->listen_fd, reinterpret_cast<struct sockaddr *>(&at), &len))
		die_errno("getsockname", nullptr);
	try {
		the_loop =
			new loop(at.ss_family == AF_INET6 ? tcp::v6() : tcp::v4(), srv->listen_fd);
		asio::co_spawn(the_loop->io, accept_clients(srv), asio::detached);
	} catch (const std::system_error &error) {
		die_error(error.code().value(), "epoll_create1, in asio::io_context", nullptr);
	}
}

void run(const struct server *)
{
	while (!server_stopping()) {
		/* Wait, and call what is done; then what else is done already. */
		std::size_t events = the_loop->io.run_one();

		events += the_loop->io.poll();
		stats_waited(static_cast<int>(events));
	}
}

} /* namespace */

const struct model model = {
	.name = "asio_coroutine",
	.summary = "C++20: the library Asio with co_await in place of callbacks",
	.family = "library",
	.needs = "Asio",
	.flags = USES_MAX_CONNS,
	.setup = setup,
	.run = run,
	.nonblocking = true,
};
