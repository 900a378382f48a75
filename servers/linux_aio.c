// SPDX-License-Identifier: MIT
/*
 * linux_aio: one thread, Linux's own asynchronous I/O: io_submit(2) and io_getevents(2) (Linux
 * 2.6, 2003; IOCB_CMD_POLL from 4.18, 2018).
 *
 * We fill in requests, hand many of them over with one io_submit(2), and take what is done with
 * io_getevents(2). For sockets the request is IOCB_CMD_POLL: tell us once when this is ready. We
 * receive and send ourselves. That is epoll with EPOLLONESHOT, but arming costs no system call for
 * each connection. For GET /file/NAME the request is IOCB_CMD_PREAD, and that is what the
 * interface was made for: databases read their files with it.
 *
 * What to look for: why not IOCB_CMD_PREAD for sockets, too? It is accepted, and it is not
 * asynchronous: io_submit(2) itself waits for the bytes. From an empty socket whose client sends
 * after 300 ms it returned after 300 ms; IOCB_CMD_POLL for the same socket took 4 us. And if the
 * socket does not block, the result is EAGAIN. tests/unit/test_linux_aio.c shows both. With files
 * it is the same, unless they are read past the page cache: O_DIRECT. So we ask for that, where
 * the file system can do it. Then all must be aligned (ALIGNMENT), and nobody reads ahead: so we
 * read BLOCK bytes at a time, into a block of our own.
 *
 * Limits: descriptors, and half of fs.aio-max-nr, which all processes share.
 * Needs:  Linux 4.18 with CONFIG_AIO.
 * Try:    build/servers/linux_aio -P http --root /usr/include -p 9000 &  strace -p $! &
 *         curl http://127.0.0.1:9000/file/stdio.h
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/die.h"
#include "servers/lib/conn.h"
#include "servers/lib/model.h"
#include "servers/lib/stats.h"

#define EVENTS    512  /* taken per wait, and handed over per call */
#define LISTENER  NULL /* in an event: the listening socket, which is no connection */
#define STEPS     32   /* of one connection before the others get theirs */
#define ALIGNMENT 4096 /* of offset, length and address; disks have blocks of 512 or 4096 */
#define ROOM      1024 /* requests that may be pending at first */
#define BLOCK     (64UL * 1024) /* a multiple of ALIGNMENT */

/* Bytes at..at+len of the file that is being sent. */
struct block {
	_Alignas(ALIGNMENT) char data[BLOCK];
	off_t at;
	size_t len;
};

/* What we keep in each connection. */
struct mine {
	struct block *block; /* while it sends a file, else NULL */
};

static aio_context_t aio; /* a queue of requests, and a ring of events that user space can read */
static int room;          /* requests that may be pending in it */
static bool watched;      /* the listening socket */

/* Requests that are not handed over yet. The kernel copies them. */
static struct iocb requests[EVENTS];
static int n_requests;

/* --- the system calls, for which glibc has no functions --------------------------------------- */

static int io_setup(unsigned n, aio_context_t *ctx)
{
	return (int)syscall(SYS_io_setup, n, ctx);
}

static int io_destroy(aio_context_t ctx)
{
	return (int)syscall(SYS_io_destroy, ctx);
}

static int io_submit(aio_context_t ctx, long n, struct iocb **which)
{
	return (int)syscall(SYS_io_submit, ctx, n, which);
}

static int io_getevents(aio_context_t ctx, long least, long most, struct io_event *events,
			struct timespec *timeout)
{
	return (int)syscall(SYS_io_getevents, ctx, least, most, events, timeout);
}

/* --- asking ----------------------------------------------------------------------------------- */

static void drop(struct conn *c)
{
	struct mine *mine = conn_mine(c);

	free(mine->block);
	conn_close(c);
}

/* Hand over all requests. One that the kernel refuses is passed over, and so is its client. */
static void submit_all(void)
{
	struct iocb *which[EVENTS];
	int done = 0;

	for (int i = 0; i < n_requests; i++)
		which[i] = &requests[i];
	while (done < n_requests) {
		int n = io_submit(aio, n_requests - done, &which[done]);

		if (n > 0) {
			done += n;
		} else if (errno != EINTR) {
			struct conn *c = (struct conn *)(uintptr_t)which[done]->aio_data;

			if (c == LISTENER)
				die_errno("io_submit", NULL);
			warn("io_submit: %s; this client is turned away", strerror(errno));
			drop(c);
			done++;
		}
	}
	n_requests = 0;
}

