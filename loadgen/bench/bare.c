/* SPDX-License-Identifier: MIT
 * The cheapest epoll client that can be written by hand, as the measure of what the load generator
 * adds: keep-alive HTTP connections in a closed loop, one recv and one send per reply, one thread.
 * It records nothing but a count. A reply is complete when as many bytes have come as the first
 * reply had, which was read to its Content-Length; anything else ends the run.
 *
 *	bare -p PORT [-b ADDR] [-c CONNECTIONS] [-w WARMUP_S] [-d SECONDS] [-x SPIN_NS]
 *
 * Prints `Requests/sec: N` (as wrk does), counted after the warm-up, and its CPU in percent of one.
 *
 * -x burns a known time after every reply: the positive control. If that does not show in the rate,
 * the server and not the client sets the rate, and then no client's cost can be seen there.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/die.h"
#include "common/parse.h"

#define EVENTS     256
#define RECV_BYTES 4096

static volatile sig_atomic_t phase; /* 0 warm-up, 1 measuring, 2 over */
static char request[128];           /* the bytes wrk and loadgen send for the same URL */
static size_t request_bytes;
static size_t reply_bytes;
static uint64_t spin_ns;  /* option -x */
static uint32_t *missing; /* bytes the current reply still lacks, by descriptor */

/* SIGALRM ends a phase, SIGINT all of them. */
static void on_signal(int sig)
{
	phase = sig == SIGALRM && phase == 0 ? 1 : 2;
}

static void spin(uint64_t ns)
{
	uint64_t end_ns = clock_now_ns() + ns;

	while (clock_now_ns() < end_ns)
		;
}

static void send_request(int fd)
{
	if (send(fd, request, request_bytes, MSG_NOSIGNAL) != (ssize_t)request_bytes)
		die_errno("send", "the server must keep connections open and read what is sent");
}

/* Read one reply by its Content-Length, to learn how long all of them are. */
static size_t learn_reply_bytes(int fd)
{
	static const char field[] = "Content-Length:";
	char data[RECV_BYTES + 1];
	size_t got = 0, whole = 0;

	send_request(fd);
	while (got < RECV_BYTES) {
		ssize_t n = recv(fd, data + got, RECV_BYTES - got, 0);
		const char *body, *length;

		if (n <= 0)
			die(1, "the server closed the connection before its first reply was whole");
		got += (size_t)n;
		data[got] = '\0';
		body = strstr(data, "\r\n\r\n");
		if (!body)
			continue;
		length = strcasestr(data, field);
		if (length && length < body)
			whole = (size_t)(body + 4 - data) +
				strtoul(length + sizeof(field) - 1, NULL, 10);
		else
			die(1, "the first reply has no Content-Length");
		if (got >= whole)
			return whole;
	}
	die(1, "the first reply is longer than %d bytes", RECV_BYTES);
}

static int connect_to(const struct sockaddr_in *server)
{
	const int on = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die_errno("socket", "raise the limit on descriptors (ulimit -n)");
	if (connect(fd, (const struct sockaddr *)server, sizeof(*server)) < 0)
		die_errno("connect", "start the server first");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

static int connect_all(const struct sockaddr_in *server, int connections)
{
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	struct rlimit limit;

	if (epoll_fd < 0)
		die_errno("epoll_create1", NULL);
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	missing = calloc(limit.rlim_cur, sizeof(*missing));
	if (!missing)
		die_errno("calloc", NULL);
	for (int i = 0; i < connections; i++) {
		int fd = connect_to(server);
		struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.fd = fd};

		if (!reply_bytes)
			reply_bytes = learn_reply_bytes(fd);
		if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
			die_errno("epoll_ctl", NULL);
		missing[fd] = (uint32_t)reply_bytes;
		send_request(fd);
	}
	return epoll_fd;
}

