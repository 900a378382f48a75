// SPDX-License-Identifier: MIT
/*
 * asio: completion on top of readiness, as a C++ library makes it (Asio 1.22, 2022).
 *
 * As io_uring.c, we ask for bytes to be received or sent, and a function of ours is called when
 * that is done (a proactor). But the kernel is asked as in epoll_et.c: Asio waits with
 * edge-triggered epoll and makes the calls itself. The program reads the same on systems that
 * complete and on systems that report readiness.
 *
 * What to look for: Asio tries each call at once, and waits for epoll only when it was in vain. So
 * a client that answers quickly costs one recv(2) in vain per request. The buffer is given when we
 * ask, so every idle connection holds one. Asio takes memory for each request it keeps, from a
 * small store of its own. It has no file I/O here, so a file is read in the loop: everybody waits.
 *
 * Limits: descriptors, and fs.epoll.max_user_watches.
 * Needs:  the headers of Asio (on Debian libasio-dev) and a C++20 compiler.
 * tenk-needs-header: asio.hpp
 * tenk-package: libasio-dev
 * Try:    build/servers/asio -p 9000 &  strace -p $! &  nc 127.0.0.1 9000
 */
#include <cerrno>
#include <chrono>
#include <new>
#include <system_error>
#include <utility>

#include <asio.hpp>
#include <sys/socket.h>

#include "common/die.h"
#include "servers/lib/conn.h"
#include "servers/lib/model.h"
#include "servers/lib/stats.h"

namespace
{

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

/* What we keep in each connection: Asio's view of its socket. */
struct mine {
	tcp::socket socket;
};

loop *the_loop;

constexpr int STEPS = 32; /* of one connection before the others get theirs */

void go_on(struct conn *c);
void accept_client(const struct server *srv);

mine *mine_of(struct conn *c)
{
	return static_cast<mine *>(conn_mine(c));
}

void close_conn(struct conn *c)
{
	tcp::socket socket = std::move(mine_of(c)->socket);

	mine_of(c)->~mine();
	/* The socket is Asio's to close, and last: its number may be reused at once. */
	conn_free(c);
}

/* Bytes have come; none at the end of file, which Asio calls an error. */
void received(struct conn *c, const error_code &error, std::size_t size)
{
	ssize_t res = static_cast<ssize_t>(size);

	if (error && error != asio::error::eof)
		res = -error.value();
	if (conn_done(c, res) == IO_CLOSED)
		close_conn(c);
	else
		go_on(c);
}

/* Ask for what the connection waits for. */
void submit(struct conn *c)
{
	tcp::socket &socket = mine_of(c)->socket;
	std::size_t len;
	char *buf;

	if (conn_next(c) == OP_SEND) {
		socket.async_wait(tcp::socket::wait_write, [c](const error_code &) { go_on(c); });
	} else {
		buf = conn_buf(c, &len);
		socket.async_read_some(asio::buffer(buf, len),
				       [c](const error_code &error, std::size_t size) {
					       received(c, error, size);
				       });
	}
}

void go_on(struct conn *c)
{
	enum conn_io io = IO_OK;

	/* Send; or read a file, or shut down: no client to wait for. In turn with the others. */
	for (int i = 0; i < STEPS && io == IO_OK && conn_next(c) != OP_RECV; i++)
		io = conn_step(c);
	try {
		if (io == IO_OK && conn_next(c) != OP_RECV)
			asio::post(the_loop->io, [c] { go_on(c); });
		else if (io != IO_CLOSED)
			submit(c);
	} catch (const std::bad_alloc &) {
		io = IO_CLOSED;
	}
	if (io == IO_CLOSED)
		close_conn(c);
}

void open_conn(tcp::socket socket)
{
	struct conn *c = conn_new(socket.native_handle());

	if (!c) {
		server_turn_away(socket.release());
		return;
	}
	new (conn_mine(c)) mine{std::move(socket)};
	go_on(c);
}

void accepted(const struct server *srv, const error_code &error, tcp::socket socket)
{
	if (error.value() == ENOSPC) /* not of accept(2): Asio could not have it watched */
		warn("epoll_ctl: %s; this client is turned away", error.message().c_str());
	else if (server_accepted(srv, error ? -error.value() : socket.native_handle()) >= 0)
		open_conn(std::move(socket));
	accept_client(srv);
}

/* Ask for the next client; or, while none may be accepted, ask again in a moment. */
void accept_client(const struct server *srv)
{
	bool accepting = server_accepting(srv);

	if (server_stopping())
		return;
	if (accepting) {
		the_loop->acceptor.async_accept([srv](const error_code &error, tcp::socket socket) {
			accepted(srv, error, std::move(socket));
		});
		return;
	}
	the_loop->pause.expires_after(std::chrono::milliseconds(server_wait_ms(accepting)));
	the_loop->pause.async_wait([srv](const error_code &) { accept_client(srv); });
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
		accept_client(srv);
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
	.name = "asio",
	.summary = "C++: a proactor over edge-triggered epoll, as the library Asio makes it",
	.family = "library",
	.needs = "Asio",
	.flags = USES_MAX_CONNS,
	.conn_bytes = sizeof(mine),
	.setup = setup,
	.run = run,
	.nonblocking = true,
};
