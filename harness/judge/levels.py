# SPDX-License-Identifier: MIT
"""What the duels within a run say: ratios to the reference at a level, and whether to believe them.

Read from the tenk.duel/1 documents that the run keeps. Two arrangements may both speak of CPU per
request under the load of the level's cells: where they agree, the one with the finer interval is
taken; where they do not, both stand, and what is said of a model must hold in both.

An arrangement whose twin's 99 % interval excludes 1 is void for that metric: nothing is taken from
it. Where the control was not found at its size, each interval is widened by as much as it was off:
`Arrangement.slack`.
"""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.design.duel import TOGETHER, TURNS
from harness.design.metrics import METRICS
from harness.judge import controls, duel, stats
from harness.judge.duel import BLOCKS, NOTHING, Ratio
from harness.judge.standings import CPU
from harness.store import level_text

LEVEL = 0.95


@dataclass(frozen=True)
class Arrangement:
    """One way in which all models met at a level. ratios: to the reference, by model and metric.

    expected: what the control must show in CPU per request, nan where it is not known. resolution:
    half of a typical interval, by metric; inf where it is not known. offered_rps: to each; 0 in a
    closed loop. own_load: whether that is the load of the level's cells (together, a closed loop is
    replaced by equal offered load). client_set_rate: the control's added cost left the rate as it
    was, so that rates say nothing of the servers; None where that could not be told. alone: those
    of `ratios` that were measured with nobody else alive.
    """

    name: str
    ratios: Mapping[str, Mapping[str, Ratio]]
    twin: Mapping[str, Ratio]
    control: Mapping[str, Ratio]
    expected: float
    resolution: Mapping[str, float]
    offered_rps: float = 0.0
    own_load: bool = True
    client_set_rate: bool | None = None
    alone: frozenset[str] = frozenset()
    known_within: float = 0.0  # of the control's added cost, as a fraction

    def void(self, metric: str) -> bool:
        """Whether the reference differs from itself."""
        ratio = self.twin.get(_direct(metric))
        return ratio is not None and ratio.basis == BLOCKS and controls.twin(ratio).void

    @property
    def slack(self) -> float:
        """By how much, as a logarithm, the control's known cost was missed; 0 where its 99 %
        interval holds it, or it is not known."""
        found = self.control.get(CPU)
        if found is None or found.basis != BLOCKS or not self.expected > 0:
            return 0.0
        lo, hi = found.interval(controls.VOID_LEVEL)
        slack = abs(self.expected - 1) * self.known_within
        missed = not lo - slack <= self.expected <= hi + slack
        return abs(math.log(found.estimate / self.expected)) if missed else 0.0

    def ratio(self, model: str, metric: str) -> Ratio | None:
        """A model's ratio, with an interval and not void; of an inverse metric, turned round."""
        found = self.ratios.get(model, {}).get(_direct(metric))
        if found is None or found.basis == NOTHING or self.void(metric):
            return None
        return turned_round(found) if METRICS[metric].inverse_of else found


@dataclass(frozen=True)
class LevelDuel:
    """All models of a run at one level. left_out: who could not take part, and why."""

    factors: Mapping[str, Any]
    reference: str
    arrangements: tuple[Arrangement, ...]
    left_out: Mapping[str, str]
    reasons: tuple[str, ...] = ()

    def at(self, factors: Mapping[str, Any]) -> bool:
        """Whether this is the duel of these levels."""
        return _texts(self.factors) == _texts(factors)

    def heard(self, wanted: str = "") -> list[Arrangement]:
        """The arrangement of that name; without a name, those under the load of the cells."""
        return [a for a in self.arrangements if (a.name == wanted if wanted else a.own_load)]


@dataclass(frozen=True)
class Found:
    """One model over another at a level. interval: of the level that was asked for. samples:
    blocks or runs behind it."""

    arrangement: str
    estimate: float
    lo: float
    hi: float
    samples: int = 0


def read(document: Mapping[str, Any]) -> LevelDuel:
    """The record in a tenk.duel/1 document of a run (harness.store has checked its shape)."""
    return LevelDuel(
        factors=document["factors"],
        reference=document["reference"],
        arrangements=tuple(
            _arrangement(name, document["arrangements"][name], document.get("level") or {})
            for name in (TOGETHER, TURNS)
            if name in document["arrangements"]
        ),
        left_out={
            one["name"]: f"{one['status']}: {one['reason']}" for one in document["unsupported"]
        },
        reasons=tuple(str(r.get("text", "")) for r in document["verdict"]["reasons"]),
    )


def read_all(documents: Sequence[Mapping[str, Any]]) -> list[LevelDuel]:
    """All of a run, levels ascending."""
    return sorted(
        (read(one) for one in documents),
        key=lambda d: [(isinstance(v, str), v) for v in d.factors.values()],
    )


