# SPDX-License-Identifier: MIT
"""How a duel stands: ratios to the reference from its pieces, its two controls, and the verdict.

Pure functions. `harness.judge.duel` has the estimators; this says which slices enter them, and
whether the result may be believed.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from harness.design.duel import ALONE, CONTROL, TOGETHER, TURNS, TWIN
from harness.design.pieces import Piece, Slice
from harness.judge import controls, disturbance, duel, hdr, robust, schedule, tails
from harness.judge.controls import VOID_LEVEL, Control
from harness.judge.duel import Ratio
from harness.judge.tails import Tail

CPU = "server_cpu_us_per_request"
RATE = "throughput_rps"
P50, P99 = "p50_ns", "p99_ns"
Pooled = dict[str, float]  # P50 and P99, as far as they are known
METRICS: Mapping[str, tuple[str, ...]] = {
    TOGETHER: (CPU,),
    TURNS: (CPU, RATE, P50, P99),
    ALONE: (CPU, RATE, P50, P99),
}
# How well a single server knows its own added cost, as a fraction; several know it better.
KNOWN_WITHIN = 0.1
VALID, SUSPECT, VOID = "valid", "suspect", "void"


@dataclass(frozen=True)
class Setup:
    """What the pieces of a duel have in common, as far as it decides what counts.

    in_flight: most requests of one contender that can be on their way. workers: of the client, for
    one contender. own_cpus: client and server have CPUs of their own.
    """

    names: tuple[str, ...]
    roles: Mapping[str, str]
    in_flight: int
    workers: int
    own_cpus: bool


@dataclass(frozen=True)
class Standing:
    """One arrangement, at one offered load.

    names: of contenders, the reference first. ratios: to the reference, by name and metric,
    controls included. values: in the metric's unit. tails: of the p99. samples: slices that count;
    discarded: those that do not, by reason. starved: runs left out because one side did not get
    what it needed. expected: the ratio that the control must show (nan where it is not known), and
    uncertainty, how well its added part is known, as a fraction.
    inside: share of the pieces' wall time in slices. wanted_rounds: in a block, for the narrowest
    interval; 0: not known.
    """

    arrangement: str
    fraction: float
    rate_rps: float
    names: tuple[str, ...]
    twin: str
    control: str
    ratios: Mapping[str, Mapping[str, Ratio]]
    values: Mapping[str, Mapping[str, float]]
    tails: Mapping[str, Tail]
    samples: Mapping[str, int]
    discarded: Mapping[str, Mapping[str, int]]
    starved: Mapping[str, int]
    expected: float
    resolution: Mapping[str, float]
    blocks: int
    rounds: int
    seconds: float
    inside: float
    wanted_rounds: int
    uncertainty: float = 0.0

    @property
    def reference(self) -> str:
        """The name of the first."""
        return self.names[0]

    @property
    def blank(self) -> list[str]:
        """Who took part, and has nothing that counts."""
        others = {name: count for name, count in self.samples.items() if name != self.reference}
        if self.arrangement == TOGETHER:
            return [name for name in others if CPU not in self.ratios.get(name, {})]
        return [name for name, count in others.items() if not count]

    @property
    def judged_control(self) -> Control | None:
        """Whether the known cost was found at its size; None where it was not measured."""
        ratio = self.ratios.get(self.control, {}).get(CPU)
        if ratio is None or math.isnan(self.expected):
            return None
        return controls.control(ratio, self.expected, self.uncertainty)

    @property
    def client_set_rate(self) -> bool | None:
        """Whether the rate says nothing of the server; None where that cannot be told."""
        rate = self.ratios.get(self.control, {}).get(RATE)
        if rate is None or math.isnan(self.expected):
            return None
        return controls.client_sets_rate(rate, self.expected)


@dataclass(frozen=True)
class Reason:
    """Why a duel may not be believed, or not quite."""

    status: str
    code: str
    text: str


def stand(
    setup: Setup, pieces: Sequence[Piece], arrangement: str, fraction: float = 0.0
) -> Standing:
    """The standing of an arrangement after these pieces, at one fraction of capacity."""
    own = [p for p in pieces if p.arrangement == arrangement and p.fraction == fraction]
    names, reference = setup.names, setup.names[0]
    twin = next((n for n, role in setup.roles.items() if role == TWIN), "")
    control = next((n for n, role in setup.roles.items() if role == CONTROL), "")
    kept, discarded, hungry = _sift(setup, own)
    everyone = [n for n in (*names, twin, control) if n in kept]
    ratios: dict[str, dict[str, Ratio]] = {name: {} for name in everyone if name != reference}
    resolution: dict[str, float] = {}
    blocks = wanted = 0
    expected = math.nan
    for metric in METRICS[arrangement]:
        if arrangement == TOGETHER:
            samples = _run_costs(everyone, kept)
        else:
            samples = [
                duel.Slice(block, one.round, name, value)
                for name in everyone
                for block, one in kept[name]
                if (value := value_of(metric, one)) is not None
            ]
        if not samples:
            continue
        found = duel.compare(samples, reference)
        for name, ratio in found.ratios.items():
            ratios[name][metric] = ratio
        resolution[metric] = found.resolution
        blocks = max(blocks, found.blocks)
        if metric == CPU:
            expected = expected_control(own, samples, reference, control)
        if metric == CPU and arrangement == TURNS:
            wanted = _wanted_rounds(found, own)
    rounds = {(p.number, s.round) for p in own for s in p.slices if not s.warmup}
    wall = sum(p.wall_s for p in own)
    pooled = {n: _percentiles(kept[n], own, n) for n in everyone if arrangement != TOGETHER}
    return Standing(
        arrangement=arrangement,
        fraction=fraction,
        rate_rps=own[-1].rate_rps if own else 0.0,
        names=tuple(names),
        twin=twin,
        control=control,
        ratios=ratios,
        values={n: _values(kept[n], pooled.get(n, {}), METRICS[arrangement]) for n in everyone},
        tails={n: _tail(kept[n], pooled[n]) for n in everyone if arrangement == TURNS},
        samples={name: len(kept[name]) for name in everyone},
        discarded=discarded,
        starved=hungry,
        expected=expected,
        resolution=resolution,
        blocks=blocks,
        rounds=len(rounds),
        seconds=wall,
        inside=sum(p.loaded_s for p in own) / wall if wall else math.nan,
        wanted_rounds=wanted,
        uncertainty=known_within(own, reference, control),
    )


def starved(setup: Setup, piece: Piece) -> bool:
    """Whether one side of a run together did not get, or did not answer, what it was offered."""
    return any(disturbance.starved_of_load(_side(setup, piece, name)) for name in piece.names)


def value_of(metric: str, one: Slice) -> float | None:
    """A metric of one slice; None where the slice does not have it."""
    reads: Mapping[str, Callable[[Slice], float | None]] = {
        CPU: lambda s: s.cpu_us,
        RATE: lambda s: s.rate_rps,
        P50: lambda s: s.p50_ns,
        P99: lambda s: s.p99_ns,
    }
    value = reads[metric](one)
    return None if value is None or math.isnan(value) or value <= 0 else value


def _run_costs(
    names: Sequence[str], kept: Mapping[str, Sequence[tuple[int, Slice]]]
) -> list[duel.Slice]:
    """Together: one cost per run and side, its CPU time over its replies, of the slices that count
    on both sides. What the clock is behind at the end of a slice is in the next one: a sum has it
    at its ends only.
    """
    sides: dict[int, dict[str, dict[int, Slice]]] = {}
    for name in names:
        for block, one in kept[name]:
            if one.server_cpu_ns is not None:
                sides.setdefault(block, {}).setdefault(name, {})[one.round] = one
    found = []
    for block, side in sides.items():
        shared = set.intersection(*(set(slices) for slices in side.values()))
        for name, slices in side.items():
            cpu = sum(slices[number].server_cpu_ns or 0.0 for number in shared)
            replies = sum(slices[number].replies for number in shared)
            if len(side) > 1 and cpu > 0 and replies > 0:
                found.append(duel.Slice(block, 0, name, cpu / replies / 1e3))
    return found


def expected_control(
    pieces: Sequence[Piece], samples: Sequence[duel.Slice], reference: str, control: str
) -> float:
    """What the control must cost, as a ratio: (c + added) / c, nan where it is not known.

    samples: CPU time per request. c is the reference's in the same piece. added is what the
    control's servers measured their own addition to be, less that of the reference, if it was given
    one: the median over pieces, since what differs from server to server is mostly the error of
    that measurement (they measure it among the requests they answer). What a request costs differs
    by itself (threefold, beside neighbours that come and go), and what is added does not. So the
    logarithm is taken in each piece, and the middle over them as for the ratio that is found: the
    quotient of two medians is another number.
    """
    measured = _added_ns(pieces, reference, control)
    if not measured:
        return math.nan
    added = max(0.0, median(measured)) / 1e3
    met = {s.block for s in samples if s.contender == control}
    logs: dict[int, list[float]] = {}
    for one in samples:
        if one.contender == reference and one.block in met:
            logs.setdefault(one.block, []).append(math.log1p(added / one.value))
    if not logs:
        return math.nan
    inside = [robust.location(values).center for values in logs.values()]
    return math.exp(robust.location(inside).center)


def known_within(pieces: Sequence[Piece], reference: str, control: str) -> float:
    """How well the added cost is known, as a fraction of it: half of a 95 % interval of its middle,
    from how the servers' own measurements differ; at most KNOWN_WITHIN, which one server has."""
    measured = _added_ns(pieces, reference, control)
    middle = robust.location(measured)
    if len(measured) < 3 or not middle.center > 0:
        return KNOWN_WITHIN
    return min(KNOWN_WITHIN, 1.96 * math.sqrt(middle.variance / middle.n) / middle.center)


