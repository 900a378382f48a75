# SPDX-License-Identifier: MIT
"""tenk bench-loadgen: what the load generator costs, against a bare client and wrk.

Closed loop over keep-alive HTTP, one client on one CPU, the null server (loadgen/bench/null.c) on
another. A block is one fresh server with every client connected to it at once; in each of its
rounds every client goes on for one slice of time, in a seeded random order, while the others are
stopped (harness/measure/slices.py). Ratios are formed within a round, so that what drifts hits both
sides; a block's is the median over its rounds, and the estimate the median over blocks with a 95 %
bootstrap interval (harness/judge/stats.py): what is peculiar to one start of a program is peculiar
to its block.

Two guards against a wrong answer:

- The control is the bare client with a known busy time added per reply. If less than half of it
  shows in the rate, the server and not the client sets the rate, and clients look more alike than
  they are: then nothing is concluded that this would favour.
- A slice in which a client or the server waited for its CPU, or in which the host took the CPU
  away, is left out. That is decided without looking at any rate. How many is in the output, and a
  block with too few left is repeated while time allows.

Beside each ratio stands that of client CPU per request. It does not see waiting, and no goal is
judged by it.

With --before, another build of the load generator takes turns as well: what a change cost the plain
path.

It is a benchmark: exit 0 also when a goal is missed. 1: the bench itself failed; 2: bad usage.
"""
from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import random
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from harness import errors, store
from harness.judge import stats
from harness.measure import host
from harness.present import wording
from harness.paths import build_dir, loadgen_path
from harness.measure.process import ProcessError
from harness.measure.slices import Contender, CountingServer, Slice, take_slice

if TYPE_CHECKING:
    from harness.commands import Subparsers

CONTROL_SPIN_NS = 250
PAIRS_LEAST = 3  # undisturbed rounds of a block that make it count
LONGEST_S = 600  # what the clients are told to run; they are interrupted long before
FAILURES_MOST = 2  # of one client, before it is skipped for the rest
BARE, CONTROL, EPOLL, URING, WRK = "bare", "bare+control", "loadgen", "loadgen io_uring", "wrk"
BEFORE = "loadgen before"
NAMES = (BARE, CONTROL, EPOLL, BEFORE, URING, WRK)  # in the order of the tables
# Reasons of a verdict that do not spoil a rate in closed loop: it is interrupted, and stopped most
# of the time; a saturated client is the point; and the kernel's counters are those of the whole
# host.
HARMLESS = {"interrupted", "client-limited", "steal", "too-few", "littles-law", "unanswered", "lag"}
HARMLESS |= {"listen-overflow", "retransmits", "softnet-drops"}


@dataclass(frozen=True)
class Client:
    """One contender: what to run against a port, and whether its output tells of no error."""

    name: str
    argv: Callable[[int, int], list[str]]  # port, connections
    check: Callable[[str, int], None]  # standard output, exit status; raises ProcessError


@dataclass(frozen=True)
class Goal:
    """Ratio of two clients' rates and what it should reach; strict: exceed.

    A server that sets the rate draws every ratio towards 1: `below_one` says on which side the goal
    lies, and so which answer that would favour.
    """

    over: str
    under: str
    connections: int
    least: float
    strict: bool = False

    @property
    def below_one(self) -> bool:
        return self.least < 1


@dataclass(frozen=True)
class Answer:
    """A goal with its estimate, 'met' | 'not met' | 'cannot decide' | 'skipped', and why."""

    goal: Goal
    estimate: stats.Estimate
    outcome: str
    reason: str


def goals_for(connections: int, has_before: bool = False) -> list[Goal]:
    """The goals stated for this many connections; the ratio to wrk is stated for 100 and 1000, that
    to a build of before where there is one."""
    goals = [Goal(EPOLL, BARE, connections, 0.97), Goal(URING, EPOLL, connections, 1.0, True)]
    if has_before:
        goals.append(Goal(EPOLL, BEFORE, connections, 0.99))
    least = {100: 1.35, 1000: 1.5}.get(connections)
    return goals + ([Goal(EPOLL, WRK, connections, least)] if least else [])


