// SPDX-License-Identifier: MIT
/*
 * NAME: an echo server on plain sockets, to be written.
 *
 * Everything around the server is here: what it says of itself, its options, the listening socket,
 * the ready line, the signals, the counters. What is missing is the server: serve() at the end.
 *
 * Compile: cc -Wall -Wextra -o NAME NAME.c
 * Try:     ./NAME -p 9000 &  nc 127.0.0.1 9000
 */
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char name[] = "NAME";
static volatile sig_atomic_t stopping;                  /* SIGTERM or SIGINT has come */
static long connections, requests, bytes_in, bytes_out; /* to be counted by serve() */

static void on_signal(int number)
{
	(void)number;
	stopping = 1;
}

static void die(const char *call)
{
	perror(call);
	exit(1);
}

/* What the grader asks first: one line of JSON. */
static void describe(void)
{
	printf("{\"name\": \"%s\", \"summary\": \"an echo server\", \"family\": \"readiness\", "
	       "\"protocols\": [\"echo\"], \"options\": [\"-p\", \"-P\"], \"workers\": 0, "
	       "\"needs\": [], \"limits\": {\"connections\": null, \"reason\": \"descriptors\"}}\n",
	       name);
}

/* -p PORT (0: any free one), -P echo, --describe. Anything else is refused with status 2. */
static int parse(int argc, char **argv)
{
	int port = 0;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--describe") == 0) {
			describe();
			exit(0);
		} else if (strcmp(argv[i], "-p") == 0 && i + 1 < argc) {
			port = atoi(argv[++i]);
		} else if (strcmp(argv[i], "-P") == 0 && i + 1 < argc &&
			   strcmp(argv[i + 1], "echo") == 0) {
			i++;
		} else {
			fprintf(stderr, "%s: '%s' is not allowed: -p PORT, -P echo, --describe\n",
				name, argv[i]);
			exit(2);
		}
	}
	return port;
}

static int listen_on(int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((in_port_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)))
		die("bind");
	if (listen(fd, SOMAXCONN))
		die("listen");
	return fd;
}

/* stdout is a pipe here, so without fflush() nobody would see the line. */
static void say_ready(int fd)
{
	struct sockaddr_in address;
	socklen_t length = sizeof(address);

	if (getsockname(fd, (struct sockaddr *)&address, &length))
		die("getsockname");
	printf("ready model=%s port=%d pid=%d\n", name, ntohs(address.sin_port), (int)getpid());
	fflush(stdout);
}

static void report(void)
{
	printf("{\"model\": \"%s\", \"connections\": %ld, \"requests\": %ld, \"bytes_in\": %ld, "
	       "\"bytes_out\": %ld, \"waits\": 0, \"events\": 0, \"eagain\": 0}\n",
	       name, connections, requests, bytes_in, bytes_out);
}

/*
 * To be written: accept clients and send back what they send, until `stopping`. As it stands it
 * waits for its end, and lets all clients wait.
 */
static void serve(int listener)
{
	(void)listener;
	while (!stopping)
		poll(NULL, 0, 100);
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = on_signal};
	int listener = listen_on(parse(argc, argv));

	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	say_ready(listener);
	serve(listener);
	report();
	return 0;
}
