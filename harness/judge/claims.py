# SPDX-License-Identifier: MIT
"""Claims: sentences about an experiment that its own measurements decide, or leave undecided.

A claim that compares two models at one level is judged on what they were found to be together or in
turns, where that was measured, else on their cells. Claims across levels, and those about a number,
rest on cells. The verdict says which.
"""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from harness.judge import baseline, levels, slope, stats, tuned
from harness.design.duel import TOGETHER, TURNS
from harness.design.experiment import Claim, Operand
from harness.design.metrics import METRICS
from harness.store import level_text
from harness.judge.levels import Found, LevelDuel
from harness.judge.summary import Group

SUPPORTED, REFUTED, UNDECIDED = "supported", "refuted", "cannot decide"
# With two, an interval spans many orders of magnitude and its numbers only confuse.
MIN_REPLICATES = 3
LEVEL = 0.95
# A rate that the client sets is a lower bound of what the server can do, and nothing more.
RATE = "throughput_rps"
LIMITED = "client-limited"
ABSENT = "was not part of this run"
HOW = {TOGETHER: "measured together", TURNS: "measured in turns"}
UNITS = {"us": "µs"}  # as they are written


CELLS, SLOPE = "cells", "slope"  # beside "together" and "turns": what a verdict can rest on


@dataclass(frozen=True)
class Numbers:
    """What a verdict rests on: an estimate with its interval, and what it is held against.

    what: in words, "metric(model, level) / metric(model, level)". unit: "ratio", or that of the
    number. low, high: the bounds that the claim names; one is nan where there is only the other.
    basis: CELLS, SLOPE, or the arrangement of a duel. n: replicates, or blocks and runs of the
    duel; of a ratio from cells the fewer of the two. bent: of a slope.
    """

    what: str
    unit: str
    estimate: float
    lo: float
    hi: float
    low: float
    high: float
    basis: str
    n: int
    bent: bool = False


@dataclass(frozen=True)
class Verdict:
    """outcome: SUPPORTED, REFUTED or UNDECIDED; detail: the numbers behind it, in words.

    absent: undecided because the run did not have the models or levels in question. numbers: as
    data, one for each arrangement (or model) that was heard; none where there are none.
    """

    text: str
    outcome: str
    detail: str
    absent: bool = False
    numbers: tuple[Numbers, ...] = ()


def judge(
    claims: Sequence[Claim], groups: Sequence[Group], duels: Sequence[LevelDuel] = ()
) -> list[Verdict]:
    return [judge_one(claim, groups, duels) for claim in claims]


def judge_one(claim: Claim, groups: Sequence[Group], duels: Sequence[LevelDuel] = ()) -> Verdict:
    """A claim about model "*" is about every model that was measured: all must agree.

    To be supported, each must support it at 95 %: the chance that all do so wrongly is no greater
    than that of one (intersection-union test: R. L. Berger, Technometrics 24, 1982). To be refuted
    one is enough, so among m models that one must do so at 1 - 0.05 / m (Bonferroni).
    """
    if any(one.best for one in (claim.a, claim.b) if one):
        return _tuned(claim, groups)
    if claim.a.where.get("model") != "*":
        return _single(claim, claim.a, claim.b, groups, duels, LEVEL)
    names = list(dict.fromkeys(g.model for g in groups if any(c.usable for c in g.cells)))
    if not names:
        return Verdict(claim.text, UNDECIDED, "no model was measured")
    strict = 1 - (1 - LEVEL) / len(names)
    each = {}
    for name in names:
        a, b = _bind(claim.a, name), _bind(claim.b, name) if claim.b else None
        each[name] = _single(claim, a, b, groups, duels, LEVEL)
        if each[name].outcome == REFUTED:
            again = _single(claim, a, b, groups, duels, strict)
            each[name] = replace(again, detail=f"{again.detail} at {100 * strict:.3g} %")
    outcomes = {v.outcome for v in each.values()}
    for outcome in (REFUTED, UNDECIDED, SUPPORTED):
        if outcome in outcomes:
            detail = "; ".join(f"{n}: {v.detail}" for n, v in each.items() if v.outcome == outcome)
            numbers = tuple(number for v in each.values() for number in v.numbers)
            return Verdict(claim.text, outcome, detail, numbers=numbers)
    raise AssertionError("a verdict has one of three outcomes")