def expected_control(bare_rps: float) -> float:
    """The control's rate over the bare one's if the client alone sets the rate."""
    return 1 / (1 + CONTROL_SPIN_NS * 1e-9 * bare_rps)


def control_shows(estimate: stats.Estimate, expected: float) -> bool:
    """Whether, with the interval's confidence, at least half of the added time is seen."""
    return estimate.n >= 2 and estimate.hi <= (1 + expected) / 2


def decide(goal: Goal, estimate: stats.Estimate, client_sets_rate: bool) -> tuple[str, str]:
    """Outcome and reason of a goal. Needs five blocks: fewer have no 95 % interval."""
    if estimate.n < 5:
        return "cannot decide", f"{estimate.n} undisturbed blocks, 5 needed"
    if goal.strict:
        outcome = "met" if estimate.lo > goal.least else "not met"
        open_still = estimate.lo <= goal.least < estimate.hi
    else:
        outcome = "met" if estimate.lo >= goal.least else "not met"
        open_still = estimate.lo < goal.least <= estimate.hi
    if open_still:
        return "cannot decide", "the interval spans the goal"
    if not client_sets_rate and (outcome == "met") == goal.below_one:
        return "cannot decide", f"{outcome} as measured, but the control does not show"
    return outcome, ""


def paired_ratios(slices: Iterable[Slice], over: str, under: str, connections: int) -> list[float]:
    """rate(over) / rate(under), per block the median over the rounds in which both were
    undisturbed; blocks with fewer than PAIRS_LEAST of those are left out."""
    return _per_block(
        (s for s in slices if not s.disturbed), over, under, connections, lambda s: s.rate_rps
    )


def paired_costs(slices: Iterable[Slice], over: str, under: str, connections: int) -> list[float]:
    """CPU per request of `under` over that of `over`, as the ratio of rates would be if each had a
    CPU of its own; disturbed slices included: CPU time does not run while waiting. Left out is a
    slice in which the client got no CPU at all: it has no cost."""
    known = (s for s in slices if 0 < s.cost_us < math.inf)
    return _per_block(known, over, under, connections, lambda s: 1 / s.cost_us)


def _per_block(
    slices: Iterable[Slice],
    over: str,
    under: str,
    connections: int,
    value: Callable[[Slice], float],
) -> list[float]:
    rounds: dict[tuple[int, int], dict[str, float]] = {}
    for one in slices:
        if one.connections == connections:
            rounds.setdefault((one.block, one.round), {})[one.client] = value(one)
    blocks: dict[int, list[float]] = {}
    for (block, _), of in sorted(rounds.items()):
        if over in of and under in of:
            blocks.setdefault(block, []).append(of[over] / of[under])
    return [median(ratios) for ratios in blocks.values() if len(ratios) >= PAIRS_LEAST]


def answers(slices: Sequence[Slice], connections: int, skipped: Mapping[str, str]) -> list[Answer]:
    """Every goal of this connection count, judged."""
    shows = _control(slices, connections)[2]
    found = []
    has_before = BEFORE in skipped or any(one.client == BEFORE for one in slices)
    for goal in goals_for(connections, has_before):
        estimate = stats.estimate(paired_ratios(slices, goal.over, goal.under, connections))
        missing = [name for name in (goal.over, goal.under) if name in skipped]
        if missing:
            found.append(Answer(goal, estimate, "skipped", f"{missing[0]}: {skipped[missing[0]]}"))
        else:
            found.append(Answer(goal, estimate, *decide(goal, estimate, shows)))
    return found


