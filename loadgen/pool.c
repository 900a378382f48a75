// SPDX-License-Identifier: MIT
#include "loadgen/pool.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/die.h"
#include "loadgen/hlog.h"
#include "loadgen/random.h"
#include "loadgen/turns.h"

#define LEAD_NS      (20 * NS_PER_MS) /* from the start signal to the start */
#define WINDOW_NS    (30 * NS_PER_MS) /* workers, who look every 10 ms, hear that early of a window */
#define POLL_NS      (2 * NS_PER_MS)
#define STOP_WAIT_NS (3 * NS_PER_S)    /* a worker that takes longer to end is killed... */
#define CLOSE_NS     (100 * NS_PER_US) /* ...and so much more for each connection: all close at once */
#define STILL_POLLS  5000 /* looks at a worker in its set-up without a sign of life: 10 s */

#define TURN_LOOK_NS (100 * NS_PER_MS) /* how often the parent looks whether turns go on */
#define TURN_LOOKS   100               /* and how often it lets a late one be late: 10 s */

/*
 * The histograms whose intervals are logged, and the tags they get. Without a log only the first is
 * looked at: each costs some hundred microseconds per interval, on a CPU that may be the server's.
 */
enum { RESPONSE, SERVICE, LAG, SERIES };
static const char *const series_tags[SERIES] = {"response", "service", "lag"};

struct watch {
	struct pool *pool;
	struct result *result;
	struct control *control;
	struct record *records;
	pid_t *pids;
	unsigned int workers; /* all targets together */
	unsigned int per_target;
	struct turns *turns;  /* NULL unless there are several targets */
	uint64_t deadline_ns; /* of the turn that was looked at last */
	int late_looks;       /* since it was over */
	bool stuck;           /* a turn did not end */
	FILE *log_file;
	struct hlog *log;
	bool log_failed;
	struct hist *now, *before; /* SERIES each */
	struct hist *scratch;
	uint64_t replies_before, failures_before;
	uint64_t from_ns, until_ns, interval_from_ns;
	struct host_counters counters;
	struct {
		uint32_t beats; /* the latest seen */
		uint32_t polls; /* looks since they changed */
	} * alive;
	bool died;
	int still;  /* number of a worker that stood still in its set-up; -1: none */
	int killed; /* number of a worker that did not end; -1: none */
	bool events_lost;
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
	(void)number;
	interrupted = 1;
}

static void *map_shared(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		die_errno("mmap of the shared records", "fewer workers");
	return p;
}

