// SPDX-License-Identifier: MIT
#include "loadgen/output.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/die.h"
#include "common/parse.h"
#include "loadgen/hgrm.h"
#include "loadgen/report.h"

enum { LINKS_MOST = 40 }; /* symbolic links followed for one path, as the kernel does */

void output_streams_init(void)
{
	signal(SIGPIPE, SIG_IGN);
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		/* Opened for reading only, standard output fails when it is written to: EBADF. */
		if (open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY) != fd)
			_exit(EXIT_FAILURE); /* there is nothing to say it on */
	}
}

static bool to_stdout(const char *path)
{
	return path && strcmp(path, "-") == 0;
}

/* A file, also one that does not exist yet: then it is a name in a folder. */
struct place {
	const char *option;
	const char *path;
	struct stat status; /* of the file, or of the folder it would be made in */
	char name[NAME_MAX + 1];
	bool exists;
};

/* Split into folder ("." if none) and name; false if either is too long or the name empty. */
static bool split_path(const char *path, char folder[PATH_MAX], char name[NAME_MAX + 1])
{
	const char *slash = strrchr(path, '/'), *last = slash ? slash + 1 : path;

	if (!*last || strlen(path) >= PATH_MAX || strlen(last) > NAME_MAX)
		return false;
	snprintf(folder, PATH_MAX, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
	strcpy(name, last);
	return true;
}

/* Where a file would be made, through links that lead to nothing yet; false if it cannot be. */
static bool find_new(struct place *p)
{
	char path[PATH_MAX], folder[PATH_MAX], link[PATH_MAX];

	if (strlen(p->path) >= sizeof(path))
		return false;
	strcpy(path, p->path);
	for (int i = 0; i < LINKS_MOST && split_path(path, folder, p->name); i++) {
		ssize_t n = readlink(path, link, sizeof(link) - 1);
		size_t used;

		if (n < 0)
			return stat(folder, &p->status) == 0 && S_ISDIR(p->status.st_mode) &&
			       access(folder, W_OK | X_OK) == 0;
		link[n] = '\0';
		used = *link == '/' || strcmp(folder, ".") == 0 ? 0 : strlen(folder);
		if (used + (size_t)n >= sizeof(path))
			return false;
		memcpy(path, folder, used);
		memcpy(path + used, link, (size_t)n + 1);
	}
	return false;
}

static void find_place(struct place *p, const char *option, const char *path)
{
	*p = (struct place){.option = option, .path = path, .exists = true};
	if (to_stdout(path)) {
		if (fstat(STDOUT_FILENO, &p->status) < 0)
			memset(&p->status, 0, sizeof(p->status));
		return;
	}
	if (stat(path, &p->status) == 0) {
		if (S_ISDIR(p->status.st_mode) || access(path, W_OK) < 0)
			opt_refuse(option, path, "a file that can be written");
		return;
	}
	p->exists = false;
	if (!find_new(p))
		opt_refuse(option, path, "a file in a folder that exists and can be written to");
}

static bool same_place(const struct place *a, const struct place *b)
{
	if (a->exists && S_ISCHR(a->status.st_mode))
		return false;
	return a->exists == b->exists && a->status.st_dev == b->status.st_dev &&
	       a->status.st_ino == b->status.st_ino && strcmp(a->name, b->name) == 0;
}

/* Is the text report printed? Not where something else goes to standard output. */
static bool text_wanted(const struct options *o)
{
	return !o->quiet && !to_stdout(o->json) && !to_stdout(o->hgrm) && !to_stdout(o->hlog) &&
	       !to_stdout(o->way);
}

/* The trace has been read by now, but is the user's to keep. */
static void check_trace(const struct place *p, const struct options *o)
{
	struct place trace = {.exists = true};

	if (o->trace && stat(o->trace, &trace.status) == 0 && same_place(p, &trace))
		opt_refuse(p->option, p->path, "a file of its own: it is the --trace");
}

void output_check(const struct options *o)
{
	const struct {
		const char *option, *path;
	} wanted[] = {
		{"standard output", text_wanted(o) ? "-" : NULL},
		{"--json", o->json},
		{"--hgrm", o->hgrm},
		{"--hlog", o->hlog},
		{"--way", o->way},
	};
	struct place places[sizeof(wanted) / sizeof(*wanted)];
	char allowed[64];
	size_t n = 0;

	if (to_stdout(o->json) + to_stdout(o->hgrm) + to_stdout(o->hlog) + to_stdout(o->way) > 1)
		die(EXIT_BAD_USAGE,
		    "--json, --hgrm, --hlog, --way: '-' is allowed for one of them only");
	for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++) {
		struct place *p = &places[n];

		if (!wanted[i].path)
			continue;
		find_place(p, wanted[i].option, wanted[i].path);
		check_trace(p, o);
		for (size_t k = 0; k < n; k++) {
			if (!same_place(p, &places[k]))
				continue;
			snprintf(allowed, sizeof(allowed), "a file of its own: %s is written there",
				 places[k].option);
			opt_refuse(p->option, p->path, allowed);
		}
		n++;
	}
}

static void forget(const char *path)
{
	struct stat status;

	/* A link is the user's, and may lead to a device: the file at its end is left as it is. */
	if (!path || to_stdout(path) || lstat(path, &status) != 0 || !S_ISREG(status.st_mode))
		return;
	if (unlink(path) != 0 && truncate(path, 0) != 0)
		warn("'%s': an earlier run's, and cannot be removed: %s", path, strerror(errno));
}

void output_forget(const struct options *o)
{
	forget(o->json);
	forget(o->hgrm);
	forget(o->way);
}

static bool failed(const char *what)
{
	warn("%s could not be written: %s", what, strerror(errno ? errno : EIO));
	return false;
}

bool output_flush_stdout(void)
{
	bool fine = !ferror(stdout);

	return (fflush(stdout) == 0 && fine) || failed("standard output");
}

static bool write_json(FILE *out, const struct result *r, const struct verdict *v)
{
	return report_json(out, r, v);
}

static bool write_hgrm(FILE *out, const struct result *r, const struct verdict *v)
{
	(void)v;
	return hgrm_write(out, &r->total->response, 1e6);
}

static bool write_way(FILE *out, const struct result *r, const struct verdict *v)
{
	(void)v;
	return way_write(out, r->way);
}

static bool write_file(const char *option, const char *path,
		       bool (*write)(FILE *, const struct result *, const struct verdict *),
		       const struct result *r, const struct verdict *v)
{
	char what[PATH_MAX + 64];
	FILE *out;
	bool fine;

	if (!path)
		return true;
	snprintf(what, sizeof(what), "%s: '%s'", option, path);
	out = to_stdout(path) ? stdout : fopen(path, "we");
	if (!out)
		return failed(what);
	fine = write(out, r, v);
	if (!fine)
		failed(what);
	/* A disk may say only now that it is full. */
	if (out != stdout && fclose(out) != 0 && fine)
		fine = failed(what);
	return fine;
}

bool output_write(const struct result *r, const struct verdict *v)
{
	const struct options *o = r->options;
	bool fine = true;

	if (text_wanted(o)) {
		report_text(stdout, r, v);
		fine = output_flush_stdout();
	}
	fine &= write_file("--json", o->json, write_json, r, v);
	fine &= write_file("--hgrm", o->hgrm, write_hgrm, r, v);
	fine &= write_file("--way", o->way, write_way, r, v);
	return fine;
}
