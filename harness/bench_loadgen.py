# SPDX-License-Identifier: MIT
"""What the load generator costs: its rate against that of a bare client, and of wrk.

    /usr/bin/python3 -m harness.bench_loadgen [--rounds N] [--seconds N] [--connections N,N]

Closed loop over keep-alive HTTP, one client on one CPU, the null server (loadgen/bench/null.c) on
another. Per round and connection count one fresh server serves every client once, in a seeded
random order; ratios are formed within such a block, so that what drifts hits both sides. The
estimate is the median over blocks with a 95 % bootstrap interval (harness/stats.py).

Two guards against a wrong answer:

- The control is the bare client with a known busy time added per reply. If less than half of it
  shows in the rate, the server and not the client sets the rate, and clients look more alike than
  they are: then nothing is concluded that this would favour.
- A block in which a client or the server waited for its CPU, or in which the host took the CPU
  away, is repeated while time allows. That is decided without looking at any rate. What is still
  disturbed at the end is left out of the ratios and counted in the output.

Beside each ratio stands that of client CPU per request, over all runs: it stands a machine that
others use too, but does not see waiting, and no goal is judged by it.

It is a benchmark: exit 0 also when a goal is missed. 1: the bench itself failed; 2: bad usage.
"""
from __future__ import annotations

import argparse
import json
import math
import os
import random
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from harness import host, stats
from harness.meter import tree
from harness.paths import build_dir, loadgen_path
from harness.process import Child, ProcessError, Server

WARMUP_S = 0.3
# Of wall time, spent runnable but not running, or stolen by the host: above it a run is disturbed.
DISTURBED_SHARE = 0.03
CONTROL_SPIN_NS = 250
WRK_LEAST_S = 3
SAMPLE_S = 0.2
FAILURES_MOST = 2  # of one client, before it is skipped for the rest
BARE, CONTROL, EPOLL, URING, WRK = "bare", "bare+control", "loadgen", "loadgen io_uring", "wrk"
# Reasons of a verdict that do not spoil a rate in closed loop: a saturated client is the point, and
# the kernel's counters of overflows and retransmits are those of the whole host.
HARMLESS = {"client-limited", "steal", "too-few", "littles-law", "unanswered", "lag"}
HARMLESS |= {"listen-overflow", "retransmits"}


@dataclass(frozen=True)
class Client:
    """One contender: what to run against a port, and how its output tells requests per second."""

    name: str
    argv: Callable[[int, int, int], list[str]]  # port, connections, seconds
    rate: Callable[[str, int], float]  # standard output, exit status; raises ProcessError


@dataclass(frozen=True)
class Run:
    """One client against one server: rates in requests/s, the others as fraction of wall time.

    client_cpu is that of the steady state, between set-up and end.
    """

    client: str
    connections: int
    block: int
    order: int
    rate_rps: float
    client_cpu: float
    client_queued: float
    server_cpu: float
    server_queued: float
    steal: float

    @property
    def cost_us(self) -> float:
        """Client CPU time per request."""
        return self.client_cpu / self.rate_rps * 1e6

    @property
    def disturbed(self) -> bool:
        return max(self.client_queued, self.server_queued, self.steal) > DISTURBED_SHARE


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


def goals_for(connections: int) -> list[Goal]:
    """The goals stated for this many connections; the ratio to wrk is stated for 100 and 1000."""
    goals = [Goal(EPOLL, BARE, connections, 0.97), Goal(URING, EPOLL, connections, 1.0, True)]
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


def paired_ratios(runs: Iterable[Run], over: str, under: str, connections: int) -> list[float]:
    """rate(over) / rate(under) of every block in which both ran undisturbed."""
    rates: dict[int, dict[str, float]] = {}
    for run in runs:
        if run.connections == connections and not run.disturbed:
            rates.setdefault(run.block, {})[run.client] = run.rate_rps
    return [of[over] / of[under] for _, of in sorted(rates.items()) if over in of and under in of]


def paired_costs(runs: Iterable[Run], over: str, under: str, connections: int) -> list[float]:
    """CPU per request of `under` over that of `over`, as the ratio of rates would be if each had a
    CPU of its own; per block, disturbed ones included: CPU time does not run while waiting."""
    costs: dict[int, dict[str, float]] = {}
    for run in runs:
        if run.connections == connections and math.isfinite(run.cost_us):
            costs.setdefault(run.block, {})[run.client] = run.cost_us
    return [of[under] / of[over] for _, of in sorted(costs.items()) if over in of and under in of]