static struct iocb *next_request(struct conn *c, int opcode, int fd)
{
	struct iocb *request;

	if (n_requests == EVENTS)
		submit_all();
	request = &requests[n_requests++];
	*request = (struct iocb){
		.aio_data = (uintptr_t)c,
		.aio_lio_opcode = (uint16_t)opcode,
		.aio_fildes = (uint32_t)fd,
	};
	return request;
}

static void submit_poll(struct conn *c, int fd, short events)
{
	next_request(c, IOCB_CMD_POLL, fd)->aio_buf = (uint16_t)events;
}

/* --- files ------------------------------------------------------------------------------------ */

/* Ask for the part of the file that holds the next byte to be sent. */
static void submit_read(struct conn *c, bool direct)
{
	struct mine *mine = conn_mine(c);
	struct iocb *request;
	off_t offset;
	int fd;

	conn_file(c, &fd, &offset);
	if (!mine->block)
		mine->block = aligned_alloc(ALIGNMENT, sizeof(*mine->block));
	if (!mine->block) {
		drop(c);
		return;
	}
	if (offset == 0 && direct)
		(void)fcntl(fd, F_SETFL, O_DIRECT); /* where that fails, the page cache will do */
	mine->block->at = offset / ALIGNMENT * ALIGNMENT;
	mine->block->len = 0;
	request = next_request(c, IOCB_CMD_PREAD, fd);
	request->aio_buf = (uintptr_t)mine->block->data;
	request->aio_nbytes = BLOCK;
	request->aio_offset = mine->block->at;
}

/* Does the block hold the next byte to be sent? */
static bool is_read(struct conn *c)
{
	const struct mine *mine = conn_mine(c);
	off_t offset;
	int fd;

	conn_file(c, &fd, &offset);
	return offset > 0 && mine->block && offset < mine->block->at + (off_t)mine->block->len;
}

/* Give the connection what the block holds of what it wants; nothing is the end of the file. */
static enum conn_io give(struct conn *c)
{
	const struct block *b = ((struct mine *)conn_mine(c))->block;
	size_t len, skip, n = 0;
	off_t offset;
	char *buf = conn_buf(c, &len);
	int fd;

	conn_file(c, &fd, &offset);
	skip = (size_t)(offset - b->at);
	if (skip < b->len)
		n = b->len - skip < len ? b->len - skip : len;
	memcpy(buf, b->data + skip, n);
	return conn_done(c, (ssize_t)n);
}

/* --- serving ---------------------------------------------------------------------------------- */

static void accept_clients(const struct server *srv)
{
	for (int i = 0; i < srv->accept_batch && server_accepting(srv); i++) {
		int fd = server_accept(srv, SOCK_NONBLOCK);
		struct conn *c;

		if (fd < 0)
			return;
		c = conn_open(fd);
		if (c)
			submit_poll(c, fd, POLLIN);
	}
}

/* Ask for what the connection waits for. */
static void submit(struct conn *c)
{
	struct mine *mine = conn_mine(c);

	if (conn_next(c) == OP_READ && !is_read(c)) {
		submit_read(c, true);
	} else if (conn_next(c) == OP_RECV) {
		free(mine->block); /* the reply is out */
		mine->block = NULL;
		submit_poll(c, conn_fd(c), POLLIN);
	} else {
		submit_poll(c, conn_fd(c), POLLOUT);
	}
}

/* Answer as far as that goes without waiting. */
static void go_on(struct conn *c, enum conn_io io)
{
	for (int i = 0; i < STEPS && io == IO_OK && conn_next(c) != OP_RECV; i++) {
		if (conn_next(c) != OP_READ)
			io = conn_step(c);
		else if (is_read(c))
			io = give(c);
		else
			break;
	}
	if (io == IO_CLOSED)
		drop(c);
	else
		submit(c);
}

static void have_read(struct conn *c, long long res)
{
	struct mine *mine = conn_mine(c);
	off_t offset;
	int fd;

	conn_file(c, &fd, &offset);
	/* The file system wants another alignment: then through the page cache. */
	if (res == -EINVAL && fcntl(fd, F_GETFL) & O_DIRECT && fcntl(fd, F_SETFL, 0) == 0) {
		submit_read(c, false);
		return;
	}
	if (res >= 0)
		mine->block->len = (size_t)res;
	go_on(c, res < 0 ? conn_done(c, (ssize_t)res) : give(c));
}

