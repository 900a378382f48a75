// SPDX-License-Identifier: MIT
/* The option table and its parser. Refusals end the process, so they are tried in a child. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "loadgen/options.h"

enum { ARGS = 16 };

static int count(char **argv)
{
	int n = 0;

	while (argv[n])
		n++;
	return n;
}

static struct options parse(char *first, ...)
{
	char *argv[ARGS] = {"loadgen", first};
	struct options o;
	va_list rest;

	va_start(rest, first);
	for (int i = 2; i < ARGS - 1 && argv[i - 1]; i++)
		argv[i] = va_arg(rest, char *);
	va_end(rest);
	options_parse(&o, count(argv), argv);
	return o;
}

/* Exit status of parsing, with what it printed on stderr in `said`. */
static int parse_in_child(char **argv, char *said, size_t size)
{
	int fds[2], status;
	size_t used = 0;
	ssize_t n;
	pid_t child;

	assert_int_equal(pipe(fds), 0);
	child = fork();
	if (child == 0) {
		struct options o;

		dup2(fds[1], STDERR_FILENO);
		options_parse(&o, count(argv), argv);
		_exit(0);
	}
	close(fds[1]);
	while (used < size - 1 && (n = read(fds[0], said + used, size - 1 - used)) > 0)
		used += (size_t)n;
	said[used] = '\0';
	close(fds[0]);
	waitpid(child, &status, 0);
	return WEXITSTATUS(status);
}

static void defaults_are_those_of_the_table(void **state)
{
	struct options o = parse("echo://h:1", NULL);

	(void)state;
	assert_int_equal(o.connections, 10);
	assert_int_equal(o.workers, 1);
	assert_int_equal(o.duration_ns, 10000000000);
	assert_int_equal(o.timeout_ns, 2000000000);
	assert_int_equal(o.size_bytes, 64);
	assert_int_equal(o.arrival, ARRIVAL_POISSON);
	assert_int_equal(o.events_fd, -1);
	assert_string_equal(o.engine, "epoll");
	assert_null(o.json);
	assert_false(o.latency);
}

static void wrk_letters_and_units_mean_what_they_do_in_wrk(void **state)
{
	struct options o = parse("-c", "1k", "-t2", "-d", "1m", "-R50k", "-L", "-T", "500ms",
				 "http://h/", NULL);

	(void)state;
	assert_int_equal(o.connections, 1000);
	assert_int_equal(o.workers, 2);
	assert_int_equal(o.duration_ns, 60000000000);
	assert_true(o.rate_rps == 50e3);
	assert_true(o.latency);
	assert_int_equal(o.timeout_ns, 500000000);
	assert_string_equal(o.url, "http://h/");
}

static void long_names_are_read(void **state)
{
	struct options o = parse("--arrival=fixed", "--size=2k", "--pace", "spin", "--verify",
				 "none", "--engine", "io_uring", "echo://h:1", NULL);

	(void)state;
	assert_int_equal(o.arrival, ARRIVAL_FIXED);
	assert_int_equal(o.size_bytes, 2048);
	assert_int_equal(o.pace, PACE_SPIN);
	assert_int_equal(o.verify, VERIFY_NONE);
	assert_string_equal(o.engine, "io_uring");
}