def answers(runs: Sequence[Run], connections: int, skipped: Mapping[str, str]) -> list[Answer]:
    """Every goal of this connection count, judged."""
    shows = _control(runs, connections)[2]
    found = []
    for goal in goals_for(connections):
        estimate = stats.estimate(paired_ratios(runs, goal.over, goal.under, connections))
        missing = [name for name in (goal.over, goal.under) if name in skipped]
        if missing:
            found.append(Answer(goal, estimate, "skipped", f"{missing[0]}: {skipped[missing[0]]}"))
        else:
            found.append(Answer(goal, estimate, *decide(goal, estimate, shows)))
    return found


def _control(runs: Sequence[Run], connections: int) -> tuple[stats.Estimate, float, bool]:
    """The control's ratio, the one expected, and whether it shows."""
    estimate = stats.estimate(paired_ratios(runs, CONTROL, BARE, connections))
    bare = [
        run.rate_rps
        for run in runs
        if (run.client, run.connections) == (BARE, connections) and not run.disturbed
    ]
    expected = expected_control(median(bare)) if bare else math.nan
    return estimate, expected, control_shows(estimate, expected)


# --- running ------------------------------------------------------------------------------------


def _wrk_like(text: str, status: int) -> float:
    found = re.search(r"^Requests/sec:\s+([\d.]+)", text, re.MULTILINE)
    if status or not found:
        raise ProcessError(f"exit {status} without Requests/sec")
    if errors := re.search(r"^\s*(Socket errors:.*|Non-2xx.*)$", text, re.MULTILINE):
        raise ProcessError(errors.group(1).strip())
    return float(found.group(1))


def _loadgen_json(text: str, status: int) -> float:
    if status not in (0, 3, 4):
        raise ProcessError(f"exit {status}")
    result: dict[str, Any] = json.loads(text)
    codes = {str(reason["code"]) for reason in result["verdict"]["reasons"]}
    if bad := codes - HARMLESS:
        raise ProcessError(f"verdict {result['verdict']['status']}: {', '.join(sorted(bad))}")
    return float(result["rate_rps"]["achieved"])


def _bare(spin_ns: int) -> Callable[[int, int, int], list[str]]:
    path = build_dir() / "loadgen" / "bench" / "bare"

    def argv(port: int, connections: int, seconds: int) -> list[str]:
        flags = f"-p {port} -c {connections} -w {WARMUP_S} -d {seconds} -x {spin_ns}"
        return [str(path), *flags.split()]

    return argv


def _loadgen(engine: str) -> Callable[[int, int, int], list[str]]:
    def argv(port: int, connections: int, seconds: int) -> list[str]:
        flags = f"-c {connections} -t 1 -d {seconds}s --warmup {WARMUP_S * 1e3:.0f}ms"
        target = f"http://127.0.0.1:{port}/"
        return [str(loadgen_path()), *flags.split(), "--engine", engine, "--json", "-", target]

    return argv


def _wrk(port: int, connections: int, seconds: int) -> list[str]:
    # wrk has no warm-up, so its figure includes its connects; a longer run makes less of that.
    duration = max(seconds, WRK_LEAST_S)
    return ["wrk", "-t1", f"-c{connections}", f"-d{duration}s", f"http://127.0.0.1:{port}/"]


CLIENTS = (
    Client(BARE, _bare(0), _wrk_like),
    Client(CONTROL, _bare(CONTROL_SPIN_NS), _wrk_like),
    Client(EPOLL, _loadgen("epoll"), _loadgen_json),
    Client(URING, _loadgen("io_uring"), _loadgen_json),
    Client(WRK, _wrk, _wrk_like),
)


@dataclass(frozen=True)
class _Times:
    """Of a live process tree, in seconds: CPU used, and time runnable without a CPU."""

    cpu: float
    queued: float


def _times(pid: int) -> _Times:
    cpu = queued = 0.0
    for process in tree(pid):
        for task in Path(f"/proc/{process}/task").glob("*/schedstat"):
            try:
                words = task.read_text(encoding="ascii").split()
            except OSError:
                continue
            cpu += int(words[0]) / 1e9
            queued += int(words[1]) / 1e9
    return _Times(cpu, queued)


def _steady_cpu(samples: Sequence[tuple[float, _Times]], begin: float, end: float) -> float:
    """CPU per wall time between the first and last sample within begin..end; nan without two."""
    within = [(at, times.cpu) for at, times in samples if begin <= at <= end]
    if len(within) < 2:
        return math.nan
    return (within[-1][1] - within[0][1]) / (within[-1][0] - within[0][0])


