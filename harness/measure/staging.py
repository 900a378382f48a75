# SPDX-License-Identifier: MIT
"""One piece of a duel at a time: fresh servers, one run of the load generator, a record of both.

What a piece comes to goes into the record: its slices, or who is left out from now on and why.
"""
from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.design import duel as design
from harness.design.duel import ALONE, TOGETHER, TURNS, Entry, Plan
from harness.design.load import Load
from harness.design.pieces import Piece, Slice
from harness.design.plan import Setting
from harness.errors import SetupError
from harness.measure import cell, client, interrupt, targets
from harness.measure.field import Fault, Field, extra_ns, waits_per_request
from harness.measure.meter import Sources
from harness.measure.placement import Placement
from harness.measure.process import ProcessError

# A slice in turns and its settling, in seconds and in passes, as the load generator chooses them
# for each target by itself. A pass is the time in which every connection is served once; to settle
# there are half as many.
SLICE_S, SLICE_PASSES = 0.05, 10
SETTLE_S, SETTLE_PASSES = 0.02, 5
# Two slices in turn differ by nearly the same whether they are long or short, so many short ones
# tell more: passes are given up for rounds, and the last ones only where the least would not fit.
MANY_ROUNDS, FEW_PASSES = 6, 5
SHORT_PASSES = 2
PILOT_PASSES = 1  # it only wants to know the size
# Of the time there is for turns, what shortened slices may give to starting and connecting.
OVERHEAD_MOST = 0.6
# What a server is taken to do before the pilot has told.
PILOT_RPS = 20e3
WARMUP_LEAST_S, WARMUP_MOST_S, OPEN_WARMUP_MOST_S = 0.1, 8.0, 1.0
# A void cell for which its server is not to blame: the client had no CPU.
NO_FAULT = "client-limited:"
# Runs that fail one after the other without anyone to blame.
LOST_MOST = 4


@dataclass(frozen=True)
class Bench:
    """What all pieces share."""

    loadgen: Path
    placement: Placement
    sources: Sources
    memory_bytes: int


@dataclass
class Record:
    """What is known so far. excluded: status ("unsupported" or "failed") and reason, by name.
    spins: who is measured alone, and why. rates: requests/s offered in *together*, by fraction.
    capacity: requests/s that each took in the pilot. lost: why runs came to nothing."""

    entries: list[Entry]
    pieces: list[Piece] = field(default_factory=list)
    excluded: dict[str, tuple[str, str]] = field(default_factory=dict)
    spins: dict[str, str] = field(default_factory=dict)
    rates: dict[float, float] = field(default_factory=dict)
    capacity: dict[str, float] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    wall_s: float = 0.0
    ended: str = ""

    @property
    def reference(self) -> Entry:
        """Whom all others are compared with."""
        return self.entries[0]

    def able(self) -> list[Entry]:
        """The reference and the contenders that can be alive beside others."""
        return [e for e in self.entries if e.name not in self.excluded and e.name not in self.spins]

    def spinning(self) -> list[Entry]:
        """The contenders that cannot."""
        return [e for e in self.entries if e.name in self.spins and e.name not in self.excluded]


