/* SPDX-License-Identifier: MIT
 * What is asked of an http server beside the URL's path: method, header fields, body, and several
 * requests from a file. No I/O.
 */
#ifndef TENK_LOADGEN_ASK_H
#define TENK_LOADGEN_ASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loadgen/target.h"

enum {
	ASK_LINES = 10000,         /* of a request file */
	ASK_WEIGHT = 1000000,      /* greatest weight of a line */
	ASK_CLASSES = 4,           /* of a request file */
	ASK_CLASS_LENGTH = 16,     /* longest name of a class, characters */
	ASK_BODY = 1 << 20,        /* longest body, bytes */
	ASK_RENDERED = 64 << 20,   /* all requests of a file together, bytes */
	ASK_METHOD_LENGTH = 16,    /* longest method, letters */
	ASK_FIELD_LENGTH = 8 << 10 /* longest header field, bytes */
};

/* One line of a request file. */
struct ask_line {
	const char *method, *path;
	uint64_t upto; /* the weights so far, its own included; of all lines 0 if none has any */
	size_t class;  /* index into the classes; 0 if there are none */
};

/* All texts are borrowed. All zero: GET of the URL's path. */
struct http_ask {
	const char *method; /* NULL: GET, or POST where there is a body */
	const char *const *fields;
	size_t field_count;
	const char *body; /* NULL: none. Of a file's requests, POST, PUT and PATCH have it */
	size_t body_bytes;
	struct ask_line *lines; /* or NULL */
	size_t line_count;
	const char *classes[ASK_CLASSES]; /* names of groups of lines, in order of appearance */
	size_t class_count;               /* 0: none are named */
};

/* One request as it is sent. */
struct ask_request {
	char *bytes;
	size_t length;
	bool head; /* its reply has no body, whatever its header says */
};

/* NULL, or what a right method or header field is in words. */
const char *ask_check_method(const char *method);
const char *ask_check_field(const char *field);

/*
 * Read the lines of a request file, METHOD PATH [WEIGHT [CLASS]], into ask->lines (ask_free_lines()
 * frees them), which point into `text`: it is cut up, and must stay. Empty lines, and those that
 * begin with #, do not count. Either all lines have a weight or none has; the same holds of a
 * class. NULL, or in `reason` which line is wrong and how.
 */
const char *ask_parse_lines(struct http_ask *ask, char *text, char *reason, size_t size);
void ask_free_lines(struct http_ask *ask);

/* How many different requests there are, at least one. */
size_t ask_count(const struct http_ask *ask);

/* Which of them is number `number` of connection `id`: in order, or drawn by weight. */
size_t ask_pick(const struct http_ask *ask, uint64_t seed, uint32_t id, uint32_t number);

/* The part of all requests that are of a class: 0..1. */
double ask_class_share(const struct http_ask *ask, size_t class);

/* Make request number i of them. False when memory is out; the caller frees out->bytes. */
bool ask_render(const struct target *target, size_t i, struct ask_request *out);

#endif
