/* SPDX-License-Identifier: MIT
 * What a session keeps, for its own files: session.c (the course of a run), session_lanes.c
 * (connections), session_requests.c, session_slow.c; and for turns.c, which cuts a run into slices.
 */
#ifndef TENK_LOADGEN_SESSION_STATE_H
#define TENK_LOADGEN_SESSION_STATE_H

#include <sys/resource.h>

#include "loadgen/arrival.h"
#include "loadgen/client.h"
#include "loadgen/engine.h"
#include "loadgen/opening.h"
#include "loadgen/options.h"
#include "loadgen/pace.h"
#include "loadgen/record.h"
#include "loadgen/server_cpu.h"
#include "loadgen/session.h"
#include "loadgen/stamps.h"
#include "loadgen/way.h"
#include "loadgen/window.h"

struct session {
	struct traffic traffic; /* what the engine sees; first, so that it leads back here */
	const struct options *options;
	const struct engine *engine;
	struct control *control;
	struct record *record;

	/* Who this worker is, and for whom it works. */
	const char *url;
	uint64_t seed;
	unsigned int worker;
	uint32_t first_id;       /* the connection number, over all workers, of the first lane */
	const uint32_t *sources; /* network byte order */
	size_t source_count;

	/* The course of the run. */
	bool open_loop, running;
	bool idle;              /* nothing has happened since now_ns was read */
	uint64_t now_ns;        /* latest reading of the clock */
	uint64_t start_ns;      /* the load begins */
	uint64_t send_until_ns; /* nothing is sent from here on */
	struct window window;
	bool seeking;        /* --warmup-passes: the parent has not said when the window begins */
	uint32_t had_passes; /* the lanes before this one have had them */
	uint64_t tick_ns, scan_ns, slow_ns; /* when housekeeping is next due */
	uint64_t lost_since_ns;             /* no active connection has been up since; 0: some is */
	struct taker *taker;                /* NULL unless there are several targets */
	uint64_t next_edge_ns;              /* of a slice; the end of a wait, if it is near */
	uint64_t rest_since_ns;             /* turns: the end of the latest one */
	struct server_cpu server;           /* one target, first worker: its edges read it */

	/* Connections. */
	struct opening opening;
	uint32_t connecting; /* connections in that state */
	uint32_t pending;    /* those of the set-up that are neither up nor given up */
	int connect_error;   /* errno of the last of them that was given up; 0: none was */
	uint32_t ahead;      /* of these so many may be under way; 0: any number */

	/* Requests. */
	struct client client;
	uint32_t pipeline;
	struct stamp *stamps; /* `pipeline` of them per connection, if that is more than one */
	uint64_t outstanding[POPULATIONS]; /* requests begun and not over */
	struct ring free;                  /* active connections with room for a request */
	uint64_t free_since_ns;            /* since when there has been a free connection */

	/* Open loop. */
	struct arrival arrival;
	uint64_t due_ns; /* the next arrival */
	struct pace pace;
	const uint64_t *trace_ns;
	size_t trace_length;

	bool beside; /* of a reply more is recorded than its times: its arrival, or by its class */

	/* --stamps kernel. */
	struct stamps_clock stamps_clock;
	struct way *way;    /* NULL without --way */
	uint64_t *departed; /* with it: of each connection, the stamp of its latest request */

	/* At the beginning of the window. */
	struct rusage usage;
	uint64_t spin_before_ns, starved_before_ns;
};

static inline struct session *session_of(const struct traffic *t)
{
	return (struct session *)t;
}

static inline struct tally *tally_of(struct session *s, const struct lane *c)
{
	return &s->record->tallies[c->population];
}

static inline uint32_t index_of(const struct session *s, const struct lane *c)
{
	return (uint32_t)(c - s->traffic.lanes);
}

static inline uint32_t id_of(const struct session *s, const struct lane *c)
{
	return s->first_id + index_of(s, c);
}

static inline struct stamp *stamp_of(struct session *s, struct lane *c, uint32_t number)
{
	if (s->pipeline == 1)
		return &c->stamp;
	return &s->stamps[(size_t)index_of(s, c) * s->pipeline + number % s->pipeline];
}

static inline void account_inflight(struct session *s)
{
	window_account(&s->window, s->outstanding[POPULATION_ACTIVE], s->now_ns);
}

/* --- session_lanes.c ---------------------------------------------------------------------- */

/* Is to be opened, or opened anew. */
void lane_queue(struct session *s, struct lane *c);

/* Open those that are due. */
void lanes_open(struct session *s);

/*
 * Is there one to be opened, and has it not to wait for others to be up first (--connect-ahead)?
 * Whoever opens faster than the server accepts fills its backlog, and who finds it full comes back
 * a second later.
 */
bool lanes_may_open(const struct session *s);

/* The connection is of no more use, because of `failure`; so are the requests on it. */
void lane_lose(struct session *s, struct lane *c, enum failure failure);

/* Close because its work is done, and open it anew. */
void lane_renew(struct session *s, struct lane *c);

/* One of its requests is over: what the set-up waited for (--prime), if it still goes on. */
void lane_primed(struct session *s, const struct lane *c);

/* Give up a connect, or a request, that takes longer than it may. */
void lane_check_timeout(struct session *s, struct lane *c);

/* --- session_requests.c ------------------------------------------------------------------- */

/* Begin a request; the bytes go out with the engine's next send on the connection. */
void request_begin(struct session *s, struct lane *c, uint64_t intended_ns, uint64_t now_ns);

/* The connection can do something: what, depends on whose it is. */
void request_resume(struct session *s, struct lane *c);

/* Open loop: send what is due while there is a connection free for it. */
void requests_send(struct session *s);

/* Request `number` of the window has no reply, and will have none: record it as infinite. */
void request_record_infinite(struct session *s, struct lane *c, uint32_t number);

/* Count the requests of the window that are still on this connection. */
void requests_unanswered(struct session *s, struct lane *c);

/* Open loop: count the arrivals of the window before end_ns that were never sent. */
void requests_unsent(struct session *s, uint64_t end_ns);

/* --- session_stamps.c --------------------------------------------------------------------- */

/* A request of the window has its reply: record when that arrived in the kernel, if it says so. */
void arrival_record(struct session *s, const struct lane *c, const struct stamp *stamp);

/* Look how far the clocks are apart. */
void arrival_clock(struct session *s);

/* --- session_slow.c ----------------------------------------------------------------------- */

/* Let every slow connection move as many bytes as are due in every_ns. */
void slow_turns(struct session *s, uint64_t every_ns);

#endif