class Stage:
    """Runs pieces into a record. overhead_s: of a piece beside its slices, by arrangement, as
    learnt. extra_ns: of the control, by arrangement and fraction; the pilot finds it."""

    def __init__(self, plan: Plan, record: Record, bench: Bench, folder: Path) -> None:
        self.plan = plan
        self.record = record
        self.bench = bench
        self.extra_ns: dict[tuple[str, float], int] = {}
        self.overhead_s = {TOGETHER: 0.3, TURNS: 0.5, ALONE: 0.5}
        self._folder = folder
        self._in_a_row = 0
        self._learnt: set[str] = set()
        self._turn_passes = PILOT_PASSES

    # --- who meets whom ---------------------------------------------------------------------------

    @property
    def connections(self) -> int:
        """Of each contender, idle ones and the like included."""
        return self.plan.load.all_connections

    def pairs(self, fraction: float) -> list[Entry]:
        """Who meets the reference in a sweep: contenders, twin and control. What can be told there
        is CPU time alone, so not who has none to tell."""
        extra = self.extra_ns.get((TOGETHER, fraction), 1)
        others = [entry for entry in self.record.able()[1:] if not entry.model.is_unseen]
        return [*others, *design.controls(self.record.reference, extra)]

    def groups(self) -> list[list[Entry]]:
        """Who takes turns with whom: the fast with the fast, so that their rounds do not last as
        long as the slow ones' slices."""
        reference, *others = self.record.able()
        others.sort(key=lambda entry: -self.record.capacity.get(entry.name, 0.0))
        core = [reference, *design.controls(reference, self.extra_ns.get((TURNS, 0.0), 1))]
        return design.groups([*core, *others], self.connections, self.bench.memory_bytes)

    # --- pieces -----------------------------------------------------------------------------------

    def block(
        self, entries: Sequence[Entry], rounds: int, number: int, *key: object
    ) -> tuple[Piece | None, list[str]]:
        """Turns: so many rounds of all entries; and who worked in child processes."""
        timing = targets.Timing(TURNS, rounds=rounds, slice_passes=self._turn_passes)
        return self._piece(entries, timing, self.plan.load, 0.0, number, (TURNS, *key, number))

    def pair(
        self, entry: Entry, fraction: float, seconds: float, number: int, *key: object
    ) -> Piece | None:
        """Together: the reference and one other, at the rate of that fraction."""
        load = self._load_together(fraction)
        slice_s = max(SLICE_S, min(SLICE_PASSES * self.pass_s(load), seconds / 4))
        timing = targets.Timing(TOGETHER, 0, 0, seconds, self.warmup_s(), slice_s)
        both = [self.record.reference, entry]
        place = (TOGETHER, fraction, *key, number)
        return self._piece(both, timing, load, fraction, number, place)[0]

    def alone(self, entry: Entry, seconds: float, number: int) -> Piece | None:
        """The reference and one that spins, one after the other, each with nobody else alive."""
        began = time.monotonic()
        slices: list[Slice] = []
        latency: dict[str, dict[str, float]] = {}
        both = design.shuffled([self.record.reference, entry], self.plan.seed, ALONE, number)
        for order, one in enumerate(both):
            interrupt.check()
            outcome = self._cell(one, seconds, number, order)
            metrics = outcome.metrics
            if outcome.status == "void" and outcome.reason.startswith(NO_FAULT):
                self._lose(outcome.reason)
                return None
            if outcome.status in ("failed", "void", "unsupported") or not metrics:
                self.exclude(one.name, "failed", outcome.reason or outcome.status)
                return None
            slices.append(_of_cell(one.name, seconds, metrics))
            latency[one.name] = {p: metrics[f"{p}_ns"] for p in ("p50", "p99")}
        self._in_a_row = 0
        return Piece(
            arrangement=ALONE,
            number=number,
            names=tuple(e.name for e in both),
            fraction=0.0,
            rate_rps=self.plan.load.offered_rps,
            slices=tuple(slices),
            extra_ns={},
            latency=latency,
            verdicts={},
            wall_s=time.monotonic() - began,
            loaded_s=len(both) * (seconds + self.warmup_s()),
        )

    # --- who is left out --------------------------------------------------------------------------

    def exclude(self, name: str, status: str, reason: str) -> None:
        """Leave an entry out from now on. The controls are the reference's own binary."""
        if all(e.name != name for e in self.record.entries):
            name, reason = self.record.reference.name, f"{name}: {reason}"
        self.record.excluded.setdefault(name, (status, reason))

    def require(self) -> None:
        """Raises SetupError when the reference is left out, or everybody else before any piece."""
        excluded = self.record.excluded
        name = self.record.reference.name
        if name in excluded:
            raise SetupError(f"{name}, the reference: {excluded[name][1]}")
        if name in self.record.spins:
            raise SetupError(f"{name}, the reference: {self.record.spins[name]}; take another one")
        gone = [e.name for e in self.record.entries[1:] if e.name in excluded]
        if gone and len(gone) == len(self.record.entries) - 1 and not self.record.pieces:
            reasons = "; ".join(f"{other}: {excluded[other][1]}" for other in gone)
            raise SetupError(f"nobody is left to meet {name}: {reasons}")

    def field(self, entries: Sequence[Entry]) -> Field:
        """Servers of these entries, in this order."""
        place = self.bench.placement.server
        return Field(entries, self.plan.load.protocol, place, self.bench.sources)

    # --- how long ---------------------------------------------------------------------------------

    def pass_s(self, load: Load) -> float:
        """The time in which every connection is served once, for the slowest."""
        rate = load.offered_rps or min(self.record.capacity.values(), default=PILOT_RPS)
        return load.connections / rate if rate > 0 else 0.0

    def turn_s(self, entry: Entry) -> float:
        """A slice of an entry with its settling. The controls are as fast as the reference."""
        sustained = self.record.capacity
        usual = sustained.get(self.record.reference.name, PILOT_RPS)
        rate = self.plan.load.offered_rps or sustained.get(entry.name, usual) or usual
        one = self.plan.load.connections / rate if rate > 0 else 0.0
        passes = self._turn_passes
        return max(SLICE_S, passes * one) + max(SETTLE_S, passes / 2 * one)

    def round_s(self, entries: Sequence[Entry]) -> float:
        """A turn of each."""
        return sum(map(self.turn_s, entries))

    def fit_turns(self, seconds: float, blocks: int, rounds: int) -> None:
        """Shorten slices and settling, where so many blocks of every group would not fit into so
        many seconds: to FEW_PASSES where they are to have MANY_ROUNDS, and to SHORT_PASSES where
        they are to have `rounds`."""
        groups = self.groups()
        room = seconds - min(OVERHEAD_MOST * seconds, blocks * len(groups) * self.overhead_s[TURNS])
        tries = [(passes, MANY_ROUNDS) for passes in range(SLICE_PASSES, FEW_PASSES - 1, -1)]
        tries += [(passes, rounds) for passes in range(FEW_PASSES, SHORT_PASSES - 1, -1)]
        for passes, each in tries:
            self._turn_passes = passes
            # One more round is the warm-up.
            if blocks * (each + 1) * sum(map(self.round_s, groups)) <= room:
                return

    def warmup_s(self) -> float:
        """Before a run together. Every connection has been served once by then (--prime); in a
        closed loop it takes some passes until requests come as they go on to come."""
        rates = [rate for rate in self.record.rates.values() if rate]
        if rates:
            return min(OPEN_WARMUP_MOST_S, max(WARMUP_LEAST_S, self.connections / min(rates)))
        passes = SETTLE_PASSES * self.pass_s(self.plan.load)
        return min(WARMUP_MOST_S, max(WARMUP_LEAST_S, passes))

    # --- one piece --------------------------------------------------------------------------------

    def _load_together(self, fraction: float) -> Load:
        rate = self.record.rates[fraction]
        return replace(self.plan.load, loop="open" if rate else "closed", offered_rps=rate)

    def _piece(
        self,
        entries: Sequence[Entry],
        timing: targets.Timing,
        load: Load,
        fraction: float,
        number: int,
        key: tuple[object, ...],
    ) -> tuple[Piece | None, list[str]]:
        """None where it came to nothing: then somebody was excluded, or the reason is the last of
        record.lost."""
        interrupt.check()
        began = time.monotonic()
        seed = self.plan.seed
        try:
            with self.field(design.shuffled(entries, seed, "start", *key)) as servers:
                order = design.shuffled(entries, seed, "connect", *key)
                report = self._load(servers, order, timing, load, design.client_seed(seed, *key))
                children = servers.with_children()
                counters, failed = servers.stop()
        except Fault as fault:
            self.exclude(fault.name, "failed", str(fault))
            return None, []
        except ProcessError as error:
            self._lose(str(error))
            return None, []
        self._in_a_row = 0
        wrong = {**failed, **_wrong(report)}
        for name, reason in wrong.items():
            self.exclude(name, "failed", reason)
        if wrong:
            return None, children
        wall = time.monotonic() - began
        loaded = _loaded_s(report.slices, timing.arrangement)
        self._learn(timing.arrangement, max(0.0, wall - loaded))
        piece = Piece(
            arrangement=timing.arrangement,
            number=number,
            names=tuple(e.name for e in order),
            fraction=fraction,
            rate_rps=load.offered_rps,
            slices=report.slices,
            extra_ns={n: x for n, c in counters.items() if (x := extra_ns(c)) > 0},
            latency=report.latency,
            verdicts=report.verdicts,
            wall_s=wall,
            loaded_s=loaded,
            waits={n: x for n, c in counters.items() if (x := waits_per_request(c)) > 0},
        )
        return piece, children

    def _load(
        self,
        servers: Field,
        order: Sequence[Entry],
        timing: targets.Timing,
        load: Load,
        seed: int,
    ) -> targets.Report:
        """The load generator's run; where it fails and somebody is to blame, that is a Fault."""
        found = servers.targets(order)
        cpus = self.bench.placement.client
        report = self._folder / "duel.json"
        command = targets.argv(self.bench.loadgen, load, found, timing, cpus, seed, report)
        slowest = max(map(self.turn_s, order))
        allowed = targets.allowed_s(load, len(found), timing, slowest)
        try:
            with client.asked_for(load, targets.requests_path(report)):
                document = targets.run(command, cpus, allowed)
        except targets.Refused as error:
            if error.status == targets.EXIT_CANNOT_RUN_HERE:
                raise SetupError(f"load generator: {error.text}") from None
            _blame(servers, found, error.text)
            raise
        _blame(servers, found, "")
        return targets.read(document, [t.name for t in found])

    def _learn(self, arrangement: str, seconds: float) -> None:
        """What a piece took beside its slices: at first a guess, which the first piece replaces."""
        before = self.overhead_s[arrangement] if arrangement in self._learnt else seconds
        self.overhead_s[arrangement] = 0.7 * before + 0.3 * seconds
        self._learnt.add(arrangement)

    def _lose(self, reason: str) -> None:
        self.record.lost.append(reason)
        self._in_a_row += 1
        if self._in_a_row >= LOST_MOST:
            raise SetupError(f"{LOST_MOST} runs in a row failed: {reason}")

    def _cell(self, entry: Entry, seconds: float, number: int, order: int) -> cell.Outcome:
        load = entry.model.asked(self.plan.load)
        bench = cell.Bench(
            {entry.name: lambda load: entry.argv(load.protocol)},
            self.bench.loadgen,
            {load.placement: self.bench.placement},
            self.bench.sources,
            self.plan.seed,
            prime=True,
            edges=True,
        )
        setting = Setting(entry.name, {}, load, seconds, self.warmup_s())
        scratch = self._folder / "alone"
        seed = design.client_seed(self.plan.seed, ALONE, number, order)
        return cell.measure(setting, bench, seed, scratch)


