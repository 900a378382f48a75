/* SPDX-License-Identifier: MIT
 * One worker's share of a run: its connections, what each does next, and what is recorded.
 *
 * The session knows when a request is due and what its outcome means; it leaves the moving of bytes
 * to its engine and their meaning to client.h. It runs in one process and one thread and shares
 * nothing but its struct record.
 *
 * Times are nanoseconds of CLOCK_MONOTONIC. The clock is read once for each recv(2) that brought
 * bytes, straight after it; replies that came in one recv share that time, since that is when they
 * arrived here. In a closed loop the next request is sent within that turn and takes the same time
 * as its start (so its lag is 0 by definition, and its service time is if anything too long). In an
 * open loop the clock is read again before each send.
 */
#ifndef TENK_LOADGEN_SESSION_H
#define TENK_LOADGEN_SESSION_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include "loadgen/arrival.h"
#include "loadgen/client.h"
#include "loadgen/engine.h"
#include "loadgen/options.h"
#include "loadgen/record.h"

enum conn_state { CONN_CLOSED, CONN_CONNECTING, CONN_READY };

/* When a request was due, and when it was handed to the kernel. */
struct stamp {
	uint64_t intended_ns, sent_ns;
};

/* One connection: what a request and its reply touch is in the first 64 bytes. */
struct conn {
	_Alignas(64) struct stamp stamp; /* of its request, if there is only one at a time */
	int fd;
	uint32_t generation;   /* counts the sockets it has had: tells stale events */
	uint32_t asked;        /* requests begun */
	uint32_t answered;     /* requests over with; asked - answered are outstanding */
	uint32_t unsent_bytes; /* of the requests begun */
	uint32_t quota;        /* requests this socket may still make */
	uint32_t served;       /* right replies within the window */
	uint8_t state;         /* enum conn_state */
	uint8_t population;
	bool in_free; /* is in the list of free connections */
	bool in_open; /* is in the queue of those to be opened */
	struct reply reply;
	uint64_t moved_ns; /* slow ones: when bytes last moved */
};

/* A ring of connection numbers; each is in it at most once, so it cannot overflow. */
struct ring {
	uint32_t *items;
	uint32_t size, head, length;
};

struct session {
	const struct options *options;
	const struct engine *engine;
	void *engine_data;
	struct control *control;
	struct record *record;
	struct client client;
	struct arrival arrival;
	struct sockaddr_in server;
	const uint32_t *sources; /* network byte order */
	size_t source_count;
	const char *url;
	uint64_t seed;
	unsigned int worker;
	uint64_t rest_since_ns; /* turns: the end of the latest one */
	const uint64_t *trace_ns;
	size_t trace_length;
	struct taker *taker;   /* NULL unless there are several targets */
	uint64_t next_edge_ns; /* of a slice; the end of a wait, if it is near */
	uint32_t connecting;   /* connections in that state */
	uint32_t first_id;     /* the connection number, over all workers, of conns[0] */

	struct conn *conns;
	uint32_t conn_count;
	struct stamp *stamps; /* `pipeline` of them per connection, if that is more than one */
	uint32_t pipeline;
	char *buffer; /* for recv */
	char *scratch;

	bool open_loop, running;
	uint64_t now_ns;                   /* latest reading of the clock */
	uint64_t start_ns;                 /* the load begins */
	uint64_t from_ns, window_ns;       /* the measured window */
	uint64_t send_until_ns;            /* nothing is sent from here on */
	uint64_t due_ns;                   /* open loop: the next arrival */
	uint64_t free_since_ns;            /* since when there has been a free connection */
	uint64_t outstanding[POPULATIONS]; /* requests begun and not over */
	struct ring free;                  /* active connections with room for a request */
	struct ring opening;               /* connections to be opened */
	uint64_t open_at_ns;               /* not before this */
	uint64_t backoff_ns;     /* 0, or how long the last failed connect put off the next */
	uint64_t connect_gap_ns; /* between two connects; 0: unpaced */
	uint64_t tick_ns, scan_ns, slow_ns;
	uint64_t lost_since_ns; /* no active connection has been up since; 0: some is */
	uint32_t pending;       /* connections of the set-up that are neither up nor given up */
	bool idle;              /* nothing has happened since now_ns was read */
	uint64_t pace_ns;       /* how long before an arrival sleeping ends and spinning begins */
	struct rusage usage;    /* at the beginning of the window */
	uint64_t spin_before_ns, starved_before_ns;
	uint64_t inflight_ns, inflight_at_ns; /* integral of outstanding active requests; until */
	uint64_t edge_ns;                     /* of the window, the next one */
	uint64_t inflight_before_ns;
};

