// SPDX-License-Identifier: MIT
/*
 * signals sigio tcp|udp REQUESTS: how many signals a request raises. A server's socket sends a
 * real-time signal for each change (O_ASYNC, F_SETSIG); a client makes so many requests of 12
 * bytes, one after the other, each answered. tcp: all over one connection, whose beginning and end
 * count too, as does the listening socket. udp: datagrams.
 *
 * signals sigio full QUEUE: a signal queue of that length (RLIMIT_SIGPENDING), and two more
 * segments of one connection than it holds, none of which is read meanwhile.
 * {"probe_worked": 1}: nothing was lost. 0: the kernel sent a plain SIGIO in place of what had no
 * room.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/die.h"
#include "common/parse.h"

#define CHANGED SIGRTMIN
#define SIZE    12

static sigset_t wanted;

static void tell_us(int fd)
{
	struct f_owner_ex me = {.type = F_OWNER_TID, .pid = gettid()};

	if (fcntl(fd, F_SETSIG, CHANGED) || fcntl(fd, F_SETOWN_EX, &me) ||
	    fcntl(fd, F_SETFL, O_ASYNC | O_NONBLOCK))
		die_errno("fcntl", NULL);
}

static int bound(int type, struct sockaddr_in *at)
{
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	socklen_t length = sizeof(*at);

	*at = (struct sockaddr_in){.sin_family = AF_INET};
	at->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)at, length) ||
	    getsockname(fd, (struct sockaddr *)at, &length))
		die_errno("bind", NULL);
	return fd;
}

static int client_of(int type, const struct sockaddr_in *at)
{
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)at, sizeof(*at)))
		die_errno("connect to ourselves", NULL);
	return fd;
}

static void await(int fd)
{
	struct pollfd one = {.fd = fd, .events = POLLIN};

	if (poll(&one, 1, 5000) != 1)
		die(1, "nothing came within 5 s");
}

/* Request and reply. The server reads when there is something: whether it was told is counted. */
static void exchange(int client, int server)
{
	struct sockaddr_in from;
	socklen_t length = sizeof(from);
	char text[SIZE] = "hello, tenk";

	if (send(client, text, SIZE, 0) != SIZE)
		die_errno("send", NULL);
	await(server);
	if (recvfrom(server, text, SIZE, 0, (struct sockaddr *)&from, &length) != SIZE)
		die_errno("recvfrom", NULL);
	if (sendto(server, text, SIZE, MSG_NOSIGNAL, length ? (struct sockaddr *)&from : NULL,
		   length) != SIZE)
		die_errno("sendto", NULL);
	if (recv(client, text, SIZE, 0) != SIZE)
		die_errno("recv", NULL);
}

/* Take what is in the queue; `plain` is set where a SIGIO is among it. */
static int taken(bool *plain)
{
	struct timespec none = {0};
	siginfo_t info;
	int count = 0, signo;

	while ((signo = sigtimedwait(&wanted, &info, &none)) > 0) {
		*plain |= signo == SIGIO;
		count += signo == CHANGED;
	}
	return count;
}

/* A client, and in *server the socket that it talks to; both of the server's send signals. */
static int meet(int type, int *server)
{
	struct sockaddr_in at;
	int client, one = 1;

	*server = bound(type, &at);
	if (type == SOCK_STREAM && listen(*server, 1))
		die_errno("listen", NULL);
	tell_us(*server);
	client = client_of(type, &at);
	if (type == SOCK_STREAM) {
		await(*server);
		*server = accept(*server, NULL, NULL);
		if (*server < 0 || setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)))
			die_errno("accept", NULL);
		tell_us(*server);
	}
	return client;
}

static void per_request(int type, int requests)
{
	int server, client = meet(type, &server), count = 0;
	bool plain = false;

	for (int i = 0; i < requests; i++) {
		exchange(client, server);
		count += taken(&plain);
	}
	close(client);
	if (type == SOCK_STREAM) {
		await(server);
		count += taken(&plain);
	}
	printf("{\"signals_per_request\": %g}\n", (double)count / requests);
}

static void overflow(int queue)
{
	struct rlimit limit = {.rlim_cur = (rlim_t)queue, .rlim_max = (rlim_t)queue};
	int server, client = meet(SOCK_STREAM, &server);
	bool plain = false;

	if (setrlimit(RLIMIT_SIGPENDING, &limit))
		die_errno("setrlimit", NULL);
	for (int i = 0; i < queue + 2; i++) {
		if (send(client, "x", 1, 0) != 1)
			die_errno("send", NULL);
	}
	await(server);
	(void)taken(&plain);
	printf("{\"probe_worked\": %d}\n", !plain);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "sigio"))
		die(EXIT_UNSUPPORTED, "%s is not asked this", argv[1]);
	if (argc != 4)
		die(EXIT_BAD_USAGE, "usage: signals sigio tcp|udp|full NUMBER");
	sigemptyset(&wanted);
	sigaddset(&wanted, CHANGED);
	sigaddset(&wanted, SIGIO);
	if (sigprocmask(SIG_BLOCK, &wanted, NULL))
		die_errno("sigprocmask", NULL);
	if (!strcmp(argv[2], "full"))
		overflow((int)opt_int("NUMBER", argv[3], 1, 1000));
	else if (!strcmp(argv[2], "tcp"))
		per_request(SOCK_STREAM, (int)opt_int("NUMBER", argv[3], 1, 100000));
	else if (!strcmp(argv[2], "udp"))
		per_request(SOCK_DGRAM, (int)opt_int("NUMBER", argv[3], 1, 100000));
	else
		die(EXIT_BAD_USAGE, "%s: tcp, udp or full", argv[2]);
	return 0;
}
