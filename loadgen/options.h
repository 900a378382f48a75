/* SPDX-License-Identifier: MIT
 * The load generator's options. One table in options.c is the source of the parser, of --help, of
 * the "config" object in the JSON and of the table in docs/loadgen.md.
 */
#ifndef TENK_LOADGEN_OPTIONS_H
#define TENK_LOADGEN_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "loadgen/record.h"

enum arrival_kind { ARRIVAL_FIXED, ARRIVAL_POISSON, ARRIVAL_TRACE };
enum verify_kind { VERIFY_FULL, VERIFY_NONE };
enum close_kind { CLOSE_FIN, CLOSE_RST };
enum pace_kind { PACE_HYBRID, PACE_SLEEP, PACE_SPIN };
enum stamps_kind { STAMPS_NONE, STAMPS_KERNEL };
enum arrangement { ARRANGEMENT_TURNS, ARRANGEMENT_TOGETHER };

enum {
	TARGETS_MAX = 32,  /* URLs of one run */
	WORKERS_MAX = 256, /* worker processes of one run, all targets together */
};

/* A duration option that was left at "auto". */
#define DURATION_AUTO INT64_C(-1)

/* An option that may be given several times, in the order given. */
struct option_list {
	const char *items[TARGETS_MAX];
	size_t count;
};

/* Every option as used. Times are nanoseconds, sizes bytes, texts borrowed from argv or NULL. */
struct options {
	const char *url;         /* the first one */
	struct option_list urls; /* all of them, at least one */
	int64_t connections;
	int64_t workers;
	int64_t duration_ns;
	int64_t warmup_ns;
	int64_t warmup_passes; /* 0: warmup_ns alone says how long the warm-up is */
	int64_t warmup_most_ns;
	int64_t drain_ns;
	int64_t timeout_ns;
	double rate_rps; /* 0: closed loop */
	int arrival;     /* enum arrival_kind */
	const char *trace;
	int64_t seed;
	int pace; /* enum pace_kind */
	int64_t size_bytes;
	struct option_list headers; /* http: further header fields */
	const char *method;
	const char *body;     /* a file */
	const char *requests; /* a file */
	bool remote;
	int64_t pipeline;
	int64_t requests_per_connection; /* 0: as many as the run lasts */
	int close;                       /* enum close_kind */
	int verify;                      /* enum verify_kind */
	int64_t idle;
	int64_t silent;
	int64_t slow_readers;
	int64_t slow_writers;
	int64_t short_lived;
	int64_t slow_rate_bytes;
	double connect_rate_rps; /* 0: 20,000/s while setting up, unpaced afterwards */
	int64_t connect_ahead;   /* over all workers; 0: any number */
	const char *source_ip;
	const char *engine;
	const char *cpus;
	int arrangement;      /* enum arrangement; several URLs */
	int64_t rounds;       /* turns: slices per target; 0: as many as --duration holds */
	int64_t slice_ns;     /* or DURATION_AUTO */
	int64_t slice_passes; /* of an "auto" slice; an "auto" settling has half as many */
	int64_t settle_ns;    /* or DURATION_AUTO */
	struct option_list server_cpus; /* none, or one for each URL */
	int64_t interval_ns;
	bool latency;
	bool prime;
	bool quiet;
	const char *json;
	const char *hlog;
	const char *hgrm;
	int stamps; /* enum stamps_kind */
	const char *way;
	int64_t events_fd; /* -1: none */
	uint64_t given;    /* bit i: row i of the table was on the command line */
};

enum option_kind {
	OPTION_INT,      /* int64_t, plain */
	OPTION_COUNT,    /* int64_t, k = 1000 */
	OPTION_SIZE,     /* int64_t, k = 1024 */
	OPTION_DURATION, /* int64_t nanoseconds */
	OPTION_AUTO,     /* the same, or DURATION_AUTO for "auto" */
	OPTION_NUMBER,   /* double, k = 1000 */
	OPTION_TEXT,     /* const char * */
	OPTION_LIST,     /* struct option_list */
	OPTION_CHOICE,   /* int, index into `choices` */
	OPTION_FLAG,     /* bool */
};

struct option_row {
	const char *name; /* long name, without "--" */
	char letter;      /* short name, or 0 */
	enum option_kind kind;
	size_t offset;        /* of its field in struct options */
	const char *argument; /* what --help calls the value; NULL for a flag */
	const char *initial;  /* the default, as it would be typed; NULL: none */
	double min, max;      /* allowed range of a number; of a duration, in nanoseconds */
	const char *choices;  /* "a|b|c" of OPTION_CHOICE */
	const char *unit;     /* unit of the value in the JSON, "" where it has none */
	const char *help;
};

/* The table; ends with a row whose name is NULL. */
extern const struct option_row option_table[];

/*
 * Parse the command line into *o. A wrong option, value or combination prints one line naming the
 * option, the value and what is allowed, and exits 2; --help and --version print and exit 0.
 */
void options_parse(struct options *o, int argc, char **argv);

/* Was this option, named without "--", on the command line? */
bool options_given(const struct options *o, const char *name);

/* Fill *o with the defaults only: what a test starts from. */
void options_defaults(struct options *o);

/* How many connections of a population are asked for; of all of them. */
int64_t options_population(const struct options *o, enum population population);
int64_t options_all_connections(const struct options *o);

/* Print --help, the option table of docs/loadgen.md, or the manual page (roff, for man(1)). */
void options_help(FILE *out);
void options_markdown(FILE *out);
void options_man(FILE *out);

/* The text of choice number `index` of a row, into buf; the row's own field where index < 0. */
const char *options_choice(const struct option_row *row, int index, char *buf, size_t size);

#endif
