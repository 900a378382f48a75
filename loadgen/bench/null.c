/* SPDX-License-Identifier: MIT
 * The trivial HTTP server that load generators are measured against: a fixed reply to every request
 * head, from one edge-triggered epoll loop in one thread. It shows what the client can do, not what
 * HTTP costs: a head is anything that ends in an empty line, and nothing in it is looked at. The
 * replies keep the connection open ("ab" needs -k), request bodies are not supported.
 *
 *	null [-p PORT (0 = any)] [-b ADDR] [-s] [-m FILE]
 *
 * With -s it asks for events some hundred times more before it sleeps: whoever sends to a sleeping
 * process pays for waking it, which in a comparison of clients would fall on the slower ones.
 * With -m the counters live in FILE while it runs, seven native 64-bit numbers in the order of struct
 * counters, so that a benchmark can look on without disturbing it. Prints `ready model=null port=N pid=N`; at SIGTERM one JSON line of counters, and exits 0.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/die.h"
#include "common/parse.h"
#include "common/wire.h"

#define REPLY \
	"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 12\r\n\r\n" HTTP_ROOT_BODY
#define REPLY_BYTES (sizeof(REPLY) - 1)
#define RECV_BYTES  16384
#define HEAD_LEAST  4 /* the empty line alone: the most heads a buffer can hold */
#define EVENTS      512
#define ACCEPTS     64  /* per wake-up of the listener */
#define SPINS       200 /* waits without sleeping, with -s: some 20 us */

_Static_assert(sizeof(HTTP_ROOT_BODY) - 1 == 12, "Content-Length of REPLY");

struct client_state {
	uint32_t owed;   /* bytes of replies that did not fit into the socket yet */
	uint8_t matched; /* how much of the empty line the last bytes were */
};

static struct counters {
	uint64_t connections, requests, bytes_in, bytes_out, waits, events, eagain;
} own, *counters = &own;

static int epoll_fd, listen_fd;
static int spins;                  /* option -s */
static bool paused;                /* no descriptor left: not accepting until one is closed */
static struct client_state *conns; /* by descriptor */
static char replies[RECV_BYTES / HEAD_LEAST * REPLY_BYTES];
/* The last head that arrived in one piece; load generators send the same one again and again. */
static char usual[256];
static size_t usual_bytes;

static void watch(int op, int fd, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.fd = fd};

	if (epoll_ctl(epoll_fd, op, fd, &event) < 0)
		die_errno("epoll_ctl", NULL);
}

static void close_conn(int fd)
{
	close(fd);
	if (paused) {
		paused = false;
		watch(EPOLL_CTL_ADD, listen_fd, EPOLLIN);
	}
}

static void accept_some(void)
{
	const int on = 1;

	for (int i = 0; i < ACCEPTS; i++) {
		int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
			warn("accept4: %s; accepting goes on when a connection closes",
			     strerror(errno));
			epoll_ctl(epoll_fd, EPOLL_CTL_DEL, listen_fd, NULL);
			paused = true;
		}
		if (fd < 0)
			return;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		conns[fd] = (struct client_state){0};
		watch(EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
		counters->connections++;
	}
}

/* How many heads end in these bytes; *matched carries a split empty line from call to call. */
static uint32_t count_heads(const char *data, size_t len, uint8_t *matched)
{
	static const char end[] = {'\r', '\n', '\r', '\n'};
	uint32_t heads = 0;

	if (!*matched && len == usual_bytes && !memcmp(data, usual, len))
		return 1;
	for (size_t i = 0; i < len; i++) {
		if (data[i] == end[*matched])
			++*matched;
		else
			*matched = data[i] == '\r';
		if (*matched == sizeof(end)) {
			*matched = 0;
			heads++;
			if (i + 1 == len && heads == 1 && len <= sizeof(usual)) {
				memcpy(usual, data, len);
				usual_bytes = len;
			}
		}
	}
	return heads;
}

/* Send what is owed; true when nothing is left, false when the socket is full or broken. */
static bool flush_conn(int fd, struct client_state *conn)
{
	while (conn->owed) {
		/* The stream of replies has a period: what is owed begins inside one. */
		size_t skip = (REPLY_BYTES - conn->owed % REPLY_BYTES) % REPLY_BYTES;
		size_t room = sizeof(replies) - skip;
		ssize_t n = send(fd, replies + skip, conn->owed < room ? conn->owed : room,
				 MSG_NOSIGNAL);

		if (n < 0) {
			counters->eagain += errno == EAGAIN;
			return false;
		}
		conn->owed -= (uint32_t)n;
		counters->bytes_out += (uint64_t)n;
	}
	return true;
}

