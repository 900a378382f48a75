// SPDX-License-Identifier: MIT
#include "loadgen/turns.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/die.h"
#include "loadgen/arrival.h"
#include "loadgen/edge.h"
#include "loadgen/hist_code.h"
#include "loadgen/host.h"
#include "loadgen/random.h"
#include "loadgen/session_state.h"

enum turn_phase { TURN_SETTLE, TURN_MEASURE, TURN_DRAIN, TURN_OVER };

enum { NO_TURN = UINT32_MAX >> 2 };

#define HELPER_LOOK_NS (100 * NS_PER_US) /* how often helpers look for an edge that is due */
#define CUT_LOOK_NS    (5 * NS_PER_MS)   /* together: how often to look whether it is cut */
#define PACKED_BYTES   8192 /* room for the histogram of a slice: three times what is usual */

struct taker {
	struct turns *turns;
	struct seat *seat;
	const struct record *records; /* of the workers of this target */
	uint32_t target, worker;
	uint32_t seen; /* the number of its latest turn */
	struct server_cpu server;
	clockid_t *clocks; /* of the workers of this target, once `looking` */
	int *delays;       /* their /proc/PID/schedstat */
	int stat;          /* /proc/stat */
	bool looking;
	uint64_t drained_ns; /* of its latest turn; 0: none */
	struct cpu_time drained_cpu;
	uint64_t sent, due;                         /* up to the latest slice */
	struct hist *hists, *now, *before, *change; /* response times, likewise */
	uint8_t *encoded;                           /* the change, as it is kept */
	struct arrival arrivals; /* together, open loop: counts what was due, sent or not */
	uint64_t next_due_ns, arrived;
	uint64_t warm_replies, warm_ns;             /* together: in the middle of the warm-up */
	uint32_t edge;                              /* together: number of the next one */
	enum { HALF_WARM, WARM, UNCUT, CUT } stage; /* together: what the next one is for */
};

/* --- futexes ------------------------------------------------------------------------------ */

static void futex_wait_for(uint32_t *word, uint32_t value, const struct timespec *timeout)
{
	syscall(SYS_futex, word, FUTEX_WAIT, value, timeout, NULL, 0);
}

static void futex_wait(uint32_t *word, uint32_t value)
{
	futex_wait_for(word, value, NULL);
}