def decide(relation: str, factor: float, lo: float, hi: float) -> str:
    """The outcome for an interval [lo, hi] of a / b (or of a, against a value).

    The whole interval must lie on one side: an interval that holds the border decides nothing.
    """
    if math.isnan(lo) or math.isnan(hi):
        return UNDECIDED
    if relation == "within":
        if lo >= 1 / factor and hi <= factor:
            return SUPPORTED
        return REFUTED if hi < 1 / factor or lo > factor else UNDECIDED
    if relation == "below":
        return SUPPORTED if hi < factor else REFUTED if lo >= factor else UNDECIDED
    return SUPPORTED if lo > factor else REFUTED if hi <= factor else UNDECIDED


def _single(
    claim: Claim,
    a: Operand,
    b: Operand | None,
    groups: Sequence[Group],
    duels: Sequence[LevelDuel],
    level: float,
) -> Verdict:
    if claim.relation == "unsupported":
        return _cannot(claim, a, groups)
    if claim.baseline:
        return _beyond(claim, a, b, groups, level)
    if a.slope:
        return _grows(claim, a, groups)
    met = _met(a, b, duels)
    why_cells = ""
    if b is not None and met is not None:
        models = str(a.where["model"]), str(b.where["model"])
        found = levels.over(met, *models, a.metric, level, claim.arrangement)
        if not isinstance(found, str):
            said = _on_ratios(claim, a, b, found)
            client = levels.client_set_rate(met) and a.metric == RATE
            limits = [client or _limited(one, groups) for one in (a, b)]
            return _unless_limited(said, claim, min(one.lo for one in found), *limits)
        if claim.arrangement:
            return Verdict(claim.text, UNDECIDED, found)
        why_cells = f" ({found})"
    if claim.arrangement:
        absent = f"{_name(a)} {ABSENT} {HOW[claim.arrangement]}"
        return Verdict(claim.text, UNDECIDED, absent, True)
    left = _values(a, groups)
    if isinstance(left, str):
        return Verdict(claim.text, UNDECIDED, left, left.endswith(ABSENT))
    if b is None:
        e = stats.mean_interval(left, level)
        if e.n < MIN_REPLICATES:
            return Verdict(claim.text, UNDECIDED, f"{e.n} usable replicates of {_name(a)}")
        unit = METRICS[a.metric].unit
        told = f"{_plain(e.value)} [{_plain(e.lo)}, {_plain(e.hi)}] {UNITS.get(unit, unit)}"
        detail = f"{_name(a)} = {told}, against {_number(claim)}"
        bounds = _bounds(claim)
        numbers = (Numbers(_name(a), unit, e.value, e.lo, e.hi, *bounds, CELLS, e.n),)
        if e.confidence < level:
            few = f"{detail}: an interval of {100 * e.confidence:.0f} % only, too few replicates"
            return Verdict(claim.text, UNDECIDED, few, numbers=numbers)
        outcome = _against_number(claim, e.lo, e.hi)
        said = Verdict(claim.text, outcome, detail, numbers=numbers)
        return _unless_limited(said, claim, e.lo, _limited(a, groups), False)
    right = _values(b, groups)
    if isinstance(right, str):
        return Verdict(claim.text, UNDECIDED, right, right.endswith(ABSENT))
    fewest = min(len(left), len(right))
    if fewest < MIN_REPLICATES:
        few = f"only {fewest} usable replicates of {_name(a)} or {_name(b)}"
        return Verdict(claim.text, UNDECIDED, few)
    c = stats.compare(left, right, level)
    if math.isnan(c.ratio):
        return Verdict(claim.text, UNDECIDED, f"{_name(a)} against {_name(b)}: {c.reason}")
    outcome = decide(claim.relation, claim.factor, c.lo, c.hi)
    detail = f"{_name(a)} / {_name(b)} = {c.ratio:.3g} [{c.lo:.3g}, {c.hi:.3g}]"
    if claim.factor != 1:
        detail += f", against {claim.factor:g}"
    detail += f", from cells{why_cells}"
    both = f"{_name(a)} / {_name(b)}"
    number = Numbers(both, "ratio", c.ratio, c.lo, c.hi, *_bounds(claim), CELLS, fewest)
    said = Verdict(claim.text, outcome, detail, numbers=(number,))
    return _unless_limited(said, claim, c.lo, _limited(a, groups), _limited(b, groups))


