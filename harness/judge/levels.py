# SPDX-License-Identifier: MIT
"""What the duels within a run say: ratios to the reference at a level, and whether to believe them.

Read from the tenk.duel/1 documents that the run keeps. Two arrangements may both speak of CPU per
request: where they agree, the one with the finer interval is taken; where they do not, both stand,
and what is said of a model must hold in both. An arrangement whose twin's 99 % interval excludes 1
is void for that metric: nothing is taken from it. One whose control was not found at its size is
believed only as far as it was off there: `Arrangement.slack`.
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
    closed loop. client_set_rate: the control's added cost left the rate as it was, so that rates
    say nothing of the servers; None where that could not be told. alone: those of `ratios` that were measured with nobody else alive.
    """

    name: str
    ratios: Mapping[str, Mapping[str, Ratio]]
    twin: Mapping[str, Ratio]
    control: Mapping[str, Ratio]
    expected: float
    resolution: Mapping[str, float]
    offered_rps: float = 0.0
    client_set_rate: bool | None = None
    alone: frozenset[str] = frozenset()

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
        missed = not lo <= self.expected <= hi
        return abs(math.log(found.estimate / self.expected)) if missed else 0.0

    def ratio(self, model: str, metric: str) -> Ratio | None:
        """A model's ratio, with an interval and not void; that of an inverse metric turned round."""
        found = self.ratios.get(model, {}).get(_direct(metric))
        if found is None or found.basis == NOTHING or self.void(metric):
            return None
        return _inverse(found) if METRICS[metric].inverse_of else found


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

    def speaking(self, model: str, metric: str) -> list[tuple[Arrangement, Ratio]]:
        """The arrangements that say something of a model: one where they agree, else both."""
        found = [(a, r) for a in self.arrangements if (r := a.ratio(model, metric)) is not None]
        if len(found) == 2 and duel.agree(found[0][1], found[1][1]):
            finest = duel.finer(found[0][1], found[1][1])
            return [one for one in found if one[1] is finest]
        return found


@dataclass(frozen=True)
class Found:
    """One model over another at a level. interval: of the level that was asked for."""

    arrangement: str
    estimate: float
    lo: float
    hi: float


def read(document: Mapping[str, Any]) -> LevelDuel:
    """The record in a tenk.duel/1 document of a run (harness.store has checked its shape)."""
    return LevelDuel(
        factors=document["factors"],
        reference=document["reference"],
        arrangements=tuple(
            _arrangement(name, document["arrangements"][name])
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
    level: LevelDuel, a: str, b: str, metric: str, confidence: float = LEVEL
) -> list[Found] | str:
    """Model a over model b, in each arrangement that must be heard; or why there is nothing.

    Where neither is the reference, the ratio goes through it: the two are taken as independent,
    which makes the interval wider, if anything, than their common reference would allow.
    """
    for model in (a, b):
        if model in level.left_out:
            return f"{model} was not compared: {level.left_out[model]}"
    if level.reference == a == b:
        return f"{a} against itself"
    if level.reference in (a, b):
        other = a if b == level.reference else b
        pairs = level.speaking(other, metric)
        found = [(one, ratio if other == a else _inverse(ratio)) for one, ratio in pairs]
    else:
        found = []
        for one in level.arrangements:
            x, y = one.ratio(a, metric), one.ratio(b, metric)
            if x is not None and y is not None:
                found.append((one, _through(x, y)))
        if len(found) == 2 and duel.agree(found[0][1], found[1][1]):
            finest = duel.finer(found[0][1], found[1][1])
            found = [pair for pair in found if pair[1] is finest]
    found = [(one, ratio) for one, ratio in found if ratio.basis != NOTHING]
    if not found:
        return _why_nothing(level, metric)
    return [_found(one, ratio, confidence) for one, ratio in found]


def client_set_rate(level: LevelDuel) -> bool:
    """Whether the rates of this level say nothing of the servers."""
    return any(one.client_set_rate is True for one in level.arrangements)


def _why_nothing(level: LevelDuel, metric: str) -> str:
    void = [one.name for one in level.arrangements if one.void(metric)]
    if void:
        return f"void: the twin differs from the reference ({', '.join(void)})"
    return "not measured together or in turns"


def _found(one: Arrangement, ratio: Ratio, confidence: float) -> Found:
    lo, hi = ratio.interval(confidence)
    widened = math.exp(one.slack)
    return Found(one.name, ratio.estimate, lo / widened, hi * widened)


def _through(a: Ratio, b: Ratio) -> Ratio:
    """a / b, both over the reference; degrees of freedom after Welch (1947)."""
    if {a.basis, b.basis} - {BLOCKS, duel.ROUNDS}:
        return Ratio(math.nan, math.nan, math.nan, math.nan, 0.0, 0, NOTHING)
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


def _inverse(ratio: Ratio) -> Ratio:
    def turned(value: float) -> float:
        return 1 / value if value > 0 else math.nan

    lo, hi = turned(ratio.hi), turned(ratio.lo)
    return replace(ratio, estimate=turned(ratio.estimate), lo=lo, hi=hi)


def _direct(metric: str) -> str:
    return METRICS[metric].inverse_of or metric


def _arrangement(name: str, document: Mapping[str, Any]) -> Arrangement:
    contenders = document["contenders"]
    control = dict(document["control"])
    expected = _number(control["expected"].get(CPU))
    return Arrangement(
        name=name,
        ratios={one["name"]: _ratios(one["ratio"]) for one in contenders},
        twin=_ratios(document["twin"]),
        control=_ratios({m: r for m, r in control.items() if m in METRICS}),
        expected=expected,
        resolution={m: _number(r) for m, r in document["resolution"].items()},
        offered_rps=_number(document.get("offered_rps") or 0.0),
        client_set_rate=document.get("client_set_rate"),
        alone=frozenset(one["name"] for one in contenders if one.get("alone")),
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
