// SPDX-License-Identifier: MIT
// Listening sockets.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>

#include "common/die.h"
#include "common/parse.h"
#include "servers/lib/lifecycle.h"

/* An IPv4 or IPv6 address and its length. */
struct address {
	struct sockaddr_storage at;
	socklen_t len;
};

static struct address read_address(const char *text, int port)
{
	struct address a = {0};
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&a.at;
	struct sockaddr_in *in = (struct sockaddr_in *)&a.at;

	if (inet_pton(AF_INET6, text, &in6->sin6_addr) == 1) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)port);
		a.len = sizeof(*in6);
	} else if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons((uint16_t)port);
		a.len = sizeof(*in);
	} else {
		opt_refuse("-b", text, "a numeric IPv4 or IPv6 address");
	}
	return a;
}

static struct address bound_to(int fd)
{
	struct address a = {.len = sizeof(a.at)};

	if (getsockname(fd, (struct sockaddr *)&a.at, &a.len))
		die_errno("getsockname", NULL);
	return a;
}

static int port_of(const struct address *a)
{
	if (a->at.ss_family == AF_INET6)
		return ntohs(((const struct sockaddr_in6 *)&a->at)->sin6_port);
	return ntohs(((const struct sockaddr_in *)&a->at)->sin_port);
}

static void set_option(int fd, int level, int option, int value, const char *call)
{
	if (setsockopt(fd, level, option, &value, sizeof(value)))
		die_errno(call, NULL);
}

static int open_socket(int family, bool nonblocking, int nodelay)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0), 0);

	if (fd < 0)
		die_errno("socket", NULL);
	/* Old connections in TIME_WAIT do not keep the port; a server that listens on it does. */
	set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1, "setsockopt(SO_REUSEADDR)");
	/* Accepted sockets inherit it on Linux: one call here instead of one per connection. */
	set_option(fd, IPPROTO_TCP, TCP_NODELAY, nodelay, "setsockopt(TCP_NODELAY)");
	return fd;
}

int listen_on(const struct listening *how, int *port)
{
	struct address a = read_address(how->address, how->port);
	int fd = open_socket(a.at.ss_family, how->nonblocking, how->nodelay);
	char call[96];

	snprintf(call, sizeof(call), "bind %s port %d", how->address, how->port);
	if (bind(fd, (struct sockaddr *)&a.at, a.len))
		die_errno(call, errno == EADDRINUSE ? "stop the server that has it, or take -p 0"
						    : "choose another -b or -p");
	/*
	 * The port is ours alone: two servers that shared it would be measured as one. Only now
	 * that it is bound may further sockets of this process come to it.
	 */
	if (how->again)
		set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1, "setsockopt(SO_REUSEPORT)");
	if (listen(fd, how->backlog))
		die_errno("listen", NULL);
	a = bound_to(fd);
	*port = port_of(&a);
	return fd;
}

int server_listen_again(const struct server *srv)
{
	struct address a = bound_to(srv->listen_fd);
	int status = fcntl(srv->listen_fd, F_GETFL), nodelay = 0;
	socklen_t len = sizeof(nodelay);
	int fd;

	if (status < 0 || getsockopt(srv->listen_fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, &len))
		die_errno("getsockopt(TCP_NODELAY)", NULL);
	fd = open_socket(a.at.ss_family, status & O_NONBLOCK, nodelay);
	set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1, "setsockopt(SO_REUSEPORT)");
	if (bind(fd, (struct sockaddr *)&a.at, a.len))
		die_errno("bind, once more", "start fewer workers: -w");
	if (listen(fd, srv->backlog))
		die_errno("listen, once more", "start fewer workers: -w");
	server_stop_also(fd);
	return fd;
}
