# SPDX-License-Identifier: MIT
"""What a run found, as data: who differs from the reference, by how much, from where on, and what
cannot be told. present/answer.py makes sentences and titles of it."""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from harness.design.experiment import Experiment
from harness.design.model import KEEPS_BUSY
from harness.judge import ratios, slope
from harness.judge.levels import LevelDuel
from harness.judge.ratios import ALIKE, LESS, MORE, LevelRatio
from harness.judge.slope import Slope
from harness.judge.summary import Group
from harness.store import level_text


# A cost that is at most this fraction of what a request costs anyway is as good as none.
FREE_BELOW = 0.5


@dataclass(frozen=True)
class Difference:
    """One model that differs from the reference. at: the ratio to be quoted.

    since: the factors of the lowest level from which on it differs in this direction at every level
    up to that of `at`; None where that is the level of `at` itself. always: that is the lowest one
    at which they were compared.
    """

    model: str
    at: LevelRatio
    since: Mapping[str, Any] | None
    always: bool = False


@dataclass(frozen=True)
class Finding:
    """One metric of a run, against one reference.

    factors: the level at which most can be said, and at which the differences are quoted where they
    hold there. more, less: largest difference first. alike: within ratios.ALIKE_WITHIN of the
    reference wherever they were compared. open: not different at any level, and not alike at all;
    open_here: those of them that were compared at the level of `factors`. half_width: what the
    intervals of the open ones are like (the median, there if possible; inf if none).
    """

    metric: str
    reference: str
    factors: Mapping[str, Any]
    more: tuple[Difference, ...]
    less: tuple[Difference, ...]
    alike: tuple[str, ...]
    open: tuple[str, ...]
    open_here: tuple[str, ...]
    half_width: float

    @property
    def told(self) -> bool:
        """Whether anything can be said of any model."""
        return bool(self.more or self.less or self.alike)


@dataclass(frozen=True)
class Slopes:
    """What one unit of a factor costs each model. pays: those whose interval lies above 0, dearest
    first. free: those whose interval holds 0 and does not reach far: at the highest level all units
    together add less than FREE_BELOW of what the model costs without any; surest first. unknown:
    the others."""

    metric: str
    factor: str
    pays: tuple[Slope, ...]
    free: tuple[Slope, ...]
    unknown: tuple[str, ...]


@dataclass(frozen=True)
class Kept:
    """The highest offered load that a model served, of those it was offered; capped: it also served
    the highest one, so that its limit is not known. rate 0: it served not even the lowest."""

    model: str
    rate: float
    capped: bool


@dataclass(frozen=True)
class Hidden:
    """A server that stood still: what two ways of measuring say of it. level: the factor's, in its
    unit. response_ns, service_ns: medians of p99."""

    model: str
    freeze_ms: float
    response_ns: float
    service_ns: float


@dataclass(frozen=True)
class Answer:
    """Everything a run can say in words. findings: those of the experiment's `answers` first. busy:
    models that use a CPU while nobody asks."""

    findings: tuple[Finding, ...]
    slopes: tuple[Slopes, ...]
    kept: tuple[Kept, ...]
    hidden: tuple[Hidden, ...]
    busy: tuple[str, ...] = ()


def of_ratios(found: Sequence[LevelRatio], factors: Mapping[str, Any]) -> Finding | None:
    """The finding that ratios of one metric amount to; factors: the level to be quoted first. Where
    no model differs there, it is the level at which most do (the highest of equals). None where
    there are no ratios."""
    if not found:
        return None
    factors = _telling(found, factors)
    metric, reference = found[0].metric, found[0].reference
    by_model: dict[str, list[LevelRatio]] = {}
    for ratio in found:
        by_model.setdefault(ratio.model, []).append(ratio)
    sides: dict[str, list[Difference]] = {MORE: [], LESS: []}
    alike, unclear = [], []
    for model, line in by_model.items():
        difference = _difference(line, factors)
        if difference is not None:
            sides[difference.at.verdict].append(difference)
        elif all(r.verdict == ALIKE for r in line):
            alike.append(model)
        else:
            unclear.append(model)
    widths = [r.half_width for m in unclear for r in by_model[m] if r.factors == factors]
    widths = widths or [r.half_width for m in unclear for r in by_model[m]]
    return Finding(
        metric,
        reference,
        factors,
        tuple(sorted(sides[MORE], key=lambda d: -d.at.estimate)),
        tuple(sorted(sides[LESS], key=lambda d: d.at.estimate)),
        tuple(alike),
        tuple(unclear),
        tuple(m for m in unclear if any(r.factors == factors for r in by_model[m])),
        median(widths) if widths else math.inf,
    )