def run_client(client: Client, server: Server, cpu: int, connections: int, seconds: int) -> Run:
    """Run one client to its end. Raises ProcessError when it fails or hangs."""
    with tempfile.TemporaryFile() as out:
        begin, steal, served = time.monotonic(), host.steal_seconds() or 0.0, _times(server.pid)
        argv = client.argv(server.port, connections, seconds)
        with Child(argv, [cpu], stdout=out.fileno()) as child:
            samples = [(begin, _Times(0, 0))]
            deadline = begin + WARMUP_S + max(seconds, WRK_LEAST_S) + 10
            while (ended := child.wait(SAMPLE_S)) is None:
                if time.monotonic() > deadline:
                    raise ProcessError(f"{client.name}: still running 10 s after its time")
                samples.append((time.monotonic(), _times(child.pid)))
            wall_s = time.monotonic() - begin
            out.seek(0)
            try:
                rate = client.rate(out.read().decode(errors="replace"), ended.status)
            except (ProcessError, ValueError, KeyError) as error:
                raise ProcessError(f"{client.name}: {error}: {child.stderr_tail()}") from None
        after = _times(server.pid)
        return Run(
            client.name,
            connections,
            block=-1,
            order=-1,
            rate_rps=rate,
            client_cpu=_steady_cpu(samples, begin + WARMUP_S, begin + WARMUP_S + seconds),
            client_queued=samples[-1][1].queued / max(samples[-1][0] - begin, SAMPLE_S),
            server_cpu=(after.cpu - served.cpu) / wall_s,
            server_queued=(after.queued - served.queued) / wall_s,
            steal=((host.steal_seconds() or 0.0) - steal) / wall_s / (os.cpu_count() or 1),
        )


@dataclass(frozen=True)
class Plan:
    """What was asked for; cpus: (server's, client's)."""

    rounds: int
    seconds: int
    connections: tuple[int, ...]
    seed: int
    limit_s: float
    cpus: tuple[int, int]


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
) -> tuple[list[Run], dict[str, str]]:
    """All clients once against one fresh server, and which of them failed, with the reason."""
    order = rng.sample(list(clients), len(clients))
    runs: list[Run] = []
    failed: dict[str, str] = {}
    null = build_dir() / "loadgen" / "bench" / "null"
    with Server([str(null)], [plan.cpus[0]]) as server:
        for place, client in enumerate(order):
            try:
                run = run_client(client, server, plan.cpus[1], connections, plan.seconds)
            except ProcessError as error:
                failed[client.name] = str(error)
                continue
            runs.append(replace(run, block=block, order=place))
        server.stop()
    return runs, failed


def measure(plan: Plan, skipped: dict[str, str], say: Callable[[str], None]) -> list[Run]:
    """Blocks in random order; disturbed ones again while time allows. Adds failures to skipped."""
    rng = random.Random(plan.seed)
    waiting = [
        n for _ in range(plan.rounds) for n in rng.sample(plan.connections, len(plan.connections))
    ]
    begin, longest, block = time.monotonic(), 0.0, 0
    runs: list[Run] = []
    failures: dict[str, int] = {}
    planned = len(waiting)
    while waiting:
        if time.monotonic() - begin + longest > plan.limit_s:
            say(f"time limit: {len(waiting)} blocks were not run")
            break
        connections = waiting.pop(0)
        clients = [client for client in CLIENTS if client.name not in skipped]
        started = time.monotonic()
        found, failed = measure_block(clients, plan, connections, block, rng)
        longest = max(longest, time.monotonic() - started)
        for name, reason in failed.items():
            failures[name] = failures.get(name, 0) + 1
            if failures[name] >= FAILURES_MOST:
                skipped[name] = reason
        if BARE in skipped:
            raise ProcessError(skipped[BARE])
        runs.extend(found)
        block += 1
        disturbed = [run.client for run in found if run.disturbed]
        if disturbed or failed:
            waiting.append(connections)
        rates = ", ".join(f"{run.client} {run.rate_rps / 1e3:.0f}k" for run in found)
        note = f"; disturbed: {', '.join(disturbed)}" if disturbed else ""
        note += "".join(f"; failed: {reason}" for reason in failed.values())
        say(f"block {block} of {planned}: {connections} connections: {rates}{note}")
    return runs


# --- output -------------------------------------------------------------------------------------


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _interval(estimate: stats.Estimate) -> str:
    return f"{_number(estimate.value)} [{_number(estimate.lo)}, {_number(estimate.hi)}]"


def report(runs: Sequence[Run], plan: Plan, skipped: Mapping[str, str]) -> str:
    """The text for people."""
    lines = []
    for connections in plan.connections:
        here = [run for run in runs if run.connections == connections]
        spoilt = sum(run.disturbed for run in here)
        lines += [
            f"\n{connections} connections: {len({run.block for run in here})} blocks,"
            f" {spoilt} of {len(here)} runs disturbed",
            *_table(here),
        ]
        control, expected, shows = _control(runs, connections)
        lines.append(
            f"  control: {CONTROL_SPIN_NS} ns more per reply gives {_interval(control)} of the bare"
            f" rate, {_number(expected)} if the client alone sets it: "
            + ("it does" if shows else "not shown that it does")
        )
        for answer in answers(runs, connections, skipped):
            lines += _answer_lines(answer, runs)
    lines += [f"skipped: {name}: {reason}" for name, reason in skipped.items()]
    return "\n".join(lines)