def over(
    level: LevelDuel,
    a: str,
    b: str,
    metric: str,
    confidence: float = LEVEL,
    wanted: str = "",
) -> list[Found] | str:
    """Model a over model b: in one arrangement, or in two that do not agree; or why there is
    nothing. wanted: the arrangement to be heard, see `LevelDuel.heard`.

    Where neither is the reference, the ratio goes through it: the two are taken as independent,
    which makes the interval wider, if anything, than their common reference would allow.
    """
    for model in (a, b):
        if model in level.left_out:
            return f"{model} was not compared: {level.left_out[model]}"
    heard = level.heard(wanted)
    found = [(one, r) for one in heard if (r := _ratio(level, one, a, b, metric)) is not None]
    if len(found) == 2 and duel.agree(found[0][1], found[1][1]):
        finest = duel.finer(found[0][1], found[1][1])
        found = [pair for pair in found if pair[1] is finest]
    if not found:
        void = [one.name for one in heard if one.void(metric)]
        if void:
            return f"void: the twin differs from the reference ({', '.join(void)})"
        return "not measured together or in turns"
    return [_found(one, ratio, confidence) for one, ratio in found]


def _ratio(level: LevelDuel, one: Arrangement, a: str, b: str, metric: str) -> Ratio | None:
    if b == level.reference:
        return one.ratio(a, metric)
    below = one.ratio(b, metric)
    if below is None:
        return None
    if a == level.reference:
        return turned_round(below)
    above = one.ratio(a, metric)
    return None if above is None else _through(above, below)


def client_set_rate(level: LevelDuel) -> bool:
    """Whether the rates of this level say nothing of the servers."""
    return any(one.client_set_rate is True for one in level.arrangements)


def _found(one: Arrangement, ratio: Ratio, confidence: float) -> Found:
    lo, hi = ratio.interval(confidence)
    widened = math.exp(one.slack)
    return Found(one.name, ratio.estimate, lo / widened, hi * widened, ratio.samples)


def _through(a: Ratio, b: Ratio) -> Ratio | None:
    """a / b, both over the reference; degrees of freedom after Welch (1947). None where one of them
    has no standard error."""
    if {a.basis, b.basis} - {BLOCKS, duel.ROUNDS}:
        return None
    variance = a.se**2 + b.se**2
    freedom = math.inf
    if variance > 0:
        freedom = variance**2 / (a.se**4 / a.freedom + b.se**4 / b.freedom)
    value = a.estimate / b.estimate
    freedom = min(freedom, 1e6)
    reach = stats.t_quantile((1 + LEVEL) / 2, freedom) * math.sqrt(variance)
    return Ratio(
        value,
        value * math.exp(-reach),
        value * math.exp(reach),
        math.sqrt(variance),
        freedom,
        min(a.samples, b.samples),
        BLOCKS if a.basis == b.basis == BLOCKS else duel.ROUNDS,
    )


def turned_round(ratio: Ratio) -> Ratio:
    """The same of the inverse of its metric."""

    def turned(value: float) -> float:
        return 1 / value if value > 0 else math.nan

    lo, hi = turned(ratio.hi), turned(ratio.lo)
    return replace(ratio, estimate=turned(ratio.estimate), lo=lo, hi=hi)


def _direct(metric: str) -> str:
    return METRICS[metric].inverse_of or metric


def _arrangement(name: str, document: Mapping[str, Any], level: Mapping[str, Any]) -> Arrangement:
    contenders = document["contenders"]
    control = dict(document["control"])
    expected = _number(control["expected"].get(CPU))
    offered = _number(document.get("offered_rps") or 0.0)
    return Arrangement(
        name=name,
        ratios={one["name"]: _ratios(one["ratio"]) for one in contenders},
        twin=_ratios(document["twin"]),
        control=_ratios({m: r for m, r in control.items() if m in METRICS}),
        expected=expected,
        resolution={m: _number(r) for m, r in document["resolution"].items()},
        offered_rps=offered,
        own_load=offered == _number(level.get("offered_rps") or 0.0) or name == TURNS,
        client_set_rate=document.get("client_set_rate"),
        alone=frozenset(one["name"] for one in contenders if one.get("alone")),
        known_within=_number(control.get("known_within") or 0.0),
    )


def _ratios(document: Mapping[str, Any]) -> dict[str, Ratio]:
    return {
        metric: Ratio(
            estimate=_number(one["estimate"]),
            lo=_number(one["lo"]),
            hi=_number(one["hi"]),
            se=_number(one["se"]),
            freedom=_number(one["freedom"]),
            samples=int(one["samples"]),
            basis=str(one["basis"]),
        )
        for metric, one in document.items()
    }


def _number(value: Any) -> float:
    """A number of the record: null is nan, "inf" infinite."""
    return math.nan if value is None else float(value)


def _texts(factors: Mapping[str, Any]) -> dict[str, str]:
    return {name: level_text(value) for name, value in factors.items()}