def _tuned(claim: Claim, groups: Sequence[Group]) -> Verdict:
    """A claim about the best of several settings: every second block chooses, the others decide."""
    choosing, deciding = tuned.halves(groups)
    names: dict[str, str] = {}
    for one in (claim.a, claim.b):
        if one is not None and one.best:
            model = tuned.choose(one, choosing)
            if model is None:
                return Verdict(claim.text, UNDECIDED, f"{_name(one)}: no value to choose by", True)
            names[one.best] = model
    a, b = (
        tuned.chosen(one, names[one.best]) if one is not None and one.best else one
        for one in (claim.a, claim.b)
    )
    assert a is not None
    bound = replace(claim, a=a, b=b)
    found = _by_block(bound, a, b, deciding) or _single(bound, a, b, deciding, (), LEVEL)
    told = " and ".join(names.values())
    return replace(found, detail=f"{found.detail}; {told} chosen in the other half of the blocks")


def _by_block(
    claim: Claim, a: Operand, b: Operand | None, groups: Sequence[Group]
) -> Verdict | None:
    """On the ratios within the blocks, with Student's interval of their logarithms. None where
    there is no b, or a side without a plain value: those are judged as others are."""
    sides = [_matching(one, groups) for one in (a, b) if one is not None]
    if b is None or any(len(side) != 1 for side in sides):
        return None
    values = tuned.ratios(sides[0][0], sides[1][0], a.metric)
    if values is None or a.metric != b.metric:
        return None
    both = f"{_name(a)} / {_name(b)}"
    if len(values) < MIN_REPLICATES:
        return Verdict(claim.text, UNDECIDED, f"{both}: {len(values)} blocks with both")
    e = stats.mean_interval(values, LEVEL)
    detail = (
        f"{both} = {e.value:.3g} [{e.lo:.3g}, {e.hi:.3g}], against {claim.factor:g}, from cells"
    )
    number = Numbers(both, "ratio", e.value, e.lo, e.hi, *_bounds(claim), CELLS, e.n)
    outcome = decide(claim.relation, claim.factor, e.lo, e.hi)
    said = Verdict(claim.text, outcome, detail, numbers=(number,))
    return _unless_limited(said, claim, e.lo, _limited(a, groups), _limited(b, groups))


def _beyond(
    claim: Claim, a: Operand, b: Operand | None, groups: Sequence[Group], level: float
) -> Verdict:
    """A claim about what is left of a (and b) without the baseline. With b it is whether
    (a - baseline) - factor * (b - baseline) lies above or below nought: a ratio of differences has
    no interval where the lower one may be nought."""
    sides = []
    for one in (a, b):
        if one is None:
            continue
        matching = _matching(one, groups)
        if len(matching) != 1:
            why = ABSENT if not matching else "leaves the level of a factor open"
            return Verdict(claim.text, UNDECIDED, f"{_name(one)} {why}", not matching)
        base = baseline.of_level(groups, matching[0], claim.baseline)
        if base is None:
            return Verdict(claim.text, UNDECIDED, f"{claim.baseline} {ABSENT}", True)
        sides.append(baseline.differences(matching[0], base, one.metric))
    shared = sorted(set.intersection(*(set(side) for side in sides)))
    left = [sides[0][block] for block in shared]
    said = f"{_name(a)} beyond {claim.baseline}"
    contrast, border = left, claim.value
    if b is not None:
        right = [sides[1][block] for block in shared]
        contrast = [x - claim.factor * y for x, y in zip(left, right)]
        border = 0.0
        times = f"{claim.factor:g} times " if claim.factor != 1 else ""
        said += f", less {times}{_name(b)} beyond it"
    if len(shared) < MIN_REPLICATES:
        return Verdict(claim.text, UNDECIDED, f"{said}: {len(shared)} blocks with all of them")
    e = stats.student(contrast, level)
    outcome = _against_number(replace(claim, value=border), e.lo, e.hi)
    against = "nought" if b is not None else _number(claim)
    detail = f"{said} = {e.value:.4g} [{e.lo:.4g}, {e.hi:.4g}], against {against}, from cells"
    bounds = _bounds(replace(claim, b=None, value=border))
    unit = METRICS[a.metric].unit
    number = Numbers(said, unit, e.value, e.lo, e.hi, *bounds, CELLS, e.n)
    return Verdict(claim.text, outcome, detail, numbers=(number,))


