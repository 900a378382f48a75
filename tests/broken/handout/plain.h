/* SPDX-License-Identifier: MIT
 * A plain echo server, whole and right: sockets, one thread, poll(2), nothing of servers/lib.
 *
 * Each file in tests/broken/submissions is a student's submission that gets one thing wrong. It defines one
 * of the macros below in its own way, and says at its top how it must be graded.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

#ifndef AT_START /* before anything else, not for --describe */
#define AT_START()
#endif
#ifndef DESCRIPTION
#define DESCRIPTION                                                                          \
	"{\"name\": \"student\", \"protocols\": [\"echo\"], \"options\": [\"-p\", \"-P\"], " \
	"\"limits\": {\"connections\": null}}\n"
#endif
#ifndef SAY_READY
#define SAY_READY(port) printf("ready model=student port=%d pid=%d\n", port, (int)getpid())
#endif
#ifndef FLUSH
#define FLUSH() fflush(stdout)
#endif
#ifndef AFTER_READY
#define AFTER_READY()
#endif
#ifndef AT_ACCEPT
#define AT_ACCEPT(fd)
#endif
#ifndef RECEIVE
#define RECEIVE(fd, data, size) recv(fd, data, size, 0)
#endif
#ifndef ON_DATA /* what came, before it is sent back */
#define ON_DATA(fd, data, n)
#endif
#ifndef SEND
#define SEND(fd, data, n) send_all(fd, data, n)
#endif
#ifndef CLOSE
#define CLOSE(fd) close(fd)
#endif
#ifndef ON_ERROR /* recv(2) failed */
#define ON_ERROR(fd)
#endif
#ifndef ON_SIGNAL
#define ON_SIGNAL() (stopping = 1)
#endif
#ifndef COUNTERS
#define COUNTERS()                                                                    \
	printf("{\"model\": \"student\", \"connections\": %ld, \"requests\": %ld, "   \
	       "\"bytes_in\": %ld, \"bytes_out\": %ld, \"waits\": 0, \"events\": 0, " \
	       "\"eagain\": 0}\n",                                                    \
	       connections, requests, bytes, bytes)
#endif
#ifndef STATUS
#define STATUS 0
#endif

enum { MOST = 20000, BUFFER = 16384 };

static volatile sig_atomic_t stopping;
static struct pollfd fds[MOST];
static int n_fds;
static long connections, requests, bytes;

static void on_signal(int number)
{
	(void)number;
	ON_SIGNAL();
}

/* All of it: while the client does not read, this one waits, and everybody with it. */
__attribute__((unused)) static bool send_all(int fd, const char *data, size_t n)
{
	while (n > 0) {
		ssize_t sent = send(fd, data, n, MSG_NOSIGNAL);

		if (sent <= 0)
			return false;
		data += sent;
		n -= (size_t)sent;
	}
	return true;
}

/* Whether the client is still there. */
__attribute__((noinline)) static bool serve(int fd)
{
	static char data[BUFFER];
	ssize_t n = RECEIVE(fd, data, sizeof(data));

	if (n < 0)
		ON_ERROR(fd);
	if (n <= 0)
		return false;
	requests++;
	bytes += n;
	ON_DATA(fd, data, n);
	return SEND(fd, data, (size_t)n);
}

static void loop(int listener)
{
	fds[n_fds++] = (struct pollfd){.fd = listener, .events = POLLIN};
	while (!stopping) {
		if (poll(fds, (nfds_t)n_fds, 200) < 0)
			continue;
		for (int i = n_fds - 1; i > 0; i--) {
			if (fds[i].revents && !serve(fds[i].fd)) {
				CLOSE(fds[i].fd);
				fds[i] = fds[--n_fds];
			}
		}
		if (fds[0].revents && n_fds < MOST) {
			int fd = accept(listener, NULL, NULL);

			if (fd < 0)
				continue;
			connections++;
			AT_ACCEPT(fd);
			fds[n_fds++] = (struct pollfd){.fd = fd, .events = POLLIN};
		}
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t length = sizeof(address);
	struct sigaction action = {.sa_handler = on_signal};
	int listener, one = 1;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--describe") == 0) {
			printf("%s", DESCRIPTION);
			return 0;
		}
		if (strcmp(argv[i], "-p") == 0 && i + 1 < argc)
			address.sin_port = htons((in_port_t)atoi(argv[++i]));
		else if (strcmp(argv[i], "-P") == 0 && i + 1 < argc)
			i++;
		else
			return 2;
	}
	AT_START();
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) ||
	    listen(listener, 1024)) {
		perror("bind or listen");
		return 1;
	}
	getsockname(listener, (struct sockaddr *)&address, &length);
	SAY_READY(ntohs(address.sin_port));
	FLUSH();
	AFTER_READY();
	loop(listener);
	COUNTERS();
	return STATUS;
}