static void a_wrong_value_is_named_with_its_option_and_what_is_allowed(void **state)
{
	static const struct {
		char *option, *value, *named, *allowed;
	} cases[] = {
		{"-c", "1x", "--connections: '1x'", "a count from 0"},
		{"-c", "-1", "--connections: '-1'", "a count from 0"},
		{"-t", "0", "--workers: '0'", "from 1 to 256"},
		{"-d", "0", "--duration: '0'", "from 1ms"},
		{"-d", "1 s", "--duration: '1 s'", "ns, us, ms"},
		{"-R", "nan", "--rate: 'nan'", "a number from 0"},
		{"-R", "1e5", "--rate: '1e5'", "a number from 0"},
		{"--size", "0", "--size: '0'", "from 1 to 1048576"},
		{"--size", "2M", "--size: '2M'", "from 1 to 1048576"},
		{"--pipeline", "1025", "--pipeline: '1025'", "from 1 to 1024"},
		{"--arrival", "pois", "--arrival: 'pois'", "fixed, poisson or trace"},
		{"--json", "", "--json: ''", "non-empty"},
		{"--engine", "select", "--engine: 'select'", "epoll"},
		{"--trace", "f", "--trace: 'f'", "--arrival trace"},
		{"--arrival", "trace", "--arrival: 'trace'", "--trace"},
		{"-t", "11", "--workers: '11'", "--connections (10)"},
		{"-n", "9223372036854775808", "--requests-per-connection", "a count"},
	};
	char said[512];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char *argv[] = {"loadgen", cases[i].option, cases[i].value, "echo://h:1", NULL};

		assert_int_equal(parse_in_child(argv, said, sizeof(said)), 2);
		if (!strstr(said, cases[i].named) || !strstr(said, cases[i].allowed))
			fail_msg("%s %s said: %s", cases[i].option, cases[i].value, said);
		assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
	}
}

static void wrong_command_lines_are_refused(void **state)
{
	static char *const cases[][6] = {
		{"loadgen", NULL},
		{"loadgen", "--nonsense", "echo://h:1", NULL},
		{"loadgen", "-z", "echo://h:1", NULL},
		{"loadgen", "echo://h:1", "-c", NULL},
		{"loadgen", "echo://h:1", "", NULL},
		{"loadgen", "-c", "0", "echo://h:1", NULL},
		{"loadgen", "-q", "-L", "echo://h:1", NULL},
	};
	char said[512];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(parse_in_child((char **)cases[i], said, sizeof(said)), 2);
		assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
	}
}

static void several_urls_are_kept_in_their_order_with_their_cpu_clocks(void **state)
{
	struct options o = parse("--server-cpu", "pid:7", "echo://h:1", "--server-cpu=cgroup:/g",
				 "http://h:2/", "--slice", "auto", "--settle", "5ms", NULL);

	(void)state;
	assert_int_equal(o.urls.count, 2);
	assert_string_equal(o.url, "echo://h:1");
	assert_string_equal(o.urls.items[1], "http://h:2/");
	assert_int_equal(o.server_cpus.count, 2);
	assert_string_equal(o.server_cpus.items[0], "pid:7");
	assert_string_equal(o.server_cpus.items[1], "cgroup:/g");
	assert_int_equal(o.slice_ns, DURATION_AUTO);
	assert_int_equal(o.settle_ns, 5000000);
	assert_int_equal(o.arrangement, ARRANGEMENT_TURNS);
	assert_true(options_given(&o, "settle"));
	assert_false(options_given(&o, "rounds"));
}