enum { SESSION_BUFFER = 65536 };

/* What a worker is to do. Everything is borrowed and must outlive session_run(). */
struct session_setup {
	const struct options *options;
	const struct target *target;
	struct sockaddr_in server;
	const uint32_t *sources;
	size_t source_count;
	const char *url;
	uint64_t seed;       /* of this target's arrivals and bytes */
	unsigned int worker; /* 0 .. options->workers - 1 */
	const uint64_t *trace_ns;
	size_t trace_length;
	struct control *control;
	struct record *record;
	struct turns *turns;  /* NULL unless there are several targets */
	uint32_t turn_target; /* with turns: the number of this one */
	const char *server_cpu;
};

/*
 * Open this worker's connections, wait for control->start_ns, load the server, and leave the result
 * in the record, with phase WORKER_DONE or WORKER_FAILED.
 */
void session_run(const struct session_setup *setup);

/* How many connections of a population worker number `worker` of `workers` has. */
uint32_t session_share(int64_t connections, unsigned int worker, unsigned int workers);

/* --- for turns.c: a run in slices --------------------------------------------------------- */

/* One turn of the loop: wait for the sockets, but not beyond next_edge_ns, and do what is due. */
void session_turn(struct session *s);

/* The run was ended, or the server has gone. */
bool session_is_over(const struct session *s);

/* The server refuses connections and none is up. */
bool session_is_deserted(const struct session *s);

/* An arrival process of this session's kind and rate, over all workers of the target. */
void session_init_arrivals(const struct session *s, struct arrival *a, uint64_t seed);

/*
 * Begin to send, arrivals since begin_ns; open what is closed. `number` makes one turn's arrivals
 * differ from another's. No window is open yet.
 */
void session_begin_turn(struct session *s, uint64_t begin_ns, uint32_t number);

/*
 * The measured window of this turn begins, and ends; nothing is sent from then on. Requests due in
 * it are counted and recorded as those of a whole run are. Closing does nothing if none is open.
 */
void session_open_window(struct session *s);
void session_close_window(struct session *s);

/*
 * Wait until what was sent is answered, at most --timeout, and count what was not. Slow connections
 * are not waited for: they rest until the next turn, and their requests count as unanswered.
 */
void session_end_turn(struct session *s);

/* --- for the engines ---------------------------------------------------------------------- */

/* The connection is established. */
void session_connected(struct session *s, struct conn *c);

/* It could not be: `error` is an errno. */
void session_unconnected(struct session *s, struct conn *c, int error);

/* Bytes came. False if the connection was closed because of them. */
bool session_received(struct session *s, struct conn *c, const char *data, size_t length);

/* The server closed its side. */
void session_eof(struct session *s, struct conn *c);

/* recv failed with errno `error`, or send failed. */
void session_recv_failed(struct session *s, struct conn *c, int error);
void session_send_failed(struct session *s, struct conn *c);

/* The next bytes to send of c->unsent_bytes; in the result or, with them, in scratch. */
const char *session_produce(const struct session *s, const struct conn *c, char *scratch,
			    size_t scratch_bytes, size_t *length);

/* `bytes` of c->unsent_bytes went out. */
void session_sent(struct session *s, struct conn *c, size_t bytes);

/* True for the populations that the session itself reads and writes, slowly. */
static inline bool conn_is_slow(const struct conn *c)
{
	return c->population == POPULATION_SLOW_READERS || c->population == POPULATION_SLOW_WRITERS;
}

static inline uint32_t conn_outstanding(const struct conn *c)
{
	return c->asked - c->answered;
}

#endif