def _telling(found: Sequence[LevelRatio], factors: Mapping[str, Any]) -> Mapping[str, Any]:
    told = [r.factors for r in found if r.verdict in (MORE, LESS)]
    if not told or factors in told:
        return factors
    most = max(told.count(level) for level in told)
    return [level for level in told if told.count(level) == most][-1]


def _difference(line: Sequence[LevelRatio], factors: Mapping[str, Any]) -> Difference | None:
    """The difference to be quoted of a model: at `factors`, else at the highest level with one."""
    told = [r for r in line if r.verdict in (MORE, LESS)]
    if not told:
        return None
    at = next((r for r in told if r.factors == factors), told[-1])
    since = None
    for ratio in reversed(line[: line.index(at)]):
        if ratio.verdict != at.verdict:
            break
        since = ratio.factors
    return Difference(line[0].model, at, since, since == line[0].factors)


def of_run(
    experiment: Experiment,
    groups: Sequence[Group],
    metrics: Sequence[str],
    duels: Sequence[LevelDuel] = (),
) -> Answer:
    """What a run says of these metrics; those without a finding are left out."""
    findings = []
    for metric in metrics:
        found = ratios.of_run(experiment, groups, metric, duels)
        one = of_ratios(found, headline(experiment, groups, found)) if found else None
        if one is not None:
            findings.append(one)
    return Answer(
        tuple(findings),
        tuple(_slopes(groups, *key) for key in _slopes_of_interest(experiment)),
        tuple(_kept(groups)) if experiment.base.loop == "open" else (),
        tuple(_hidden(groups)),
        tuple(_busy(groups)),
    )


def headline(
    experiment: Experiment, groups: Sequence[Group], found: Sequence[LevelRatio]
) -> Mapping[str, Any]:
    """The level at which most can be said: in a closed loop the highest; in an open loop, where
    each model goes as far as it can, the one at which most of them meet (the highest of equals)."""
    counts: dict[tuple[str, ...], tuple[int, Mapping[str, Any]]] = {}
    for ratio in found:
        key = tuple(level_text(v) for v in ratio.factors.values())
        if math.isfinite(ratio.estimate):
            counts[key] = (counts.get(key, (0, {}))[0] + 1, ratio.factors)
    if not counts:
        return found[-1].factors
    if experiment.base.loop == "closed":
        return list(counts.values())[-1][1]
    most = max(n for n, _ in counts.values())
    return [factors for n, factors in counts.values() if n == most][-1]


def _slopes_of_interest(experiment: Experiment) -> list[tuple[str, str]]:
    """The metrics and factors whose slopes the experiment's claims are about."""
    keys = [(c.a.metric, c.a.slope) for c in experiment.claims if c.a.slope]
    return list(dict.fromkeys(keys))


def _slopes(groups: Sequence[Group], metric: str, factor: str) -> Slopes:
    pays, free, unknown = [], [], []
    for model in dict.fromkeys(g.model for g in groups):
        found = slope.of_model(groups, model, metric, factor)
        if isinstance(found, str):
            continue
        times = slope.unit_of(metric)[1]
        if found.lo > 0:
            pays.append(found)
        elif found.hi * found.levels[-1] <= FREE_BELOW * times * found.start:
            free.append(found)
        else:  # nan among them
            unknown.append(model)
    return Slopes(
        metric,
        factor,
        tuple(sorted(pays, key=lambda s: -s.value)),
        tuple(sorted(free, key=lambda s: s.hi)),
        tuple(unknown),
    )


def _kept(groups: Sequence[Group]) -> list[Kept]:
    by_model: dict[str, list[Group]] = {}
    for g in groups:
        if "offered_rps" in g.factors and any(c.usable for c in g.cells):
            by_model.setdefault(g.model, []).append(g)
    kept = []
    for model, line in by_model.items():
        rate, capped = 0.0, True
        for g in sorted(line, key=lambda g: float(g.factors["offered_rps"])):
            usable = [c for c in g.cells if c.usable]
            if 2 * sum("saturated" in c.badges for c in usable) > len(usable):
                capped = False
                break
            rate = float(g.factors["offered_rps"])
        kept.append(Kept(model, rate, capped))
    return sorted(kept, key=lambda k: -k.rate)


def _busy(groups: Sequence[Group]) -> list[str]:
    """The models that were measured, and say of themselves that they keep a CPU busy."""
    found = [
        g.model
        for g in groups
        if any(c.usable and any(KEEPS_BUSY in badge for badge in c.badges) for c in g.cells)
    ]
    return list(dict.fromkeys(found))


def _hidden(groups: Sequence[Group]) -> list[Hidden]:
    found = []
    for g in groups:
        freeze = g.factors.get("freeze_ms")
        response, service = g.estimate("p99_ns"), g.estimate("service_p99_ns")
        if freeze and response.n and service.n:
            found.append(Hidden(g.model, float(freeze), response.value, service.value))
    return found