static void futex_wake_all(uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static uint64_t load64(const uint64_t *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static void store64(uint64_t *p, uint64_t value)
{
	__atomic_store_n(p, value, __ATOMIC_RELEASE);
}

static enum turn_phase phase_of(uint32_t state)
{
	return (enum turn_phase)(state & 3);
}

/* Nothing comes after TURN_OVER. */
static void announce(struct seat *seat, uint32_t number, enum turn_phase phase)
{
	uint32_t state = shared_load(&seat->state);

	while (phase_of(state) != TURN_OVER &&
	       !__atomic_compare_exchange_n(&seat->state, &state, number << 2 | phase, false,
					    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		;
}

/* --- the parent's side -------------------------------------------------------------------- */

static size_t most_slices(const struct options *o)
{
	size_t rounds = o->arrangement == ARRANGEMENT_TOGETHER ? schedule_cuts(o, 0)
							       : schedule_rounds_most(o) + 1u;

	return rounds * o->urls.count;
}

struct turns *turns_create(const struct options *o, const struct record *records)
{
	size_t most = most_slices(o),
	       packed_at = sizeof(struct turns) + most * sizeof(struct slice);
	size_t bytes = packed_at + most * PACKED_BYTES; /* what is not written to takes no memory */
	struct turns *t = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (t == MAP_FAILED)
		die_errno("mmap of the slices",
			  "fewer rounds, a shorter duration or longer slices");
	t->options = o;
	t->records = records;
	t->targets = (uint32_t)o->urls.count;
	t->workers = (uint32_t)o->workers;
	t->bytes = bytes;
	t->slice_most = most;
	t->packed = (uint8_t *)t + packed_at;
	t->packed_most = most * PACKED_BYTES;
	/* Without passes only if they do not matter. */
	if (o->arrangement == ARRANGEMENT_TOGETHER && o->slice_ns != DURATION_AUTO)
		turns_cut(t);
	for (uint32_t i = 0; i < t->targets; i++) {
		t->seats[i].state = (uint32_t)NO_TURN << 2 | TURN_DRAIN;
		t->seats[i].timing = schedule_timing(o, 0);
	}
	return t;
}

void turns_free(struct turns *t)
{
	if (t)
		munmap(t, t->bytes);
}

void turns_let_connect(struct turns *t, uint32_t target)
{
	if (shared_load(&t->connecting) == target)
		return;
	shared_store(&t->connecting, target);
	futex_wake_all(&t->connecting);
}

void turns_stop(struct turns *t)
{
	shared_store(&t->over, 1);
	turns_let_connect(t, UINT32_MAX);
	for (uint32_t i = 0; i < t->targets; i++) {
		struct seat *seat = &t->seats[i];

		announce(seat, shared_load(&seat->state) >> 2, TURN_OVER);
		futex_wake_all(&seat->state);
		futex_wake_all(&seat->drained);
	}
}

/* Turn number `number` is whose? Those before number `targets` are the warm-up. */
static uint32_t target_of(const struct turns *t, uint32_t number)
{
	uint32_t order[TARGETS_MAX];

	schedule_order((uint64_t)t->options->seed, number / t->targets, t->targets, order);
	return order[number % t->targets];
}

static void give(struct turns *t, uint32_t number)
{
	uint32_t target = target_of(t, number);
	struct seat *seat = &t->seats[target];
	uint64_t now_ns = clock_now_ns();

	/* Until its leader knows better. */
	store64(&t->deadline_ns, now_ns);
	shared_store(&t->holder, target);
	shared_store(&seat->drained, 0);
	seat->begin_ns = now_ns;
	store64(&seat->edge_ns, now_ns);
	announce(seat, number, TURN_SETTLE);
	futex_wake_all(&seat->state);
}

void turns_start(struct turns *t)
{
	store64(&t->start_ns, clock_now_ns());
	give(t, 0);
}

void turns_cut(struct turns *t)
{
	uint64_t longest_ns = 0;

	for (uint32_t i = 0; i < t->targets; i++) {
		uint64_t pass_ns = load64(&t->seats[i].pass_ns);

		longest_ns = pass_ns > longest_ns ? pass_ns : longest_ns;
	}
	shared_store(&t->cuts, schedule_cuts(t->options, longest_ns));
}

uint32_t turns_holder(const struct turns *t)
{
	return shared_load(&t->holder);
}

uint64_t turns_deadline_ns(const struct turns *t)
{
	return load64(&t->deadline_ns);
}

bool turns_all_done(const struct turns *t)
{
	size_t n = turns_slice_count(t);

	for (size_t i = 0; i < n; i++) {
		if (!turns_slice(t, i))
			return false;
	}
	return n > t->targets || t->options->arrangement == ARRANGEMENT_TOGETHER;
}

size_t turns_slice_count(const struct turns *t)
{
	size_t rounds = shared_load(&t->cuts), most = t->slice_most;

	if (t->options->arrangement == ARRANGEMENT_TURNS)
		rounds = shared_load(&t->rounds) + 1u;
	else if (rounds == 0)
		rounds = 1;
	return rounds * t->targets < most ? rounds * t->targets : most;
}

const struct slice *turns_slice(const struct turns *t, size_t i)
{
	return shared_load(&t->slices[i].done) ? &t->slices[i] : NULL;
}

const uint8_t *turns_histogram(const struct turns *t, const struct slice *s)
{
	return s->packed ? t->packed + s->packed_at : NULL;
}

/* All targets have been warmed up: their passes say how long slices are, and how many. */
static void plan(struct turns *t)
{
	struct timing timings[TARGETS_MAX];

	for (uint32_t i = 0; i < t->targets; i++)
		timings[i] = schedule_timing(t->options, load64(&t->seats[i].pass_ns));
	shared_store(&t->rounds, schedule_rounds(t->options, timings, t->targets));
	for (uint32_t i = 0; i < t->targets; i++)
		t->seats[i].timing = timings[i];
}

static void pass_on(struct turns *t, uint32_t number)
{
	number++;
	if (shared_load(&t->over))
		return;
	if (number == t->targets)
		plan(t);
	if (number < t->targets || number < t->targets * (t->rounds + 1))
		give(t, number);
	else
		turns_stop(t);
}

/* --- edges -------------------------------------------------------------------------------- */

struct taker *taker_create(struct turns *t, uint32_t target, uint32_t worker,
			   const char *server_cpu)
{
	struct taker *k = calloc(1, sizeof(*k));
	char reason[256];
	bool usage;

	if (!k)
		return NULL;
	*k = (struct taker){
		.turns = t,
		.seat = &t->seats[target],
		.records = t->records + (size_t)target * t->workers,
		.target = target,
		.worker = worker,
		.stat = -1,
		.seen = NO_TURN,
	};
	if (worker == 0) {
		/* It was there when the options were checked; if it has gone, slices say so. */
		(void)server_cpu_open(&k->server, server_cpu, &usage, reason, sizeof(reason));
		k->hists = aligned_alloc(64, 3 * sizeof(*k->hists));
		k->clocks = calloc(t->workers, sizeof(*k->clocks));
		k->delays = calloc(t->workers, sizeof(*k->delays));
		k->encoded = malloc(HIST_ENCODED_BYTES);
		if (!k->hists || !k->clocks || !k->delays || !k->encoded) {
			taker_free(k);
			return NULL;
		}
		k->now = k->hists;
		k->before = k->hists + 1;
		k->change = k->hists + 2;
		hist_init(k->before);
	}
	return k;
}

void taker_free(struct taker *k)
{
	if (!k)
		return;
	for (uint32_t i = 0; k->looking && i < k->turns->workers; i++) {
		if (k->delays[i] >= 0)
			close(k->delays[i]);
	}
	if (k->stat >= 0)
		close(k->stat);
	server_cpu_close(&k->server);
	free(k->hists);
	free(k->encoded);
	free(k->clocks);
	free(k->delays);
	free(k);
}

/* Open what says how much CPU time the workers of this target have used. All have been started. */
static void open_clocks(struct taker *k)
{
	char path[64];

	k->stat = open("/proc/stat", O_RDONLY | O_CLOEXEC);
	for (uint32_t i = 0; i < k->turns->workers; i++) {
		pid_t pid = (pid_t)shared_load(&k->records[i].pid);

		if (clock_getcpuclockid(pid, &k->clocks[i]) != 0)
			k->clocks[i] = CLOCK_PROCESS_CPUTIME_ID;
		snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)pid);
		k->delays[i] = open(path, O_RDONLY | O_CLOEXEC);
	}
	k->looking = true;
}

static uint64_t read_delay(int fd)
{
	char text[128];
	ssize_t n = fd >= 0 ? pread(fd, text, sizeof(text) - 1, 0) : 0;
	uint64_t ran = 0, waited = 0;

	text[n > 0 ? n : 0] = '\0';
	return sscanf(text, "%" SCNu64 " %" SCNu64, &ran, &waited) == 2 ? waited : 0;
}

static struct reading take_edge(struct taker *k)
{
	struct reading edge;

	if (!k->looking)
		open_clocks(k);
	edge = edge_take(k->records, k->turns->workers, &k->server);
	for (uint32_t i = 0; i < k->turns->workers; i++) {
		struct timespec used = {0};

		clock_gettime(k->clocks[i], &used);
		edge.client_ns += (uint64_t)used.tv_sec * NS_PER_S + (uint64_t)used.tv_nsec;
		edge.spin_ns += __atomic_load_n(&k->records[i].spun_ns, __ATOMIC_RELAXED);
		edge.delay_ns += read_delay(k->delays[i]);
	}
	host_cpu_read(k->stat, &edge.busy_ns, &edge.steal_ns);
	return edge;
}

static void sum_requests(const struct taker *k, uint64_t *sent, uint64_t *due)
{
	*sent = *due = 0;
	for (uint32_t i = 0; i < k->turns->workers; i++) {
		const struct tally *t = k->records[i].tallies;

		for (int p = 0; p < POPULATIONS; p++)
			*sent += __atomic_load_n(&t[p].sent, __ATOMIC_RELAXED);
		*due += __atomic_load_n(&t[POPULATION_ACTIVE].sent, __ATOMIC_RELAXED) +
			__atomic_load_n(&t[POPULATION_ACTIVE].unsent, __ATOMIC_RELAXED);
	}
}

/* Keep the histogram, if there is room for it. */
static void pack(struct taker *k, struct slice *slice, const struct hist *h)
{
	struct turns *t = k->turns;
	size_t len = hist_encode(k->encoded, h);
	size_t at = __atomic_fetch_add(&t->packed_used, len, __ATOMIC_RELAXED);

	if (at + len > t->packed_most)
		return;
	memcpy(t->packed + at, k->encoded, len);
	slice->packed_at = at;
	slice->packed = (uint32_t)len;
}

/* The response times recorded since the last call. */
static void take_latency(struct taker *k, struct slice *slice)
{
	struct hist *swap = k->before;

	hist_snapshot(k->now, &k->records[0].response);
	for (uint32_t i = 1; i < k->turns->workers; i++) {
		hist_snapshot(k->change, &k->records[i].response);
		hist_merge(k->now, k->change);
	}
	*k->change = *k->now;
	hist_subtract(k->change, k->before);
	k->before = k->now;
	k->now = swap;
	slice->latency = slice_quantiles(k->change);
	if (!slice->warmup)
		pack(k, slice, k->change);
}

static void complete(struct slice *slice)
{
	slice->has_counts = !slice->warmup;
	shared_store(&slice->done, 1);
}

/* --- in turns: the leader ----------------------------------------------------------------- */

static bool is_over(const struct taker *k, const struct session *s)
{
	return shared_load(&k->turns->over) || session_is_over(s);
}

static uint64_t count_replies(const struct taker *k)
{
	struct reading r;

	edge_sum_replies(k->records, k->turns->workers, &r);
	return r.replies;
}

static uint64_t connections_of(const struct taker *k)
{
	return (uint64_t)(k->turns->options->connections + k->turns->options->short_lived);
}

/* How long something lasts: until least_ns, and then until so many replies, or most_ns. */
struct span {
	uint64_t least_ns, most_ns, replies;
};

static uint64_t warm_slice_passes(const struct options *o)
{
	return o->slice_passes < WARM_SLICE_PASSES ? (uint64_t)o->slice_passes : WARM_SLICE_PASSES;
}

static struct span span_of(const struct taker *k, uint64_t now_ns, bool warmup, bool settling)
{
	uint64_t ns = settling ? k->seat->timing.settle_ns : k->seat->timing.slice_ns;
	uint64_t most_ns = (uint64_t)k->turns->options->warmup_ns;
	uint64_t passes = settling ? WARM_SETTLE_PASSES : warm_slice_passes(k->turns->options);

	if (!warmup)
		return (struct span){.least_ns = now_ns + ns, .most_ns = now_ns + ns};
	return (struct span){
		.least_ns = now_ns + ns,
		.most_ns = now_ns + (ns > most_ns ? ns : most_ns),
		.replies = count_replies(k) + passes * connections_of(k),
	};
}

/* Load for so long. False if the run is over. */
static bool load_for(struct taker *k, struct session *s, bool warmup, bool settling)
{
	struct span span = span_of(k, s->now_ns, warmup, settling);

	store64(&k->seat->edge_ns, span.least_ns);
	while (s->now_ns < span.most_ns && !is_over(k, s)) {
		if (s->now_ns >= span.least_ns && count_replies(k) >= span.replies)
			break;
		s->next_edge_ns = s->now_ns < span.least_ns ? span.least_ns : span.most_ns;
		session_turn(s);
	}
	return !is_over(k, s);
}

/* What the server did since the last turn, when it had nothing to do. */
static void note_silence(struct taker *k, struct slice *slice)
{
	struct cpu_time now = server_cpu_read(&k->server);

	slice->begin_ns = clock_now_ns();
	slice->idle_known = k->drained_ns != 0;
	slice->idle_ns = slice->begin_ns - k->drained_ns;
	slice->idle_cpu_known = slice->idle_known && now.known && k->drained_cpu.known;
	slice->idle_cpu_ns = now.total_ns - k->drained_cpu.total_ns;
	slice->begun = (struct whole){.replies = count_replies(k), .server = now};
}

static void set_deadline(const struct taker *k, bool warmup)
{
	const struct options *o = k->turns->options;
	const struct timing *timing = &k->seat->timing;
	uint64_t ns = timing->settle_ns + timing->slice_ns + (uint64_t)o->timeout_ns;

	if (warmup)
		ns += 2 * (uint64_t)o->warmup_ns;
	store64(&k->turns->deadline_ns, clock_now_ns() + ns);
}

static void await_helpers(struct taker *k, const struct session *s)
{
	uint32_t drained;

	while ((drained = shared_load(&k->seat->drained)) + 1 < k->turns->workers && !is_over(k, s))
		futex_wait(&k->seat->drained, drained);
}

/* From edge B on: stop, drain, edge C. */
static void bring_to_rest(struct taker *k, struct session *s, struct slice *slice)
{
	uint64_t all = (uint64_t)options_all_connections(k->turns->options);
	uint64_t busy = connections_of(k);
	struct timespec rest = {.tv_nsec = (long)schedule_rest_ns(busy, all - busy)};

	session_end_turn(s);
	await_helpers(k, s);
	k->drained_ns = clock_now_ns();
	/* The server has sent its last reply, but must have gone to sleep for its clock to say so. */
	nanosleep(&rest, NULL);
	k->drained_cpu = server_cpu_read(&k->server);
	slice->drained_ns = k->drained_ns;
	slice->ended = (struct whole){.replies = count_replies(k), .server = k->drained_cpu};
}

/* What a slice needs beyond its edges. Nobody waits for it: the turn has been passed on. */
static void sum_up(struct taker *k, struct slice *slice)
{
	uint64_t sent, due;

	sum_requests(k, &sent, &due);
	slice->sent = sent - k->sent;
	slice->due = due - k->due;
	k->sent = sent;
	k->due = due;
	take_latency(k, slice);
	complete(slice);
}

static void learn_pass(struct taker *k, const struct slice *slice)
{
	struct slice_change change = slice_change(slice);

	store64(&k->seat->pass_ns,
		schedule_pass_ns(connections_of(k), change.replies, change.wall_ns));
}

static void lead(struct taker *k, struct session *s, uint32_t number)
{
	struct turns *t = k->turns;
	struct slice *slice = &t->slices[number];
	bool warmup = number < t->targets, fine;

	slice->target = k->target;
	slice->warmup = warmup;
	slice->round = warmup ? 0 : number / t->targets - 1;
	set_deadline(k, warmup);
	note_silence(k, slice);
	session_begin_turn(s, k->seat->begin_ns, number);
	fine = load_for(k, s, warmup, true);
	if (fine) {
		slice->from = take_edge(k);
		announce(k->seat, number, TURN_MEASURE);
		if (!warmup)
			session_open_window(s);
		fine = load_for(k, s, warmup, false);
		if (fine)
			slice->to = take_edge(k);
	}
	announce(k->seat, number, TURN_DRAIN);
	session_close_window(s);
	bring_to_rest(k, s, slice);
	if (!fine || session_is_deserted(s)) {
		turns_stop(t);
		return;
	}
	if (warmup) {
		learn_pass(k, slice);
		pass_on(t, number);
		complete(slice);
		return;
	}
	pass_on(t, number);
	sum_up(k, slice);
}

/* --- in turns: the other workers of a target, who follow its leader ------------------------- */

/* Load while the turn is in this phase. */
static void load_during(struct taker *k, struct session *s, uint32_t number, enum turn_phase phase)
{
	while (shared_load(&k->seat->state) == (number << 2 | phase) && !is_over(k, s)) {
		uint64_t edge_ns = load64(&k->seat->edge_ns), soon_ns = s->now_ns + HELPER_LOOK_NS;

		s->next_edge_ns = edge_ns > soon_ns ? edge_ns : soon_ns;
		session_turn(s);
	}
}

static void help(struct taker *k, struct session *s, uint32_t number)
{
	bool warmup = number < k->turns->targets;

	session_begin_turn(s, k->seat->begin_ns, number);
	load_during(k, s, number, TURN_SETTLE);
	if (!warmup)
		session_open_window(s);
	load_during(k, s, number, TURN_MEASURE);
	session_close_window(s);
	session_end_turn(s);
	if (session_is_over(s))
		turns_stop(k->turns);
	__atomic_fetch_add(&k->seat->drained, 1, __ATOMIC_ACQ_REL);
	futex_wake_all(&k->seat->drained);
}

/* Sleep until this target has the turn; false when there are no more. */
static bool await_turn(struct taker *k, uint32_t *number)
{
	for (;;) {
		uint32_t state = shared_load(&k->seat->state);

		if (phase_of(state) == TURN_OVER)
			return false;
		*number = state >> 2;
		if (*number != k->seen)
			break;
		futex_wait(&k->seat->state, state);
	}
	k->seen = *number;
	return true;
}

void taker_run(struct taker *k, struct session *s)
{
	uint32_t number;

	while (await_turn(k, &number)) {
		if (k->worker == 0)
			lead(k, s, number);
		else
			help(k, s, number);
	}
}

void taker_await_connect(struct taker *k, struct record *record)
{
	static const struct timespec second = {.tv_sec = 1};
	uint32_t now;

	while ((now = shared_load(&k->turns->connecting)) < k->target) {
		futex_wait_for(&k->turns->connecting, now, &second);
		shared_store(&record->beats, record->beats + 1);
	}
}

/* --- together ----------------------------------------------------------------------------- */

/* Arrivals of the whole target, all its workers', before `ns`. */
static uint64_t count_arrivals(struct taker *k, const struct session *s, uint64_t ns)
{
	while (k->next_due_ns != ARRIVAL_NEVER && s->start_ns + k->next_due_ns < ns) {
		k->arrived++;
		k->next_due_ns = arrival_next(&k->arrivals);
	}
	return k->arrived;
}

void taker_start(struct taker *k, struct session *s)
{
	if (k->worker != 0)
		return;
	if (s->open_loop) {
		session_init_arrivals(s, &k->arrivals, s->seed);
		k->next_due_ns = arrival_next(&k->arrivals);
	}
	store64(&k->turns->start_ns, s->start_ns);
	k->stage = HALF_WARM;
	s->next_edge_ns = s->start_ns + (uint64_t)k->turns->options->warmup_ns / 2;
}

/* Where the warm-up is too short to learn it, an open loop knows its rate. */
static void learn_together(struct taker *k)
{
	uint64_t replies = count_replies(k) - k->warm_replies;
	uint64_t pass_ns =
		schedule_pass_ns(connections_of(k), replies, clock_now_ns() - k->warm_ns);
	double rate = k->turns->options->rate_rps;

	if (!pass_ns && rate > 0)
		pass_ns = (uint64_t)((double)connections_of(k) / rate * 1e9);
	store64(&k->seat->pass_ns, pass_ns);
}

static void together_edge(struct taker *k, struct session *s)
{
	struct turns *t = k->turns;
	struct reading edge = take_edge(k);
	struct slice *slice = &t->slices[(size_t)k->edge * t->targets + k->target];
	uint64_t due;

	sum_requests(k, &edge.sent, &due);
	edge.due = s->open_loop ? count_arrivals(k, s, edge.at_ns) : 0;
	if (k->edge > 0) {
		struct slice *last = slice - t->targets;

		last->target = k->target;
		last->round = k->edge - 1;
		last->to = edge;
		last->begin_ns = last->from.at_ns;
		last->drained_ns = edge.at_ns;
		last->sent = edge.sent - last->from.sent;
		last->due = edge.due - last->from.due;
		take_latency(k, last);
		complete(last);
	}
	k->edge++;
	if (k->edge <= shared_load(&t->cuts) || k->edge == 1)
		slice->from = edge;
}

/* When edge number k->edge is due; never after the last. */
static uint64_t edge_due_ns(const struct taker *k, const struct session *s, uint32_t cuts)
{
	if (k->edge > cuts)
		return UINT64_MAX;
	return s->window.from_ns + (uint64_t)((double)s->window.length_ns / cuts * k->edge);
}

/* From the first edge on: the others are due as soon as it is known how many there are. */
static void await_cut(struct taker *k, struct session *s)
{
	uint32_t cuts = shared_load(&k->turns->cuts);

	if (!cuts)
		return;
	k->stage = CUT;
	s->next_edge_ns = edge_due_ns(k, s, cuts);
}

void taker_edge(struct taker *k, struct session *s)
{
	switch (k->stage) {
	case HALF_WARM:
		k->warm_ns = clock_now_ns();
		k->warm_replies = count_replies(k);
		k->stage = WARM;
		s->next_edge_ns = s->window.from_ns;
		return;
	case WARM:
		learn_together(k);
		together_edge(k, s);
		k->stage = UNCUT;
		s->next_edge_ns = s->window.from_ns + TURNS_CUT_NS + CUT_LOOK_NS;
		await_cut(k, s);
		return;
	case UNCUT:
		s->next_edge_ns = s->now_ns + CUT_LOOK_NS;
		await_cut(k, s);
		return;
	case CUT:
		together_edge(k, s);
		s->next_edge_ns = edge_due_ns(k, s, shared_load(&k->turns->cuts));
		return;
	}
}

void taker_end(struct taker *k, struct session *s)
{
	if (k->worker == 0 && k->edge > 0 && s->now_ns >= s->window.from_ns + s->window.length_ns &&
	    (k->stage == UNCUT || k->edge <= shared_load(&k->turns->cuts)))
		together_edge(k, s);
	s->next_edge_ns = UINT64_MAX;
}