def _added_ns(pieces: Sequence[Piece], reference: str, control: str) -> list[float]:
    """What each server of the control says it added, less what the reference says."""
    return [
        p.extra_ns[control] - p.extra_ns.get(reference, 0.0)
        for p in pieces
        if control in p.extra_ns
    ]


def verdict(standings: Sequence[Standing], failed: Mapping[str, str]) -> tuple[str, list[Reason]]:
    """(status, reasons): void where the twin differs, suspect where the control is not found at its
    size, where somebody failed or where there is nothing to judge by."""
    reasons = [Reason(SUSPECT, "failed", f"{name}: {text}") for name, text in failed.items()]
    for one in standings:
        if one.arrangement == ALONE:
            continue  # without controls of its own: the table says so
        reasons += _of_twin(one) + _of_control(one)
    statuses = [reason.status for reason in reasons]
    worst = VOID if VOID in statuses else SUSPECT if SUSPECT in statuses else VALID
    return worst, reasons


def agreement(together: Standing | None, turns: Standing | None) -> dict[str, bool | None]:
    """Whether both arrangements say the same of a contender's CPU time per request; None where one
    of them cannot say."""
    names = {n for one in (together, turns) if one is not None for n in one.names[1:]}

    def ratio(one: Standing | None, name: str) -> Ratio | None:
        return None if one is None else one.ratios.get(name, {}).get(CPU)

    return {n: duel.agree(ratio(together, n), ratio(turns, n)) for n in sorted(names)}


