// SPDX-License-Identifier: MIT
#include "loadgen/server_cpu.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/parse.h"

#define PID_MOST (1 << 22) /* PID_MAX_LIMIT of 64-bit Linux; a clock's number has 29 bits for it */

bool server_cpu_find(const char *text, const char *key, uint64_t *ns)
{
	size_t length = strlen(key);

	while (text && *text) {
		char *end;

		if (strncmp(text, key, length) == 0 && text[length] == ' ') {
			uint64_t us = strtoull(text + length + 1, &end, 10);

			if (end == text + length + 1)
				return false;
			*ns = us * NS_PER_US;
			return true;
		}
		text = strchr(text, '\n');
		text = text ? text + 1 : NULL;
	}
	return false;
}

static struct cpu_time read_group(int fd)
{
	struct cpu_time t = {0};
	char text[4096];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return t;
	text[n] = '\0';
	t.known = server_cpu_find(text, "usage_usec", &t.total_ns);
	t.split = t.known && server_cpu_find(text, "user_usec", &t.user_ns) &&
		  server_cpu_find(text, "system_usec", &t.system_ns);
	return t;
}

struct cpu_time server_cpu_read(const struct server_cpu *s)
{
	struct cpu_time t = {0};
	struct timespec at;

	if (s->kind == SERVER_CPU_GROUP)
		return read_group(s->fd);
	for (size_t i = 0; i < s->count; i++) {
		if (clock_gettime(s->clocks[i], &at) < 0)
			return (struct cpu_time){0}; /* what it used has gone with it */
		t.known = true;
		t.total_ns += (uint64_t)at.tv_sec * NS_PER_S + (uint64_t)at.tv_nsec;
	}
	return t;
}

static const char *add_process(struct server_cpu *s, pid_t pid)
{
	int error;

	if (s->count == SERVER_CPU_TREE_MOST)
		return "has more than 256 processes; give a control group";
	error = clock_getcpuclockid(pid, &s->clocks[s->count]);
	if (error == ESRCH)
		return "there is no such process; give the pid the server printed when it was ready";
	if (error)
		return strerror(error);
	s->count++;
	return NULL;
}

/* The children of one thread, and theirs; what ends meanwhile is left out. */
static const char *add_tree(struct server_cpu *s, pid_t pid);

static const char *add_children(struct server_cpu *s, const char *path)
{
	const char *wrong = NULL;
	FILE *list = fopen(path, "re");
	int child;

	if (!list)
		return NULL;
	while (!wrong && fscanf(list, "%d", &child) == 1) {
		size_t before = s->count;

		wrong = add_tree(s, child);
		if (wrong && s->count == before && s->count < SERVER_CPU_TREE_MOST)
			wrong = NULL;
	}
	fclose(list);
	return wrong;
}

static const char *add_tree(struct server_cpu *s, pid_t pid)
{
	const char *wrong = add_process(s, pid);
	struct dirent *task;
	char path[320];
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	tasks = wrong ? NULL : opendir(path);
	while (tasks && !wrong && (task = readdir(tasks))) {
		snprintf(path, sizeof(path), "/proc/%d/task/%s/children", pid, task->d_name);
		wrong = add_children(s, path);
	}
	if (tasks)
		closedir(tasks);
	return wrong;
}

static const char *open_processes(struct server_cpu *s, const char *number, bool tree, bool *usage)
{
	const char *wrong;
	int64_t pid;

	if (!parse_int(number, 1, PID_MOST, &pid)) {
		*usage = true;
		return NULL;
	}
	wrong = tree ? add_tree(s, (pid_t)pid) : add_process(s, (pid_t)pid);
	s->kind = wrong ? SERVER_CPU_NONE : SERVER_CPU_PROCESSES;
	s->count = wrong ? 0 : s->count;
	return wrong;
}

static const char *open_group(struct server_cpu *s, const char *path, char *reason, size_t size)
{
	struct stat status;
	char name[4096];

	snprintf(name, sizeof(name), "%s", path);
	if (stat(path, &status) == 0 && S_ISDIR(status.st_mode))
		snprintf(name, sizeof(name), "%s/cpu.stat", path);
	s->fd = open(name, O_RDONLY | O_CLOEXEC);
	if (s->fd < 0) {
		snprintf(reason, size, "%.160s: %s", name, strerror(errno));
		return reason;
	}
	if (!read_group(s->fd).known) {
		close(s->fd);
		return "has no usage_usec; give a version 2 control group, or its cpu.stat";
	}
	s->kind = SERVER_CPU_GROUP;
	return NULL;
}

bool server_cpu_wanted(const char *spec)
{
	return spec && strcmp(spec, "none") != 0;
}

const char *server_cpu_open(struct server_cpu *s, const char *spec, bool *usage, char *reason,
			    size_t size)
{
	*s = (struct server_cpu){.fd = -1};
	*usage = false;
	if (!server_cpu_wanted(spec))
		return NULL;
	if (strncmp(spec, "pid:", 4) == 0)
		return open_processes(s, spec + 4, false, usage);
	if (strncmp(spec, "tree:", 5) == 0)
		return open_processes(s, spec + 5, true, usage);
	if (strncmp(spec, "cgroup:", 7) == 0 && spec[7])
		return open_group(s, spec + 7, reason, size);
	*usage = true;
	return NULL;
}

void server_cpu_close(struct server_cpu *s)
{
	if (s->kind == SERVER_CPU_GROUP)
		close(s->fd);
	*s = (struct server_cpu){.fd = -1};
}