static void complete(struct conn *c, long long res)
{
	enum conn_io io = IO_OK;

	if (conn_next(c) == OP_READ && !is_read(c)) {
		have_read(c, res);
		return;
	}
	if (conn_next(c) == OP_RECV && conn_step(c) == IO_CLOSED)
		io = IO_CLOSED;
	go_on(c, io);
}

/* --- room ------------------------------------------------------------------------------------- */

/*
 * Room for one more turn of the loop. All processes share fs.aio-max-nr, so we take no more than
 * we need. The size of a queue is fixed. So when it is too small we ask for everything anew, in a
 * larger one: io_destroy(2) ends what is pending, waits for the reads, and throws the events away.
 */
static bool make_room(const struct server *srv)
{
	int conns = conn_count() + srv->accept_batch;
	aio_context_t larger = 0;
	struct conn *c;
	int want, at = 0;

	if (conns > srv->max_conns)
		conns = srv->max_conns;
	if (conns + 1 <= room) /* one for the listening socket */
		return true;
	want = conns + 1 > 2 * room ? conns + 1 : 2 * room;
	if (io_setup((unsigned)want, &larger))
		return false;
	io_destroy(aio);
	aio = larger;
	room = want;
	watched = false;
	n_requests = 0;
	while ((c = conn_each(&at)))
		submit(c);
	return true;
}

/* For clients to come; those that are here keep theirs. Refused, it asks again in a moment. */
static bool has_room(const struct server *srv)
{
	static uint64_t refused_until_ns;

	if (refused_until_ns && clock_now_ns() < refused_until_ns)
		return false;
	if (make_room(srv))
		return true;
	if (!refused_until_ns)
		warn("io_setup: %s; clients wait in the backlog until some are gone; raise "
		     "fs.aio-max-nr with sysctl(8)",
		     strerror(errno));
	refused_until_ns = clock_now_ns() + (uint64_t)server_wait_ms(false) * NS_PER_MS;
	return false;
}

static void setup(const struct server *srv)
{
	room = srv->max_conns < ROOM ? srv->max_conns + 1 : ROOM;
	if (io_setup((unsigned)room, &aio) == 0)
		return;
	if (errno == ENOSYS)
		die(EXIT_UNSUPPORTED, "io_setup: %s; the kernel was built without CONFIG_AIO",
		    strerror(errno));
	die_errno("io_setup", errno == EAGAIN ? "raise fs.aio-max-nr with sysctl(8)" : NULL);
}

static void run(const struct server *srv)
{
	struct io_event events[EVENTS];

	while (!server_stopping()) {
		bool accepting = server_accepting(srv) && has_room(srv);
		int ms = server_wait_ms(accepting), n;
		struct timespec timeout = {.tv_nsec = ms * 1000000L};

		if (accepting && !watched) {
			submit_poll(LISTENER, srv->listen_fd, POLLIN);
			watched = true;
		}
		submit_all();
		n = io_getevents(aio, 1, EVENTS, events, ms < 0 ? NULL : &timeout);
		stats_waited(n);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			die_errno("io_getevents", NULL);
		}
		for (int i = 0; i < n; i++) {
			struct conn *c = (struct conn *)(uintptr_t)events[i].data;

			if (c == LISTENER) {
				watched = false; /* it is told once */
				if (accepting)
					accept_clients(srv);
			} else {
				complete(c, events[i].res);
			}
		}
	}
}

/* While make_room() changes from one queue to the next it has both. */
static void probe(struct limit *limit)
{
	FILE *file = fopen("/proc/sys/fs/aio-max-nr", "re");
	int most = INT_MAX;

	if (!file)
		die(EXIT_UNSUPPORTED,
		    "/proc/sys/fs/aio-max-nr: %s; is the kernel built without "
		    "CONFIG_AIO?",
		    strerror(errno));
	if (fscanf(file, "%d", &most) != 1)
		most = INT_MAX;
	fclose(file);
	if (most / 2 - 1 < limit->conns)
		*limit = (struct limit){most / 2 - 1, "half of fs.aio-max-nr"};
}

const struct model model = {
	.name = "linux_aio",
	.summary = "io_submit and io_getevents: polls for sockets, reads past the cache for files",
	.family = "readiness",
	.needs = "Linux 4.18",
	.flags = USES_MAX_CONNS | USES_ACCEPT_BATCH,
	.conn_bytes = sizeof(struct mine),
	.probe = probe,
	.setup = setup,
	.run = run,
	.nonblocking = true,
};