def _control(slices: Sequence[Slice], connections: int) -> tuple[stats.Estimate, float, bool]:
    """The control's ratio, the one expected, and whether it shows."""
    estimate = stats.estimate(paired_ratios(slices, CONTROL, BARE, connections))
    bare = [
        one.rate_rps
        for one in slices
        if (one.client, one.connections) == (BARE, connections) and not one.disturbed
    ]
    expected = expected_control(median(bare)) if bare else math.nan
    return estimate, expected, control_shows(estimate, expected)


# --- running ------------------------------------------------------------------------------------


def _wrk_like(text: str, status: int) -> None:
    if status or not re.search(r"^Requests/sec:\s+[\d.]+", text, re.MULTILINE):
        raise ProcessError(f"exit {status} without Requests/sec")
    if complaint := re.search(r"^\s*(Socket errors:.*|Non-2xx.*)$", text, re.MULTILINE):
        raise ProcessError(complaint.group(1).strip())


def _loadgen_json(text: str, status: int) -> None:
    if status != 130:  # interrupted
        raise ProcessError(f"exit {status}")
    result: dict[str, Any] = json.loads(text)
    codes = {str(reason["code"]) for reason in result["verdict"]["reasons"]}
    if bad := codes - HARMLESS:
        raise ProcessError(f"verdict {result['verdict']['status']}: {', '.join(sorted(bad))}")
    if any(result["requests"]["errors"].values()):
        raise ProcessError(f"errors: {result['requests']['errors']}")


def _bare(spin_ns: int) -> Callable[[int, int], list[str]]:
    path = build_dir() / "loadgen" / "bench" / "bare"

    def argv(port: int, connections: int) -> list[str]:
        flags = f"-p {port} -c {connections} -w 0.001 -d {LONGEST_S} -x {spin_ns}"
        return [str(path), *flags.split()]

    return argv


def _loadgen(engine: str, program: Path | None = None) -> Callable[[int, int], list[str]]:
    # While it is stopped no request may time out.
    def argv(port: int, connections: int) -> list[str]:
        flags = f"-c {connections} -t 1 -d {LONGEST_S}s -T {LONGEST_S}s --warmup 1ms"
        target = f"http://127.0.0.1:{port}/"
        words = [str(program or loadgen_path()), *flags.split(), "--engine", engine]
        return [*words, "--json", "-", target]

    return argv


def _wrk(port: int, connections: int) -> list[str]:
    flags = f"-t1 -c{connections} -d{LONGEST_S}s --timeout {LONGEST_S}s"
    return ["wrk", *flags.split(), f"http://127.0.0.1:{port}/"]


CLIENTS = (
    Client(BARE, _bare(0), _wrk_like),
    Client(CONTROL, _bare(CONTROL_SPIN_NS), _wrk_like),
    Client(EPOLL, _loadgen("epoll"), _loadgen_json),
    Client(URING, _loadgen("io_uring"), _loadgen_json),
    Client(WRK, _wrk, _wrk_like),
)


@dataclass(frozen=True)
class Plan:
    """What was asked for; cpus: (server's, client's)."""

    blocks: int
    rounds: int
    slice_s: float
    connections: tuple[int, ...]
    seed: int
    limit_s: float
    cpus: tuple[int, int]
    before: str = ""  # another build of the load generator

    @property
    def clients(self) -> tuple[Client, ...]:
        """All contenders."""
        if not self.before:
            return CLIENTS
        return (*CLIENTS, Client(BEFORE, _loadgen("epoll", Path(self.before)), _loadgen_json))


def absent() -> dict[str, str]:
    """Clients that cannot run here, and why."""
    missing: dict[str, str] = {}
    if shutil.which("wrk") is None:
        missing[WRK] = "wrk is not installed (Debian package wrk)"
    if not loadgen_path().exists():
        missing[EPOLL] = missing[URING] = "it is not built (make)"
    return missing