def _sift(
    setup: Setup, pieces: Sequence[Piece]
) -> tuple[dict[str, list[tuple[int, Slice]]], dict[str, dict[str, int]], dict[str, int]]:
    """Per name: slices that count, with the number of their piece; how many do not, by reason; and,
    together, how many runs were left out because one side starved."""
    left_out = _starved_runs(setup, pieces)
    found = [(p.number, s) for p in pieces for n in p.names for s in p.counted(n)]
    reasons = disturbance.disturbed([_surroundings(setup, s) for _, s in found])
    reasons = [
        disturbance.STARVED if number in left_out else why
        for (number, _), why in zip(found, reasons)
    ]
    names = dict.fromkeys(name for p in pieces for name in p.names)
    kept: dict[str, list[tuple[int, Slice]]] = {name: [] for name in names}
    for one, reason in zip(found, reasons):
        if not reason:
            kept[one[1].name].append(one)
    hungry = {n: sum(n in p.names for p in pieces if p.number in left_out) for n in names}
    return kept, disturbance.counts([s.name for _, s in found], reasons), hungry


def _starved_runs(setup: Setup, pieces: Sequence[Piece]) -> set[int]:
    together = [p for p in pieces if p.arrangement == TOGETHER]
    found = {p.number for p in together if p.rate_rps and starved(setup, p)}
    shares: dict[str, dict[int, float]] = {}
    for piece in together:
        other = next((n for n in piece.names if n != setup.names[0]), "")
        replies = [sum(s.replies for s in piece.counted(n)) for n in (other, setup.names[0])]
        if not piece.rate_rps and min(replies) > 0:
            shares.setdefault(other, {})[piece.number] = replies[0] / replies[1]
    return found.union(*(disturbance.starved_runs(runs) for runs in shares.values()))


def _side(setup: Setup, piece: Piece, name: str) -> disturbance.Side:
    slices = piece.counted(name)
    dues = [s.due for s in slices if s.due is not None]
    due = round(sum(dues)) if dues else None
    return disturbance.Side(sum(s.replies for s in slices), due, setup.in_flight)