def _blame(servers: Field, found: Sequence[targets.Target], text: str) -> None:
    """Raise a Fault if it can be told whose it is: who died, or whose port is in the message."""
    for name, reason in servers.died().items():
        raise Fault(name, reason)
    for target in found:
        if f":{target.port}" in text:
            raise Fault(target.name, f"load generator: {text}")


def _wrong(report: targets.Report) -> dict[str, str]:
    """Whose answers were wrong: what they cost is of no interest."""
    return {
        name: report.texts[name]
        for name, (_, codes) in report.verdicts.items()
        if "verification" in codes
    }


def _loaded_s(slices: Sequence[Slice], arrangement: str) -> float:
    """Seconds inside slices, settling and warm-up included."""
    if arrangement == TOGETHER:
        return max((s.to_ns for s in slices), default=0.0) / 1e9
    return sum(s.to_ns - s.begin_ns for s in slices) / 1e9


def _of_cell(name: str, seconds: float, metrics: Mapping[str, float]) -> Slice:
    """A cell as one slice; its CPU time is that of its window."""
    replies = round(metrics["throughput_rps"] * seconds)
    cpu = metrics.get("server_cpu_us_per_request")
    return Slice(
        name=name,
        round=0,
        warmup=False,
        begin_ns=0.0,
        from_ns=0.0,
        to_ns=seconds * 1e9,
        replies=replies,
        failures=0,
        due=None,
        server_cpu_ns=None if cpu is None else cpu * 1e3 * replies,
        turn_replies=None,
        turn_cpu_ns=None,
        client_cpu_ns=None,
        client_spin_ns=None,
        client_delay_ns=None,
        steal_ns=None,
        foreign_cpu_ns=None,
        idle_ns=None,
        idle_cpu_ns=None,
        p50_ns=metrics["p50_ns"],
        p99_ns=metrics["p99_ns"],
    )