def measure_block(
    clients: Sequence[Client], plan: Plan, connections: int, block: int, rng: random.Random
) -> tuple[list[Slice], dict[str, str]]:
    """One server's block: its slices, and which clients failed, with the reason.

    What a client did before it failed is not used. The first round warms up and is not kept.
    """
    slices: list[Slice] = []
    failed: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        null = build_dir() / "loadgen" / "bench" / "null"
        server = stack.enter_context(CountingServer(null, [plan.cpus[0]]))
        running: dict[str, Contender] = {}
        for client in clients:
            try:
                running[client.name] = stack.enter_context(
                    Contender(
                        client.name,
                        client.argv(server.port, connections),
                        connections,
                        server,
                        plan.cpus[1],
                    )
                )
            except ProcessError as error:
                failed[client.name] = str(error)
        for number in range(plan.rounds + 1):
            for order, name in enumerate(rng.sample(list(running), len(running))):
                place = (block, number, order)
                try:
                    one = take_slice(running[name], connections, place, plan.slice_s)
                except ProcessError as error:
                    failed[name] = str(error)
                    running.pop(name).close()
                    continue
                if number:
                    slices.append(one)
        for client in clients:
            if client.name in running:
                try:
                    client.check(*running[client.name].finish())
                except (ProcessError, ValueError, KeyError) as error:
                    failed[client.name] = f"{client.name}: {error}"
        server.stop()
    return [one for one in slices if one.client not in failed], failed


def measure(plan: Plan, skipped: dict[str, str], say: Callable[[str], None]) -> list[Slice]:
    """Blocks in random order; those with too few undisturbed rounds again while time allows. Adds
    clients that keep failing to skipped."""
    rng = random.Random(plan.seed)
    waiting = [
        n for _ in range(plan.blocks) for n in rng.sample(plan.connections, len(plan.connections))
    ]
    begin, longest, block = time.monotonic(), 0.0, 0
    slices: list[Slice] = []
    failures: dict[str, int] = {}
    planned = len(waiting)
    while waiting:
        if time.monotonic() - begin + longest > plan.limit_s:
            say(f"time limit: {len(waiting)} blocks were not run")
            break
        connections = waiting.pop(0)
        clients = [client for client in plan.clients if client.name not in skipped]
        started = time.monotonic()
        found, failed = measure_block(clients, plan, connections, block, rng)
        longest = max(longest, time.monotonic() - started)
        for name, reason in failed.items():
            failures[name] = failures.get(name, 0) + 1
            if failures[name] >= FAILURES_MOST:
                skipped[name] = reason
        if BARE in skipped:
            raise ProcessError(skipped[BARE])
        slices.extend(found)
        block += 1
        pairs = [
            len(paired_ratios(found, name, BARE, connections))
            for name in {one.client for one in found} - {BARE}
        ]
        note = ""
        if failed or not all(pairs):
            waiting.append(connections)
            note = "; not enough of it counts, so one more at the end"
        spoilt = sum(one.disturbed for one in found)
        note = (f"; {spoilt} of {len(found)} slices disturbed" if spoilt else "") + note
        note += "".join(f"; failed: {reason}" for reason in failed.values())
        name = block_name(block, planned)
        say(f"{name}: {connections} connections: {_rates(found)}{note}")
    return slices


def block_name(number: int, planned: int) -> str:
    """What a block is called, counted from 1; beyond those planned are those that repeat one."""
    if number <= planned:
        return f"block {number} of {planned}"
    return f"block {number} ({planned} planned, {number - planned} more)"


def _rates(slices: Sequence[Slice]) -> str:
    names = [name for name in NAMES if any(one.client == name for one in slices)]
    middle = {n: median(s.rate_rps for s in slices if s.client == n) for n in names}
    return ", ".join(f"{name} {rate / 1e3:.0f}k" for name, rate in middle.items())


# --- output -------------------------------------------------------------------------------------


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _interval(estimate: stats.Estimate) -> str:
    return f"{_number(estimate.value)} [{_number(estimate.lo)}, {_number(estimate.hi)}]"