static uint64_t run(int epoll_fd, int until)
{
	static struct epoll_event ready[EVENTS];
	static char data[RECV_BYTES];
	uint64_t replies = 0;

	while (phase < until) {
		int n = epoll_wait(epoll_fd, ready, EVENTS, -1);

		for (int i = 0; i < n; i++) {
			int fd = ready[i].data.fd;
			ssize_t got = recv(fd, data, sizeof(data), MSG_DONTWAIT);

			if (got <= 0) {
				if (got < 0 && errno == EAGAIN)
					continue;
				die(1, "the server closed a connection");
			}
			if (got > missing[fd])
				die(1, "a reply is longer than the first one");
			missing[fd] -= (uint32_t)got;
			if (missing[fd])
				continue;
			missing[fd] = (uint32_t)reply_bytes;
			replies++;
			if (spin_ns)
				spin(spin_ns);
			send_request(fd);
		}
	}
	return replies;
}

static void alarm_after(double seconds)
{
	struct itimerval timer = {
		.it_value.tv_sec = (time_t)seconds,
		.it_value.tv_usec = (suseconds_t)((seconds - (double)(time_t)seconds) * 1e6) + 1,
	};

	setitimer(ITIMER_REAL, &timer, NULL);
}

static double cpu_seconds(void)
{
	struct rusage use;

	getrusage(RUSAGE_SELF, &use);
	return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
	       (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

static void measure(int epoll_fd, double warmup_s, double seconds)
{
	/* No SA_RESTART: a signal must end a wait for a server that stopped answering. */
	struct sigaction action = {.sa_handler = on_signal};
	uint64_t begin_ns, end_ns, replies;
	double cpu;

	sigaction(SIGALRM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	alarm_after(warmup_s);
	run(epoll_fd, 1);
	alarm_after(seconds);
	cpu = cpu_seconds();
	begin_ns = clock_now_ns();
	replies = run(epoll_fd, 2);
	end_ns = clock_now_ns();
	cpu = cpu_seconds() - cpu;
	printf("Requests/sec: %.2f\n", (double)replies * 1e9 / (double)(end_ns - begin_ns));
	printf("CPU: %.1f %%\n", cpu * 1e11 / (double)(end_ns - begin_ns));
}

int main(int argc, char **argv)
{
	struct sockaddr_in server = {.sin_family = AF_INET};
	const char *addr = "127.0.0.1";
	double warmup_s = 0.5, seconds = 2;
	int connections = 100, opt;

	while ((opt = getopt(argc, argv, "p:b:c:w:d:x:")) != -1) {
		switch (opt) {
		case 'p':
			server.sin_port = htons((uint16_t)opt_int("-p", optarg, 1, 65535));
			break;
		case 'b':
			addr = optarg;
			break;
		case 'c':
			connections = (int)opt_int("-c", optarg, 1, 1000000);
			break;
		case 'w':
			if (!parse_number(optarg, 0.001, 3600, &warmup_s))
				opt_refuse("-w", optarg, "a number of seconds, 0.001 to 3600");
			break;
		case 'd':
			if (!parse_number(optarg, 0.001, 3600, &seconds))
				opt_refuse("-d", optarg, "a number of seconds, 0.001 to 3600");
			break;
		case 'x':
			spin_ns = (uint64_t)opt_int("-x", optarg, 0, 1000000);
			break;
		default:
			return EXIT_BAD_USAGE;
		}
	}
	if (optind < argc || !server.sin_port)
		die(EXIT_BAD_USAGE, "usage: bare -p PORT [-b ADDR] [-c CONNECTIONS] [-w WARMUP_S] "
				    "[-d SECONDS] [-x SPIN_NS]");
	if (inet_pton(AF_INET, addr, &server.sin_addr) != 1)
		opt_refuse("-b", addr, "an IPv4 address");
	request_bytes =
		(size_t)snprintf(request, sizeof(request), "GET / HTTP/1.1\r\nHost: %s:%d\r\n\r\n",
				 addr, ntohs(server.sin_port));
	measure(connect_all(&server, connections), warmup_s, seconds);
	return 0;
}