static void options_that_do_not_go_together_are_refused_by_name(void **state)
{
	static const struct {
		char *args[7];
		const char *named, *reason;
	} cases[] = {
		{{"--arrangement", "turns", "echo://h:1"}, "--arrangement", "one URL"},
		{{"--rounds", "3", "echo://h:1"}, "--rounds", "one URL"},
		{{"--slice", "1s", "echo://h:1"}, "--slice", "one URL"},
		{{"--settle", "auto", "echo://h:1"}, "--settle", "one URL"},
		{{"--slice-passes", "3", "echo://h:1"}, "--slice-passes", "one URL"},
		{{"--slice-passes", "3", "--slice", "1s", "echo://h:1", "echo://h:2"},
		 "--slice-passes",
		 "--slice"},
		{{"--server-cpu", "pid:1", "--server-cpu", "pid:2", "echo://h:1"},
		 "--server-cpu",
		 "2 times for 1 URL;"},
		{{"--server-cpu", "pid:1", "echo://h:1", "echo://h:2"}, "--server-cpu", "2 URLs"},
		{{"--hgrm", "f", "echo://h:1", "echo://h:2"}, "--hgrm", "several URLs"},
		{{"--hlog", "f", "echo://h:1", "echo://h:2"}, "--hlog", "several URLs"},
		{{"--interval", "1s", "echo://h:1", "echo://h:2"}, "--interval", "several URLs"},
		{{"--drain", "1s", "echo://h:1", "echo://h:2"}, "--drain", "--timeout"},
		{{"--rounds", "3", "-d", "1s", "echo://h:1", "echo://h:2"},
		 "--duration",
		 "--rounds"},
		{{"--arrangement=together", "--rounds", "3", "echo://h:1", "echo://h:2"},
		 "--rounds",
		 "together"},
		{{"--arrangement=together", "--settle", "1s", "echo://h:1", "echo://h:2"},
		 "--settle",
		 "together"},
		{{"--arrival=trace", "--trace", "f", "echo://h:1", "echo://h:2"},
		 "--arrival",
		 "turns"},
		{{"-t", "200", "-c", "200", "echo://h:1", "echo://h:2"}, "--workers", "256"},
		{{"--warmup-passes", "3", "echo://h:1", "echo://h:2"},
		 "--warmup-passes",
		 "several URLs"},
		{{"--warmup-most", "3s", "echo://h:1"}, "--warmup-most", "--warmup-passes"},
		{{"--arrival=trace", "--trace", "f", "--warmup-passes", "1", "echo://h:1"},
		 "--warmup-passes",
		 "trace"},
		{{"--slice", "soon", "echo://h:1", "echo://h:2"}, "--slice: 'soon'", "auto or"},
		{{"--arrangement", "both", "echo://h:1"}, "--arrangement: 'both'", "together"},
	};
	char said[512];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char *argv[9] = {"loadgen"};

		for (int k = 0; k < 7; k++)
			argv[k + 1] = cases[i].args[k];
		assert_int_equal(parse_in_child(argv, said, sizeof(said)), 2);
		if (!strstr(said, cases[i].named) || !strstr(said, cases[i].reason))
			fail_msg("case %zu said: %s", i, said);
		assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
	}
}

static void at_most_32_urls_are_taken(void **state)
{
	char *argv[TARGETS_MAX + 3] = {"loadgen"};
	char said[512];

	(void)state;
	for (int i = 0; i < TARGETS_MAX; i++)
		argv[i + 1] = "echo://h:1";
	assert_int_equal(parse_in_child(argv, said, sizeof(said)), 0);
	argv[TARGETS_MAX + 1] = "echo://h:33";
	assert_int_equal(parse_in_child(argv, said, sizeof(said)), 2);
	assert_non_null(strstr(said, "URL: 'echo://h:33'"));
}

static void help_and_manual_have_every_option(void **state)
{
	char *help = NULL, *manual = NULL, name[64];
	size_t size;
	FILE *out = open_memstream(&help, &size);

	(void)state;
	options_help(out);
	fclose(out);
	out = open_memstream(&manual, &size);
	options_markdown(out);
	fclose(out);
	for (const struct option_row *row = option_table; row->name; row++) {
		snprintf(name, sizeof(name), "--%s ", row->name);
		assert_non_null(strstr(help, name));
		snprintf(name, sizeof(name), "`--%s`", row->name);
		assert_non_null(strstr(manual, name));
	}
	free(help);
	free(manual);
}

static void names_and_letters_are_unique(void **state)
{
	(void)state;
	for (const struct option_row *a = option_table; a->name; a++) {
		for (const struct option_row *b = option_table; b < a; b++) {
			assert_string_not_equal(a->name, b->name);
			assert_true(!a->letter || a->letter != b->letter);
			assert_true(a->offset != b->offset);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_those_of_the_table),
		cmocka_unit_test(wrk_letters_and_units_mean_what_they_do_in_wrk),
		cmocka_unit_test(long_names_are_read),
		cmocka_unit_test(a_wrong_value_is_named_with_its_option_and_what_is_allowed),
		cmocka_unit_test(wrong_command_lines_are_refused),
		cmocka_unit_test(several_urls_are_kept_in_their_order_with_their_cpu_clocks),
		cmocka_unit_test(options_that_do_not_go_together_are_refused_by_name),
		cmocka_unit_test(at_most_32_urls_are_taken),
		cmocka_unit_test(help_and_manual_have_every_option),
		cmocka_unit_test(names_and_letters_are_unique),
	};

	return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