static void serve(int fd, uint32_t events)
{
	static char data[RECV_BYTES];
	struct client_state *conn = &conns[fd];
	bool hung_up = events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);

	/* While replies are owed nothing is read: a client that does not read is not served. */
	while (flush_conn(fd, conn)) {
		ssize_t n = recv(fd, data, sizeof(data), 0);
		uint32_t heads;

		if (n < 0 && errno == EAGAIN) {
			counters->eagain++;
			return;
		}
		if (n <= 0) {
			close_conn(fd);
			return;
		}
		heads = count_heads(data, (size_t)n, &conn->matched);
		conn->owed = heads * (uint32_t)REPLY_BYTES;
		counters->requests += heads;
		counters->bytes_in += (uint64_t)n;
		/* A short read emptied the socket; the next byte is a new edge. */
		if ((size_t)n < sizeof(data) && !hung_up) {
			flush_conn(fd, conn);
			return;
		}
	}
	if (errno != EAGAIN)
		close_conn(fd);
}

static void start_listening(const char *addr, uint16_t port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(port)};
	socklen_t len = sizeof(sin);
	const int on = 1;

	if (inet_pton(AF_INET, addr, &sin.sin_addr) != 1)
		opt_refuse("-b", addr, "an IPv4 address");
	listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (listen_fd < 0)
		die_errno("socket", NULL);
	setsockopt(listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listen_fd, (struct sockaddr *)&sin, len) < 0)
		die_errno("bind", "take another port with -p");
	if (listen(listen_fd, SOMAXCONN) < 0)
		die_errno("listen", NULL);
	getsockname(listen_fd, (struct sockaddr *)&sin, &len);
	printf("ready model=null port=%d pid=%d\n", ntohs(sin.sin_port), getpid());
	fflush(stdout);
}

/* As many descriptors as may be, and a slot for each. */
static void make_room(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		die_errno("getrlimit", NULL);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	conns = calloc(limit.rlim_cur, sizeof(*conns));
	if (!conns)
		die_errno("calloc", "lower the hard limit on descriptors (ulimit -Hn)");
	for (size_t at = 0; at < sizeof(replies); at += REPLY_BYTES)
		memcpy(replies + at, REPLY, REPLY_BYTES);
}

/* Keep the counters in this file from now on. */
static void share_counters(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	void *shared = MAP_FAILED;

	if (fd >= 0 && ftruncate(fd, sizeof(*counters)) == 0)
		shared = mmap(NULL, sizeof(*counters), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (shared == MAP_FAILED)
		die_errno(path, "name a file that can be written");
	close(fd);
	counters = shared;
	*counters = (struct counters){0};
}

static int watch_signals(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	if (fd < 0)
		die_errno("signalfd", NULL);
	return fd;
}

static int wait_events(struct epoll_event *ready)
{
	for (int i = 0; i < spins; i++) {
		int n = epoll_wait(epoll_fd, ready, EVENTS, 0);

		if (n)
			return n;
	}
	return epoll_wait(epoll_fd, ready, EVENTS, -1);
}

static void run(int signal_fd)
{
	static struct epoll_event ready[EVENTS];

	for (;;) {
		int n = wait_events(ready);

		if (n < 0)
			die_errno("epoll_wait", NULL);
		counters->waits++;
		counters->events += (uint64_t)n;
		for (int i = 0; i < n; i++) {
			int fd = ready[i].data.fd;

			if (fd == listen_fd)
				accept_some();
			else if (fd == signal_fd)
				return;
			else
				serve(fd, ready[i].events);
		}
	}
}

static void print_counters(void)
{
	printf("{\"model\":\"null\",\"connections\":%" PRIu64 ",\"requests\":%" PRIu64
	       ",\"bytes_in\":%" PRIu64 ",\"bytes_out\":%" PRIu64 ",\"waits\":%" PRIu64
	       ",\"events\":%" PRIu64 ",\"eagain\":%" PRIu64 "}\n",
	       counters->connections, counters->requests, counters->bytes_in, counters->bytes_out,
	       counters->waits, counters->events, counters->eagain);
}

int main(int argc, char **argv)
{
	const char *addr = "127.0.0.1";
	uint16_t port = 0;
	int signal_fd, opt;

	while ((opt = getopt(argc, argv, "p:b:m:s")) != -1) {
		if (opt == 'p')
			port = (uint16_t)opt_int("-p", optarg, 0, 65535);
		else if (opt == 'b')
			addr = optarg;
		else if (opt == 'm')
			share_counters(optarg);
		else if (opt == 's')
			spins = SPINS;
		else
			return EXIT_BAD_USAGE;
	}
	if (optind < argc)
		die(EXIT_BAD_USAGE, "usage: null [-p PORT] [-b ADDR] [-s] [-m FILE]");
	make_room();
	signal_fd = watch_signals();
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0)
		die_errno("epoll_create1", NULL);
	start_listening(addr, port);
	watch(EPOLL_CTL_ADD, signal_fd, EPOLLIN);
	watch(EPOLL_CTL_ADD, listen_fd, EPOLLIN);
	run(signal_fd);
	print_counters();
	return fflush(stdout) ? 1 : 0;
}