def report(slices: Sequence[Slice], plan: Plan, skipped: Mapping[str, str]) -> str:
    """The text for people."""
    lines = []
    for connections in plan.connections:
        here = [one for one in slices if one.connections == connections]
        spoilt = sum(one.disturbed for one in here)
        lines += [
            f"\n{connections} connections: {len({one.block for one in here})} blocks,"
            f" {spoilt} of {len(here)} slices disturbed",
            *_table(here),
        ]
        control, expected, shows = _control(slices, connections)
        lines.append(
            f"  control: {CONTROL_SPIN_NS} ns more per reply gives {_interval(control)} of the bare"
            f" rate, {_number(expected)} if the client alone sets it: "
            + ("it does" if shows else "not shown that it does")
        )
        for answer in answers(slices, connections, skipped):
            lines += _answer_lines(answer, slices)
    lines += [f"skipped: {name}: {reason}" for name, reason in skipped.items()]
    return "\n".join(lines)


def _table(here: Sequence[Slice]) -> list[str]:
    lines = [
        f"  {'client':18} {'requests/s, median [95 %]':>32} {'client CPU':>10} {'server CPU':>10}"
        f" {'slices':>6} {'us CPU/request':>14}"
    ]
    for name in NAMES:
        every = [one for one in here if one.client == name]
        own = [one for one in every if not one.disturbed]
        blocks = {one.block for one in own}
        costs = [one.cost_us for one in every if math.isfinite(one.cost_us)]
        cost = f"{median(costs):.2f}" if costs else "-"
        if not every:
            continue
        if not own:
            lines.append(f"  {name:18} {'all slices disturbed':>32} {cost:>43}")
            continue
        rate = stats.estimate(
            [median(one.rate_rps for one in own if one.block == block) for block in blocks]
        )
        rates = f"{rate.value:,.0f} [{rate.lo:,.0f}, {rate.hi:,.0f}]"
        cpu = median(one.client_cpu for one in own)
        server = median(one.server_cpu for one in own)
        lines.append(
            f"  {name:18} {rates:>32} {cpu:>10.0%} {server:>10.0%} {len(own):>6} {cost:>14}"
        )
    return lines


def _answer_lines(answer: Answer, slices: Sequence[Slice]) -> list[str]:
    goal = answer.goal
    sign = ">" if goal.strict else ">="
    because = f" ({answer.reason})" if answer.reason else ""
    cost = stats.estimate(paired_costs(slices, goal.over, goal.under, goal.connections))
    lines = [
        f"  {goal.over} / {goal.under} {sign} {goal.least:g}:"
        f" {_interval(answer.estimate)}, n={answer.estimate.n}: {answer.outcome}{because}"
    ]
    if goal.under == BEFORE:
        lines.append(f"      {change_words(answer.estimate)}")
    elif goal.under != BARE:
        floor = stats.estimate(paired_ratios(slices, BARE, goal.under, goal.connections))
        lines.append(f"      {BARE}, which records nothing, / {goal.under}: {_interval(floor)}")
    if cost.n:
        lines.append(
            f"      by client CPU per request, disturbed slices included:"
            f" {_interval(cost)}, n={cost.n}"
        )
    return lines


def change_words(ratio: stats.Estimate) -> str:
    """What a change cost, from the ratio of the new rate to the old: one sentence, percent of the
    old rate, with the interval of the same confidence."""
    if not ratio.n:
        return "what the change costs is not known: no block counts"
    share, lo, hi = (100 * (1 - value) for value in (ratio.value, ratio.hi, ratio.lo))
    sentence = f"the change {'costs' if share >= 0 else 'gains'} {abs(share):.1f} % of the rate"
    if ratio.n < 5:
        return f"{sentence}; too few blocks ({ratio.n}) for a 95 % interval"
    interval = f"{sentence}; 95 % interval of the cost {lo:+.1f} to {hi:+.1f} %"
    return f"{interval}, so it may be nothing" if lo <= 0 <= hi else interval


