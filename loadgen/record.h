/* SPDX-License-Identifier: MIT
 * What is counted during a run. Each worker writes one struct record in a shared mapping, alone and
 * without locks; the parent reads it while the run goes on and adds the workers' up at the end.
 */
#ifndef TENK_LOADGEN_RECORD_H
#define TENK_LOADGEN_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "loadgen/ask.h"
#include "loadgen/hist.h"
#include "loadgen/slice.h"

enum population {
	POPULATION_ACTIVE,
	POPULATION_IDLE,
	POPULATION_SILENT,
	POPULATION_SLOW_READERS,
	POPULATION_SLOW_WRITERS,
	POPULATION_SHORT_LIVED,
	POPULATIONS
};

/* Kinds of failure, of a request or of a connection. */
enum failure {
	FAILURE_REFUSED,         /* connect: ECONNREFUSED */
	FAILURE_CONNECT_TIMEOUT, /* connect: no answer within the limit */
	FAILURE_CONNECT,         /* connect: any other error */
	FAILURE_NO_PORT,         /* connect: EADDRNOTAVAIL, no local port is free */
	FAILURE_NO_DESCRIPTOR,   /* socket: EMFILE, ENFILE */
	FAILURE_NO_MEMORY,       /* socket, connect: ENOBUFS, ENOMEM */
	FAILURE_RESET,           /* the server reset the connection */
	FAILURE_WRITE,           /* send failed, for whatever reason */
	FAILURE_CLOSED,          /* the server closed without being asked to, perhaps mid-reply */
	FAILURE_TIMEOUT,         /* no complete reply within --timeout */
	FAILURE_STATUS,          /* http: a complete reply, but neither 2xx nor 3xx */
	FAILURE_GARBAGE,         /* not a reply of this protocol */
	FAILURE_MISMATCH,        /* not the bytes that were due */
	FAILURE_TOO_MUCH,        /* bytes nobody asked for */
	FAILURE_IO,              /* any other error of recv */
	FAILURES
};

/* "active", "idle", ...; "refused", "connect-timeout", ... */
const char *population_name(enum population population);
const char *failure_name(enum failure failure);

/* The kind that an errno of connect(2), or of recv(2), belongs to. */
enum failure failure_of_connect(int error);
enum failure failure_of_recv(int error);

/*
 * Counts of one population. A request belongs to the measured window if its intended start does;
 * only those are counted here: sent = completed + unanswered + sum of request_errors. Connections
 * are counted from the beginning of the set-up on.
 */
struct tally {
	uint64_t connections; /* how many the population consists of */
	uint64_t up;          /* of them connected now */
	uint64_t opened;      /* connects that succeeded */
	uint64_t sent;
	uint64_t completed;
	uint64_t unanswered;                  /* still without a reply when the drain ended */
	uint64_t unsent;                      /* open loop: due in the window, never sent */
	uint64_t unsent_estimated;            /* of these not counted one by one */
	uint64_t request_errors[FAILURES];    /* requests that failed, by cause */
	uint64_t connection_errors[FAILURES]; /* connections that failed with no request on them */
	struct hist latency; /* service time; the active population has its own three instead */
};

enum worker_phase {
	WORKER_SETUP, /* opening connections */
	WORKER_READY, /* all are up or given up; waiting for control.start_ns */
	WORKER_RUNNING,
	WORKER_DONE,   /* the record is final */
	WORKER_FAILED, /* could not start; `message` says why */
};

struct record {
	uint32_t phase;      /* enum worker_phase, atomic */
	int32_t exit_status; /* with WORKER_FAILED */
	uint32_t beats;      /* turns of its loop while setting up, atomic: a sign of life */
	uint32_t pid;        /* atomic */
	uint32_t warm;       /* atomic: its connections have had --warmup-passes */
	struct tally tallies[POPULATIONS];
	struct hist response, service, lag; /* of the active population */
	struct hist arrival;                /* --stamps: from the send to the reply's arrival */
	struct hist classes[ASK_CLASSES];   /* response times of those of a request file */
	uint32_t class_count;
	struct hist late;             /* lag for which no busy connection can be blamed */
	struct hist connect;          /* connect times of all populations, from the set-up on */
	uint64_t replies;             /* complete ones since the start, all populations */
	uint64_t bad_replies;         /* of them with a status that says no */
	uint64_t replies_in_window;   /* right replies received in the window: the throughput */
	uint64_t bytes_in, bytes_out; /* in the window, all populations */
	uint64_t failures;            /* since the start, for the intervals */
	uint64_t inflight_ns;         /* integral over the window of the requests in flight */
	uint64_t user_ns, system_ns;  /* CPU time in the window */
	uint64_t spin_ns;             /* of it deliberate: spinning towards an arrival */
	uint64_t spun_ns;             /* the same since the start */
	uint64_t window_ns;           /* turns: how long the windows of all slices were */
	uint64_t starved_ns;          /* ready to run in the window, but without a CPU */
	uint64_t absent_ns;           /* in the window, in pauses too long for any work it had */
	uint64_t served, served_squares, servants; /* for fairness: sum, sum of squares, number */
	uint64_t wrong;     /* connections whose bytes were wrong, warm-up and set-up included */
	uint64_t unstamped; /* replies of the window without a stamp that can be right */
	uint64_t stamps_error_ns; /* what the stamps' clock is converted with may be so wrong */
	uint64_t stamps_steps;    /* how often the time of day was set */
	uint64_t gone;            /* connects refused after the start */
	struct reading from, to;  /* edges of the window: --server-cpu with one URL, first worker */
	uint64_t ended_ns;  /* when the worker stopped sending; before the window's end if early */
	char message[256];  /* why the worker could not start */
	char mismatch[256]; /* what was wrong with the first reply that did not verify */
};

/* What the parent tells its workers. */
struct control {
	uint32_t stop;     /* atomic: end now */
	uint64_t start_ns; /* atomic: when the load begins; 0: not yet */
	/* --warmup-passes, atomic: when the window begins; 0: not yet */
	uint64_t window_ns;
};

static inline uint32_t shared_load(const uint32_t *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static inline void shared_store(uint32_t *p, uint32_t value)
{
	__atomic_store_n(p, value, __ATOMIC_RELEASE);
}

#endif