def _surroundings(setup: Setup, one: Slice) -> disturbance.Surroundings:
    return disturbance.Surroundings(
        contender=one.name,
        wall_ns=one.wall_ns,
        steal_ns=one.steal_ns,
        foreign_ns=one.foreign_cpu_ns,
        delay_ns=one.client_delay_ns,
        workers=setup.workers,
        own_cpus=setup.own_cpus,
    )


def _wanted_rounds(found: duel.Comparison, pieces: Sequence[Piece]) -> int:
    """Rounds in a block, from the noise within and between the blocks so far; 0 with one block."""
    rounds = sum(len({s.round for s in p.slices if not s.warmup}) for p in pieces)
    counted = sum(s.to_ns - s.begin_ns for p in pieces for s in p.slices if not s.warmup) / 1e9
    beside = sum(p.wall_s for p in pieces) - counted
    if found.blocks < 2 or not rounds or counted <= 0 or beside <= 0:
        return 0
    noise = schedule.components(found)
    return schedule.rounds_per_block(
        noise.within, noise.between, counted / rounds, beside / len(pieces)
    )


def _percentiles(kept: Sequence[tuple[int, Slice]], pieces: Sequence[Piece], name: str) -> Pooled:
    """p50 and p99 of all requests of the slices that count, from the sum of their histograms. Where
    these are not at hand (an old record): the median over pieces of each piece's own."""
    slices = [one for _, one in kept if one.recorded]
    if slices and all(one.histogram for one in slices):
        recorded = sum(one.recorded for one in slices)
        p50, p99 = hdr.percentiles((one.histogram for one in slices), recorded, (50, 99))
        return {P50: p50, P99: p99}
    found: Pooled = {}
    for metric in (P50, P99):
        key = metric.removesuffix("_ns")
        values = [p.latency[name][key] for p in pieces if key in p.latency.get(name, {})]
        if known := [v for v in values if not math.isnan(v)]:
            found[metric] = median(known)
    return found


def _tail(kept: Sequence[tuple[int, Slice]], pooled: Pooled) -> Tail:
    """Of the p99."""
    slices = [(s.p99_ns, s.replies) for _, s in kept if not math.isnan(s.p99_ns)]
    return tails.tail(pooled.get(P99, math.nan), slices)


def _values(
    kept: Sequence[tuple[int, Slice]], pooled: Pooled, metrics: Sequence[str]
) -> dict[str, float]:
    """CPU time and rate: the median over slices. Percentiles: of all their requests."""
    found = {}
    for metric in metrics:
        if metric in (P50, P99):
            if metric in pooled:
                found[metric] = pooled[metric]
        elif values := [v for _, s in kept if (v := value_of(metric, s)) is not None]:
            found[metric] = median(values)
    return found


def _of_twin(one: Standing) -> list[Reason]:
    found = one.ratios.get(one.twin, {})
    if CPU not in found or found[CPU].basis != duel.BLOCKS or found[CPU].samples < 2:
        text = (
            f"{one.arrangement}: fewer than two fresh servers of the twin count, so how servers of"
            " one model differ is not known; give it more --seconds"
        )
        return [Reason(SUSPECT, "too-few", text)]
    reasons = []
    for metric, ratio in found.items():
        lo, hi = ratio.interval(VOID_LEVEL)
        if ratio.basis == duel.BLOCKS and math.isfinite(lo) and not lo <= 1 <= hi:
            text = (
                f"{one.arrangement}: the reference differs from itself in {metric}: its twin is at"
                f" {ratio.estimate:.4f} [{lo:.4f}, {hi:.4f}] (99 %; one duel in a"
                " hundred by chance)"
            )
            reasons.append(Reason(VOID, "twin-differs", text))
    return reasons


def _of_control(one: Standing) -> list[Reason]:
    ratio = one.ratios.get(one.control, {}).get(CPU)
    if ratio is None or ratio.basis != duel.BLOCKS or math.isnan(one.expected):
        return []
    lo, hi = ratio.interval(VOID_LEVEL)
    slack = abs(one.expected - 1) * one.uncertainty
    if lo - slack <= one.expected <= hi + slack:
        return []
    text = (
        f"{one.arrangement}: a known cost of {100 * (one.expected - 1):.2f} % was found as"
        f" {100 * (ratio.estimate - 1):.2f} % [{100 * (lo - 1):.2f}, {100 * (hi - 1):.2f}] (99 %)"
    )
    return [Reason(SUSPECT, "control-missed", text)]