def _met(a: Operand, b: Operand | None, duels: Sequence[LevelDuel]) -> LevelDuel | None:
    """The duel that both operands are about: two models, one metric, one level of every factor."""
    if b is None or a.metric != b.metric or a.where.get("model") == b.where.get("model"):
        return None
    at = [{k: v for k, v in one.where.items() if k != "model"} for one in (a, b)]
    return next((d for d in duels if all(d.at(factors) for factors in at)), None)


def _on_ratios(claim: Claim, a: Operand, b: Operand, found: Sequence[Found]) -> Verdict:
    """The verdict on what was measured together or in turns; where two arrangements must be heard,
    they must say the same."""
    outcomes = [decide(claim.relation, claim.factor, one.lo, one.hi) for one in found]
    said = "; ".join(
        f"{one.estimate:.3g} [{one.lo:.3g}, {one.hi:.3g}] {HOW[one.arrangement]}" for one in found
    )
    detail = f"{_name(a)} / {_name(b)} = {said}"
    if claim.factor != 1:
        detail += f", against {claim.factor:g}"
    both = f"{_name(a)} / {_name(b)}"
    numbers = tuple(
        Numbers(
            *(both, "ratio", one.estimate, one.lo, one.hi),
            *(*_bounds(claim), one.arrangement, one.samples),
        )
        for one in found
    )
    if len(set(outcomes)) > 1:
        shared = f"{detail}: it depends on how the CPU is shared"
        return Verdict(claim.text, UNDECIDED, shared, numbers=numbers)
    return Verdict(claim.text, outcomes[0], detail, numbers=numbers)


def _limited(operand: Operand, groups: Sequence[Group]) -> bool:
    """Whether the client set this rate, in at least half of the replicates."""
    if operand.metric != RATE:
        return False
    cells = [c for g in _matching(operand, groups) for c in g.cells if c.usable]
    return 2 * sum(c.status == LIMITED or LIMITED in c.codes for c in cells) >= max(1, len(cells))


def _unless_limited(found: Verdict, claim: Claim, lo: float, a: bool, b: bool) -> Verdict:
    """The verdict, if it would hold whatever a faster client had got out of the servers.

    lo: lower end of the interval of a / b, or of a. a, b: whether these rates are lower bounds
    only. That a is large holds if b is known; that a is small, if a is known; that it is near, if
    both are.
    """
    if found.outcome == UNDECIDED or not (a or b):
        return found
    near = claim.relation in ("within", "between")
    if near and found.outcome == SUPPORTED:
        holds = False
    else:
        top = claim.range[1] if claim.relation == "between" else claim.factor
        large = lo > top if near else (claim.relation == "above") == (found.outcome == SUPPORTED)
        holds = not b if large else not a
    if holds:
        return found
    return replace(found, outcome=UNDECIDED, detail=f"{found.detail}; the client set the rate")


def _against_number(claim: Claim, lo: float, hi: float) -> str:
    """The outcome for an interval of `a` where the claim names a number, or two, instead of b."""
    if claim.relation != "between":
        return decide(claim.relation, claim.value, lo, hi)
    low, high = claim.range
    if math.isnan(lo) or math.isnan(hi):
        return UNDECIDED
    if low <= lo and hi <= high:
        return SUPPORTED
    return REFUTED if hi < low or lo > high else UNDECIDED


def _bounds(claim: Claim) -> tuple[float, float]:
    """The bounds that the claim names: (low, high) of what its relation says, nan where open."""
    if claim.relation == "between":
        return claim.range
    if claim.relation == "within":
        return 1 / claim.factor, claim.factor
    bound = claim.factor if claim.b is not None else claim.value
    return (bound, math.nan) if claim.relation == "above" else (math.nan, bound)