static void catch_signals(void (*handler)(int))
{
	struct sigaction action = {.sa_handler = handler};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

static void fill_in(const struct watch *w, unsigned int number, struct session_setup *setup)
{
	const struct options *o = w->result->options;
	unsigned int at = number / w->per_target;
	const struct pool_target *target = &w->pool->targets[at];

	setup->target = &target->target;
	setup->server = target->server;
	setup->sources = target->sources;
	setup->source_count = target->source_count;
	setup->url = o->urls.items[at];
	setup->seed = random_seed((uint64_t)o->seed, at);
	setup->worker = number % w->per_target;
	setup->control = w->control;
	setup->record = &w->records[number];
	setup->way = w->result->way;
	setup->turns = w->turns;
	setup->turn_target = at;
	setup->server_cpu = o->server_cpus.count ? o->server_cpus.items[at] : NULL;
}

static _Noreturn void be_worker(const struct watch *w, unsigned int number, pid_t parent)
{
	struct session_setup setup = w->pool->setup;
	cpu_set_t cpus;

	/* Die with the parent; it may be dead already. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(EXIT_FAILURE);
	/* These may be sent to the whole process group; the parent decides what they mean. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	/* Without this the kernel may end a sleep up to 50 us late on purpose. */
	prctl(PR_SET_TIMERSLACK, 1UL);
	if (w->pool->cpu_count) {
		CPU_ZERO(&cpus);
		CPU_SET(w->pool->cpus[number % w->per_target % w->pool->cpu_count], &cpus);
		sched_setaffinity(0, sizeof(cpus), &cpus);
	}
	fill_in(w, number, &setup);
	shared_store(&w->records[number].pid, (uint32_t)getpid());
	session_run(&setup);
	_exit(EXIT_SUCCESS);
}

static void start_workers(struct watch *w)
{
	pid_t parent = getpid();

	for (unsigned int i = 0; i < w->workers; i++) {
		w->pids[i] = fork();
		if (w->pids[i] < 0)
			die_errno("fork", "fewer workers");
		if (w->pids[i] == 0)
			be_worker(w, i, parent);
	}
}

/* Have all workers reached `phase`? Notices those that died on the way. */
static bool all_reached(struct watch *w, enum worker_phase phase)
{
	bool all = true;

	for (unsigned int i = 0; i < w->workers; i++) {
		uint32_t at = shared_load(&w->records[i].phase);

		if (at == WORKER_DONE || at == WORKER_FAILED)
			continue;
		if (w->pids[i] && waitpid(w->pids[i], NULL, WNOHANG) == w->pids[i]) {
			w->pids[i] = 0;
			/* It may have ended properly between the two looks. */
			at = shared_load(&w->records[i].phase);
			w->died |= at != WORKER_DONE && at != WORKER_FAILED;
		}
		all &= at >= phase || !w->pids[i];
	}
	return all;
}

static bool all_warm(const struct watch *w)
{
	for (unsigned int i = 0; i < w->workers; i++) {
		if (!shared_load(&w->records[i].warm))
			return false;
	}
	return true;
}

static bool any_failed(const struct watch *w)
{
	for (unsigned int i = 0; i < w->workers; i++) {
		if (shared_load(&w->records[i].phase) == WORKER_FAILED)
			return true;
	}
	return false;
}

/*
 * Has a worker stopped moving while it sets up? Its beats are counted against our own looks, not
 * against the clock: if all of us were stopped (Ctrl-Z), that says nothing.
 */
static bool any_still(struct watch *w)
{
	for (unsigned int i = 0; i < w->workers; i++) {
		uint32_t beats = shared_load(&w->records[i].beats);

		if (beats != w->alive[i].beats || shared_load(&w->records[i].phase) != WORKER_SETUP)
			w->alive[i].polls = 0;
		w->alive[i].beats = beats;
		if (++w->alive[i].polls > STILL_POLLS)
			w->still = (int)i;
	}
	return w->still >= 0;
}

/* How long the workers may take to end. */
static uint64_t stop_wait_ns(const struct watch *w)
{
	return STOP_WAIT_NS + (uint64_t)options_all_connections(w->result->options) *
				      w->result->options->urls.count * CLOSE_NS;
}

/* Sleep until a time of CLOCK_MONOTONIC, or a signal. */
static void sleep_until(uint64_t ns)
{
	struct timespec until = {.tv_sec = (time_t)(ns / NS_PER_S),
				 .tv_nsec = (long)(ns % NS_PER_S)};

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

/* Who listens may have gone; the run is not for that reason over. */
static void event(struct watch *w, const char *line)
{
	int fd = (int)w->result->options->events_fd;

	if (fd < 0 || w->events_lost || write(fd, line, strlen(line)) >= 0)
		return;
	w->events_lost = true;
	warn("--events-fd: '%d' can no longer be written to: %s; the run goes on", fd,
	     strerror(errno));
}

static uint64_t count_up(const struct watch *w)
{
	uint64_t up = 0;

	for (unsigned int i = 0; i < w->workers; i++) {
		for (int p = 0; p < POPULATIONS; p++)
			up += w->records[i].tallies[p].up;
	}
	return up;
}

/* --- the interval series ------------------------------------------------------------------ */

static const struct hist *series_of(const struct record *r, int which)
{
	return which == RESPONSE ? &r->response : which == SERVICE ? &r->service : &r->lag;
}

static int series_wanted(const struct watch *w)
{
	return w->log ? SERIES : RESPONSE + 1;
}

/* Add the live histograms of all workers up into w->now. */
static void snapshot(struct watch *w)
{
	for (int k = 0; k < series_wanted(w); k++) {
		hist_init(&w->now[k]);
		for (unsigned int i = 0; i < w->workers; i++) {
			hist_snapshot(w->scratch, series_of(&w->records[i], k));
			hist_merge(&w->now[k], w->scratch);
		}
	}
}

static void progress(const struct watch *w, const struct interval *interval)
{
	double seconds = (double)(interval->end_ns - interval->start_ns) / 1e9;

	fprintf(stderr, "\r\033[K%5.1f s of %.1f s  %.0f requests/s  p50 %.3f ms  p99 %.3f ms  %s",
		(double)interval->end_ns / 1e9, (double)w->result->options->duration_ns / 1e9,
		seconds > 0 ? (double)interval->replies / seconds : 0,
		(double)interval->p50_ns / 1e6, (double)interval->p99_ns / 1e6,
		interval->failures ? "(with failures)" : "");
	fflush(stderr);
}

static void end_interval(struct watch *w, uint64_t end_ns)
{
	struct result *r = w->result;
	struct interval *interval = &r->intervals[r->interval_count];
	uint64_t replies = 0, failures = 0;

	snapshot(w);
	for (unsigned int i = 0; i < w->workers; i++) {
		replies += __atomic_load_n(&w->records[i].replies_in_window, __ATOMIC_RELAXED);
		failures += __atomic_load_n(&w->records[i].failures, __ATOMIC_RELAXED);
	}
	interval->start_ns = w->interval_from_ns - w->from_ns;
	interval->end_ns = end_ns - w->from_ns;
	interval->replies = replies - w->replies_before;
	interval->failures = failures - w->failures_before;
	w->replies_before = replies;
	w->failures_before = failures;
	w->interval_from_ns = end_ns;
	for (int k = 0; k < series_wanted(w); k++) {
		*w->scratch = w->now[k];
		hist_subtract(w->scratch, &w->before[k]);
		w->before[k] = w->now[k];
		if (k == RESPONSE) {
			interval->p50_ns = hist_percentile(w->scratch, 50);
			interval->p90_ns = hist_percentile(w->scratch, 90);
			interval->p99_ns = hist_percentile(w->scratch, 99);
			interval->max_ns = hist_max(w->scratch);
		}
		if (w->log)
			hlog_interval(w->log, series_tags[k], interval->start_ns, interval->end_ns,
				      w->scratch);
	}
	r->interval_count++;
	if (w->pool->progress)
		progress(w, interval);
}

/* --- the course of a run ------------------------------------------------------------------ */

/* One target after the other opens its connections, in the order of the URLs. */
static void let_next_connect(struct watch *w)
{
	unsigned int ready = 0;

	while (ready < w->workers && shared_load(&w->records[ready].phase) >= WORKER_READY)
		ready++;
	turns_let_connect(w->turns, ready / w->per_target);
}

/* Wait until all workers are set up, one has failed, or one does not move any more. */
static void wait_for_setup(struct watch *w)
{
	while (!all_reached(w, WORKER_READY) && !interrupted && !w->died && !any_failed(w) &&
	       !any_still(w)) {
		if (w->turns)
			let_next_connect(w);
		sleep_until(clock_now_ns() + POLL_NS);
	}
}

static bool wait_for(struct watch *w, enum worker_phase phase, uint64_t until_ns)
{
	while (!all_reached(w, phase) && !interrupted && !w->died && !any_failed(w)) {
		uint64_t now_ns = clock_now_ns();

		if (now_ns >= until_ns)
			return false;
		sleep_until(now_ns + POLL_NS);
	}
	return true;
}

static void open_log(struct watch *w)
{
	const char *path = w->result->options->hlog;

	if (!path)
		return;
	w->log_file = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");
	if (w->log_file)
		w->log = hlog_open(w->log_file, w->result->started_realtime_ns,
				   "tenk loadgen; times in nanoseconds");
	if (!w->log) {
		warn("--hlog: '%s' cannot be written: %s", path, strerror(errno));
		w->log_failed = true;
	}
}

static void close_log(struct watch *w)
{
	if (w->log && !hlog_close(w->log))
		w->log_failed = true;
	if (w->log_file && w->log_file != stdout && fclose(w->log_file) != 0)
		w->log_failed = true;
	if (w->log && w->log_failed)
		warn("--hlog: '%s' could not be written: %s", w->result->options->hlog,
		     strerror(errno));
}

static uint64_t count_replies(const struct watch *w)
{
	uint64_t replies = 0;

	for (unsigned int i = 0; i < w->workers; i++)
		replies += __atomic_load_n(&w->records[i].replies, __ATOMIC_RELAXED);
	return replies;
}

/*
 * Say at a fifth and at four fifths of the warm-up how many replies there have been, and when: who
 * counts what the server does in between, system calls for instance, has left it alone again when
 * the window begins.
 */
static void warm_up(struct watch *w, uint64_t warmup_ns)
{
	char line[64];

	for (unsigned int fifth = 1; fifth < 5 && warmup_ns; fifth += 3) {
		uint64_t at_ns = w->from_ns - warmup_ns + warmup_ns / 5 * fifth;
		uint64_t replies, now_ns;
		int tries = 0;

		while (!interrupted && clock_now_ns() < at_ns)
			sleep_until(at_ns);
		do { /* again if something else ran in between */
			now_ns = clock_now_ns();
			replies = count_replies(w);
		} while (clock_now_ns() - now_ns > NS_PER_MS && ++tries < 10);
		snprintf(line, sizeof(line), "warming %" PRIu64 " %" PRIu64 "\n", replies, now_ns);
		event(w, line);
	}
}

/* --warmup-passes: the window begins once all workers are warm, or have tried for long enough. */
static void await_passes(struct watch *w)
{
	const struct options *o = w->result->options;
	uint64_t least_ns = w->from_ns, most_ns = least_ns;

	if (o->warmup_most_ns > o->warmup_ns)
		most_ns += (uint64_t)(o->warmup_most_ns - o->warmup_ns);
	while (!interrupted && clock_now_ns() < most_ns && !all_reached(w, WORKER_DONE) &&
	       !w->died && !(all_warm(w) && clock_now_ns() >= least_ns))
		sleep_until(clock_now_ns() + POLL_NS);
	w->result->warm = all_warm(w);
	w->from_ns = clock_now_ns() + WINDOW_NS;
	w->until_ns = w->from_ns + (uint64_t)o->duration_ns;
	__atomic_store_n(&w->control->window_ns, w->from_ns, __ATOMIC_RELEASE);
}

static void window_begins(struct watch *w)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	w->result->measured = true;
	w->result->started_realtime_ns = (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
	host_counters_read(&w->counters);
	open_log(w);
	w->interval_from_ns = w->from_ns;
	for (unsigned int i = 0; i < w->workers; i++)
		w->failures_before += __atomic_load_n(&w->records[i].failures, __ATOMIC_RELAXED);
	event(w, "measure\n");
}

/* Sleep through warm-up and window, cutting intervals; ends early if there is nothing to wait for.
 */
static void measure(struct watch *w)
{
	const struct options *o = w->result->options;
	uint64_t next_ns;

	if (o->events_fd >= 0)
		warm_up(w, (uint64_t)o->warmup_ns);
	if (o->warmup_passes)
		await_passes(w);
	while (!interrupted && clock_now_ns() < w->from_ns)
		sleep_until(w->from_ns);
	if (interrupted)
		return;
	window_begins(w);
	next_ns = w->from_ns + (uint64_t)o->interval_ns;
	while (!interrupted && clock_now_ns() < w->until_ns && !all_reached(w, WORKER_DONE) &&
	       !w->died) {
		sleep_until(next_ns < w->until_ns ? next_ns : w->until_ns);
		if (clock_now_ns() >= next_ns && next_ns < w->until_ns) {
			end_interval(w, clock_now_ns());
			next_ns += (uint64_t)o->interval_ns;
		}
	}
	host_counters_read(&w->result->disturbance);
	host_counters_subtract(&w->result->disturbance, &w->counters);
	event(w, "done\n");
}

/* --- several targets ---------------------------------------------------------------------- */

static void on_child(int number)
{
	(void)number;
}

/*
 * Does a turn not come to its end? That is counted in looks, not by the clock: if all of us were
 * stopped (Ctrl-Z), that says nothing.
 */
static bool is_stuck(struct watch *w)
{
	uint64_t deadline_ns = turns_deadline_ns(w->turns);

	if (deadline_ns != w->deadline_ns || clock_now_ns() < deadline_ns)
		w->late_looks = 0;
	w->deadline_ns = deadline_ns;
	return ++w->late_looks > TURN_LOOKS;
}

/* A turn did not end: say whose, and end it. */
static void break_off(struct watch *w)
{
	warn("%s: a worker of this target did not end its turn within %d s and was killed; is it "
	     "stopped, or without a CPU (--cpus)?",
	     w->result->options->urls.items[turns_holder(w->turns)],
	     (int)(TURN_LOOKS * TURN_LOOK_NS / NS_PER_S));
	for (unsigned int i = 0; i < w->workers; i++) {
		if (w->pids[i])
			kill(w->pids[i], SIGKILL);
	}
	w->stuck = true;
}

/* Rewritten ten times a second at most, and only on a terminal. */
static void turns_progress(const struct watch *w)
{
	size_t done = 0, all = turns_slice_count(w->turns);

	while (done < all && turns_slice(w->turns, done))
		done++;
	fprintf(stderr, "\r\033[K%zu of %zu slices%s", done, all,
		all > w->result->options->urls.count ? "" : " (warm-up)");
	fflush(stderr);
}

/* Workers pass the turn among themselves; we only look on, seldom. */
static void watch_turns(struct watch *w)
{
	struct sigaction action = {.sa_handler = on_child};

	/* A worker that ends, or dies, ends our sleep. */
	sigaction(SIGCHLD, &action, NULL);
	w->from_ns = clock_now_ns();
	w->until_ns = UINT64_MAX;
	window_begins(w);
	turns_start(w->turns);
	while (!interrupted && !all_reached(w, WORKER_DONE) && !w->died && !w->stuck) {
		sleep_until(clock_now_ns() + TURN_LOOK_NS);
		if (w->pool->progress)
			turns_progress(w);
		if (is_stuck(w))
			break_off(w);
	}
	if (w->pool->progress)
		fprintf(stderr, "\r\033[K");
	signal(SIGCHLD, SIG_DFL);
}

static void watch_together(struct watch *w)
{
	const struct options *o = w->result->options;
	uint64_t start_ns = clock_now_ns() + LEAD_NS, cut_ns;

	w->from_ns = start_ns + (uint64_t)o->warmup_ns;
	w->until_ns = w->from_ns + (uint64_t)o->duration_ns;
	__atomic_store_n(&w->control->start_ns, start_ns, __ATOMIC_RELEASE);
	while (!interrupted && clock_now_ns() < w->from_ns)
		sleep_until(w->from_ns);
	if (interrupted)
		return;
	window_begins(w);
	cut_ns = w->from_ns + TURNS_CUT_NS;
	while (!interrupted && clock_now_ns() < cut_ns)
		sleep_until(cut_ns);
	turns_cut(w->turns);
	while (!interrupted && clock_now_ns() < w->until_ns && !all_reached(w, WORKER_DONE) &&
	       !w->died)
		sleep_until(clock_now_ns() + TURN_LOOK_NS < w->until_ns
				    ? clock_now_ns() + TURN_LOOK_NS
				    : w->until_ns);
	wait_for(w, WORKER_DONE, w->until_ns + (uint64_t)o->drain_ns + stop_wait_ns(w));
}

static void measure_several(struct watch *w)
{
	if (w->result->options->arrangement == ARRANGEMENT_TURNS)
		watch_turns(w);
	else
		watch_together(w);
	if (!w->result->measured)
		return;
	host_counters_read(&w->result->disturbance);
	host_counters_subtract(&w->result->disturbance, &w->counters);
	event(w, "done\n");
}

static void stop_workers(struct watch *w)
{
	uint64_t until_ns = clock_now_ns() + stop_wait_ns(w);

	shared_store(&w->control->stop, 1);
	if (w->turns)
		turns_stop(w->turns);
	while (!all_reached(w, WORKER_DONE) && clock_now_ns() < until_ns)
		sleep_until(clock_now_ns() + POLL_NS);
	for (unsigned int i = 0; i < w->workers; i++) {
		if (!w->pids[i])
			continue;
		if (shared_load(&w->records[i].phase) < WORKER_DONE) {
			w->killed = (int)i;
			kill(w->pids[i], SIGKILL);
		}
		waitpid(w->pids[i], NULL, 0);
		w->pids[i] = 0;
	}
}

/* Fill a result from the records of `count` workers, number `first` and following. */
static void add_up(const struct watch *w, struct result *r, unsigned int first, unsigned int count)
{
	const struct record *records = w->records + first;
	uint64_t ended_ns;

	for (unsigned int i = 0; i < count; i++) {
		record_add(r->total, &records[i]);
		r->workers_ended += shared_load(&records[i].phase) == WORKER_DONE;
	}
	ended_ns = r->total->ended_ns;
	if (ended_ns > w->until_ns)
		ended_ns = w->until_ns;
	r->window_s =
		ended_ns > w->from_ns && r->measured ? (double)(ended_ns - w->from_ns) / 1e9 : 0;
	if (w->turns && r->options->arrangement == ARRANGEMENT_TURNS)
		r->window_s = (double)records[0].window_ns / 1e9;
	for (unsigned int i = 0; i < count && r->window_s > 0; i++) {
		const struct record *one = &records[i];
		double cpu_ns = (double)(one->user_ns + one->system_ns) - (double)one->spin_ns;
		double busy = cpu_ns / 1e9 / r->window_s;
		double starved = (double)one->starved_ns / 1e9 / r->window_s;

		if (busy > r->busiest_worker)
			r->busiest_worker = busy;
		if (starved > r->most_starved)
			r->most_starved = starved;
		if ((double)one->absent_ns / 1e9 / r->window_s > r->most_absent)
			r->most_absent = (double)one->absent_ns / 1e9 / r->window_s;
	}
}

/* A result for each target, and one of all together. */
static void add_up_targets(struct watch *w)
{
	const struct options *o = w->result->options;
	struct result *all = w->result;
	double window_s = 0;

	all->targets = calloc(o->urls.count, sizeof(*all->targets));
	if (!all->targets)
		die(EXIT_FAILURE, "out of memory; fewer targets");
	all->target_count = o->urls.count;
	all->turns = w->turns;
	for (unsigned int i = 0; i < o->urls.count; i++) {
		struct result *r = &all->targets[i];

		*r = (struct result){
			.options = o,
			.target = &w->pool->targets[i].target,
			.url = o->urls.items[i],
			.total = map_shared(sizeof(*r->total)),
			.interrupted = all->interrupted,
			.measured = all->measured,
			.turns = w->turns,
			.number = i,
		};
		add_up(w, r, i * w->per_target, w->per_target);
		window_s += r->window_s;
	}
	add_up(w, all, 0, w->workers);
	if (o->arrangement == ARRANGEMENT_TURNS)
		all->window_s = window_s;
}

static int explain_failure(const struct watch *w)
{
	for (unsigned int i = 0; i < w->workers; i++) {
		if (shared_load(&w->records[i].phase) == WORKER_FAILED) {
			warn("%s", w->records[i].message);
			return w->records[i].exit_status;
		}
	}
	if (w->still >= 0)
		warn("worker %d did not move for %d s while connecting and was killed; is it stopped, "
		     "or without a CPU (--cpus)?",
		     w->still, (int)(STILL_POLLS * POLL_NS / NS_PER_S));
	else
		warn("a worker process died while connecting");
	return EXIT_FAILURE;
}

static void prepare(struct watch *w)
{
	const struct options *o = w->result->options;
	uint64_t most = (uint64_t)(o->duration_ns / o->interval_ns) + 2;

	w->control = map_shared(sizeof(*w->control));
	w->records = map_shared(w->workers * sizeof(*w->records));
	if (o->urls.count > 1)
		w->turns = turns_create(o, w->records);
	w->result->total = map_shared(sizeof(*w->result->total));
	if (o->way)
		w->result->way = map_shared(sizeof(*w->result->way));
	w->now = map_shared((2 * SERIES + 1) * sizeof(*w->now));
	w->before = w->now + SERIES;
	w->scratch = w->before + SERIES;
	w->pids = calloc(w->workers, sizeof(*w->pids));
	w->alive = calloc(w->workers, sizeof(*w->alive));
	w->result->intervals = calloc(most, sizeof(*w->result->intervals));
	if (!w->pids || !w->alive || !w->result->intervals)
		die(EXIT_FAILURE, "out of memory; a longer --interval");
}

static void dispose(struct watch *w)
{
	munmap(w->control, sizeof(*w->control));
	munmap(w->records, w->workers * sizeof(*w->records));
	munmap(w->now, (2 * SERIES + 1) * sizeof(*w->now));
	free(w->pids);
	free(w->alive);
}

int pool_run(struct pool *pool, struct result *r)
{
	const struct options *o = r->options;
	struct watch w = {
		.pool = pool,
		.result = r,
		.workers = (unsigned int)(o->workers * (int64_t)o->urls.count),
		.per_target = (unsigned int)o->workers,
		.still = -1,
		.killed = -1,
	};
	uint64_t start_ns;
	char line[64];
	int status = 0;

	prepare(&w);
	catch_signals(on_interrupt);
	start_workers(&w);
	wait_for_setup(&w);
	if (any_failed(&w) || w.died || w.still >= 0) {
		stop_workers(&w);
		status = explain_failure(&w);
	} else if (!interrupted) {
		snprintf(line, sizeof(line), "connected %" PRIu64 "\n", count_up(&w));
		event(&w, line);
		if (w.turns) {
			measure_several(&w);
			goto measured;
		}
		start_ns = clock_now_ns() + LEAD_NS;
		w.from_ns = start_ns + (uint64_t)o->warmup_ns;
		w.until_ns = w.from_ns + (uint64_t)o->duration_ns;
		__atomic_store_n(&w.control->start_ns, start_ns, __ATOMIC_RELEASE);
		measure(&w);
		r->warmup_s = (double)(w.from_ns - start_ns) / 1e9;
		wait_for(&w, WORKER_DONE, w.until_ns + (uint64_t)o->drain_ns + stop_wait_ns(&w));
	}
measured:
	stop_workers(&w);
	if (r->measured && status == 0 && !w.turns)
		end_interval(&w, clock_now_ns() < w.until_ns ? clock_now_ns() : w.until_ns);
	if (pool->progress && r->interval_count)
		fprintf(stderr, "\r\033[K");
	r->interrupted = interrupted;
	if (w.turns)
		add_up_targets(&w);
	else
		add_up(&w, r, 0, w.workers);
	if (w.stuck)
		status = EXIT_FAILURE;
	if (w.died && status == 0) {
		warn("a worker process died");
		status = EXIT_FAILURE;
	}
	/* An interrupted run is void in any case, and says how many workers it lacks. */
	if (w.killed >= 0 && !interrupted && status == 0) {
		warn("worker %d did not end within %d s and was killed; without its share there is no "
		     "result; was it stopped, or without a CPU (--cpus)?",
		     w.killed, (int)(stop_wait_ns(&w) / NS_PER_S));
		status = EXIT_FAILURE;
	}
	catch_signals(SIG_DFL);
	close_log(&w);
	if (w.log_failed && status == 0)
		status = EXIT_FAILURE;
	dispose(&w);
	return status;
}

void pool_free(struct result *r)
{
	if (r->total)
		munmap(r->total, sizeof(*r->total));
	free(r->intervals);
	for (size_t i = 0; i < r->target_count; i++)
		munmap(r->targets[i].total, sizeof(*r->total));
	free(r->targets);
	turns_free(r->turns);
}