def _table(here: Sequence[Run]) -> list[str]:
    lines = [
        f"  {'client':18} {'requests/s, median [95 %]':>32} {'client CPU':>10} {'server CPU':>10}"
        f" {'runs':>4} {'us CPU/request':>14}"
    ]
    for client in CLIENTS:
        every = [run for run in here if run.client == client.name]
        own = [run for run in every if not run.disturbed]
        costs = [run.cost_us for run in every if math.isfinite(run.cost_us)]
        cost = f"{median(costs):.2f}" if costs else "-"
        if not every:
            continue
        if not own:
            lines.append(f"  {client.name:18} {'all runs disturbed':>32} {cost:>41}")
            continue
        rate = stats.estimate([run.rate_rps for run in own])
        rates = f"{rate.value:,.0f} [{rate.lo:,.0f}, {rate.hi:,.0f}]"
        cpu = median(run.client_cpu for run in own)
        server = median(run.server_cpu for run in own)
        lines.append(
            f"  {client.name:18} {rates:>32} {cpu:>10.0%} {server:>10.0%} {len(own):>4} {cost:>14}"
        )
    return lines


def _answer_lines(answer: Answer, runs: Sequence[Run]) -> list[str]:
    goal = answer.goal
    sign = ">" if goal.strict else ">="
    because = f" ({answer.reason})" if answer.reason else ""
    cost = stats.estimate(paired_costs(runs, goal.over, goal.under, goal.connections))
    lines = [
        f"  {goal.over} / {goal.under} {sign} {goal.least:g}:"
        f" {_interval(answer.estimate)}, n={answer.estimate.n}: {answer.outcome}{because}"
    ]
    if cost.n:
        lines.append(
            f"      by client CPU per request, disturbed runs included:"
            f" {_interval(cost)}, n={cost.n}"
        )
    return lines


def as_json(runs: Sequence[Run], plan: Plan, skipped: Mapping[str, str]) -> dict[str, Any]:
    """Everything measured, with the answers; infinite and missing numbers as null."""
    judged = [asdict(answer) for n in plan.connections for answer in answers(runs, n, skipped)]
    return {
        "schema": "tenk.bench_loadgen/1",
        "host": host.describe(),
        "git": host.git_state(),
        "plan": asdict(plan),
        "skipped": dict(skipped),
        "answers": judged,
        "runs": [
            {**asdict(run), "disturbed": run.disturbed, "cost_us": run.cost_us} for run in runs
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
    if not counts or min(counts) < 1 or max(counts) > 15000:
        raise argparse.ArgumentTypeError("a list of counts from 1 to 15000, as 100,1000")
    return counts


def _positive(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError("a whole number from 1 to 1000")
    return int(text)


def parse(argv: Sequence[str] | None = None) -> tuple[Plan, Path | None]:
    """Options to a plan and the file for --json."""
    parser = argparse.ArgumentParser(prog="bench-loadgen", description=__doc__.split("\n")[0])
    parser.add_argument(
        "--rounds", type=_positive, default=10, help="blocks per connection count [10]"
    )
    parser.add_argument("--seconds", type=_positive, default=1, help="measured window of a run [1]")
    parser.add_argument("--connections", type=_connections, default=(100, 1000), metavar="N,N")
    parser.add_argument("--seed", type=int, default=1, help="of the order of runs [1]")
    parser.add_argument("--limit", type=_positive, default=230, help="total time in seconds [230]")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every run and answer")
    given = parser.parse_args(argv)
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        parser.error(f"needs two CPUs, one for the server and one for the client; may use {cpus}")
    plan = Plan(
        given.rounds, given.seconds, given.connections, given.seed, given.limit, (cpus[0], cpus[1])
    )
    return plan, given.json


def main(argv: Sequence[str] | None = None) -> int:
    plan, json_path = parse(argv)
    skipped = absent()
    print(host.one_line(host.describe()))
    print(f"server on CPU {plan.cpus[0]}, client on CPU {plan.cpus[1]}, seed {plan.seed}")

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    try:
        runs = measure(plan, skipped, say)
    except ProcessError as error:
        say(f"bench-loadgen: {error}")
        return 1
    print(report(runs, plan, skipped))
    if json_path:
        text = json.dumps(_plain(as_json(runs, plan, skipped)), indent=1, allow_nan=False)
        json_path.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