def _number(claim: Claim) -> str:
    if claim.relation == "between":
        return f"{_plain(claim.range[0])} to {_plain(claim.range[1])}"
    return _plain(claim.value)


def _plain(value: float) -> str:
    """Four digits, and no powers of ten where there are no more than twelve places: "17,680"."""
    if not 1e4 <= abs(value) < 1e12:
        return f"{value:.4g}"
    return f"{float(f'{value:.4g}'):,.0f}"


def _grows(claim: Claim, a: Operand, groups: Sequence[Group]) -> Verdict:
    """A claim on how `a` grows with a factor."""
    levels = {k: level_text(v) for k, v in a.where.items() if k != "model"}
    found = slope.of_model(
        [g for g in groups if _at(g, levels)], str(a.where.get("model")), a.metric, a.slope
    )
    if isinstance(found, str):
        return Verdict(claim.text, UNDECIDED, found, found.endswith(ABSENT))
    outcome = _against_number(claim, found.lo, found.hi)
    detail = (
        f"{_name(a)} grows by {found.value:.3g} [{found.lo:.3g}, {found.hi:.3g}] {found.unit}"
        f" per {a.slope}, against {_number(claim)}"
    )
    if found.bent:
        detail += "; not along a straight line"
    number = Numbers(
        what=f"{_name(a)}, per {a.slope}",
        unit=found.unit,
        estimate=found.value,
        lo=found.lo,
        hi=found.hi,
        low=_bounds(claim)[0],
        high=_bounds(claim)[1],
        basis=SLOPE,
        n=found.replicates,
        bent=found.bent,
    )
    return Verdict(claim.text, outcome, detail, numbers=(number,))


def _cannot(claim: Claim, a: Operand, groups: Sequence[Group]) -> Verdict:
    """A claim that a model cannot do this."""
    levels = {k: level_text(v) for k, v in a.where.items() if k != "model"}
    matching = [g for g in groups if g.model == a.where.get("model") and _at(g, levels)]
    if not matching:
        return Verdict(claim.text, UNDECIDED, f"{_name(a)} {ABSENT}", True)
    statuses = sorted({g.status for g in matching})
    if statuses == ["unsupported"]:
        return Verdict(claim.text, SUPPORTED, matching[0].reason)
    if any(c.usable for g in matching for c in g.cells):
        values = [v for g in matching for v in g.values(a.metric)]
        told = f": {median(values):.3g} {METRICS[a.metric].unit}" if values else ""
        return Verdict(claim.text, REFUTED, f"{_name(a)} was measured{told}")
    return Verdict(claim.text, UNDECIDED, f"{_name(a)}: {', '.join(statuses)}")


def _values(operand: Operand, groups: Sequence[Group]) -> list[float] | str:
    """The replicates an operand means, or why there are none."""
    matching = _matching(operand, groups)
    if not matching:
        return f"{_name(operand)} {ABSENT}"
    if len(matching) > 1:
        return f"{_name(operand)} leaves the level of a factor open"
    values = matching[0].values(operand.metric)
    if not values:
        return f"{_name(operand)}: {matching[0].reason or 'no value'}"
    return values


def _matching(operand: Operand, groups: Sequence[Group]) -> list[Group]:
    model = operand.where.get("model")
    levels = {k: level_text(v) for k, v in operand.where.items() if k != "model"}
    return [g for g in groups if g.model == model and _at(g, levels)]


def _at(group: Group, levels: Mapping[str, str]) -> bool:
    return all(
        name in group.factors and level_text(group.factors[name]) == level
        for name, level in levels.items()
    )


def _bind(operand: Operand, model: str) -> Operand:
    return Operand(operand.metric, {**operand.where, "model": model}, operand.slope)


def _name(operand: Operand) -> str:
    """In words: "p50_ns(thread, connections=4)". An empty level, say no option, is not told."""
    texts = {k: level_text(v) for k, v in operand.where.items() if k != "model"}
    levels = [f"{name}={text}" for name, text in texts.items() if text]
    return f"{operand.metric}({', '.join([str(operand.where.get('model')), *levels])})"