def as_json(slices: Sequence[Slice], plan: Plan, skipped: Mapping[str, str]) -> dict[str, Any]:
    """Everything measured, with the answers; infinite and missing numbers as null."""
    judged = [asdict(answer) for n in plan.connections for answer in answers(slices, n, skipped)]
    return {
        "schema": "tenk.bench_loadgen/2",
        "host": host.describe(),
        "git": host.git_state(),
        "plan": asdict(plan),
        "skipped": dict(skipped),
        "answers": judged,
        "slices": [
            {**asdict(one), "disturbed": one.disturbed, "cost_us": one.cost_us} for one in slices
        ],
    }


def _plain(value: Any) -> Any:
    """The same with null for numbers JSON cannot hold."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _connections(text: str) -> tuple[int, ...]:
    try:
        counts = tuple(int(word) for word in text.split(","))
    except ValueError:
        counts = ()
    if not counts or min(counts) < 1 or max(counts) > 3000:
        raise argparse.ArgumentTypeError("a list of counts from 1 to 3000, as 100,1000")
    return counts


def _count(least: int, most: int) -> Callable[[str], int]:
    def parse_count(text: str) -> int:
        if not text.isdigit() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"a whole number from {least} to {most}")
        return int(text)

    return parse_count


def _program(text: str) -> str:
    path = Path(text)
    if not path.is_file() or not os.access(path, os.X_OK):
        raise argparse.ArgumentTypeError(f"'{text}' is not a program: name a built load generator")
    return str(path.absolute())


def register(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser(
        "bench-loadgen",
        help="what the load generator costs, against a bare client and wrk",
        description=__doc__.partition("\n")[0],
        epilog="exit status: 0 done, also when a goal is missed · 1 the bench failed · 2 bad usage",
    )
    parser.add_argument(
        "--blocks", type=_count(1, 1000), default=20, help="per connection count [20]"
    )
    parser.add_argument(
        "--rounds", type=_count(PAIRS_LEAST, 1000), default=9, help="measured, per block [9]"
    )
    parser.add_argument(
        "--slice-ms", type=_count(50, 5000), default=150, help="of one client in a round [150]"
    )
    parser.add_argument("--connections", type=_connections, default=(100, 1000), metavar="N,N")
    parser.add_argument("--seed", type=int, default=1, help="of the order of slices [1]")
    parser.add_argument(
        "--limit", type=_count(1, 86400), default=480, help="total time in seconds [480]"
    )
    parser.add_argument(
        "--before",
        type=_program,
        metavar="FILE",
        help="another build of the load generator, which takes turns with this one",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every slice and answer")
    parser.set_defaults(run=run)


def planned(given: argparse.Namespace) -> Plan:
    """The options as a plan; SetupError where there is one CPU only."""
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        raise errors.SetupError(
            "bench-loadgen needs two CPUs, one for the server and one for the client;"
            f" it may use {cpus}"
        )
    return Plan(
        given.blocks,
        given.rounds,
        given.slice_ms / 1e3,
        given.connections,
        given.seed,
        given.limit,
        (cpus[0], cpus[1]),
        given.before or "",
    )


def run(args: argparse.Namespace) -> int:
    plan = planned(args)
    skipped = absent()
    print(wording.machine(host.describe()))
    print(f"server on CPU {plan.cpus[0]}, client on CPU {plan.cpus[1]}, seed {plan.seed}")

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    try:
        slices = measure(plan, skipped, say)
    except ProcessError as error:
        raise errors.SetupError(f"bench-loadgen: {error}") from None
    print(report(slices, plan, skipped))
    if args.json:
        text = json.dumps(_plain(as_json(slices, plan, skipped)), indent=1, allow_nan=False)
        try:
            store.write_atomically(args.json, text + "\n")
        except OSError as error:
            raise errors.SetupError(f"cannot write {args.json}: {error.strerror}") from None
    return errors.EXIT_OK
