# SPDX-License-Identifier: MIT
"""How each model stands to the reference, level by level: what answers and titles are made from.

A list of `LevelRatio` is all that the findings need. It comes from what was measured together or in
turns, and at levels (or for metrics) without that, from the cells of a run.
"""
from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.design.experiment import Experiment
from harness.design.metrics import METRICS
from harness.judge import duel, levels
from harness.judge.levels import LevelDuel
from harness.judge.standings import RATE
from harness.judge.summary import Contest, Group, contests
from harness.store import level_text

MORE, LESS, ALIKE, OPEN = "more", "less", "alike", "open"
# A model is alike where the whole interval lies within this factor: too little to choose by.
ALIKE_WITHIN = 1.1
# Chance that any of several equal models of one level is called different.
ERROR = 0.05
# With two replicates an interval spans orders of magnitude.
MIN_REPLICATES = 3


@dataclass(frozen=True)
class LevelRatio:
    """A model's value over the reference's at one level of every factor: 1.03 is 3 percent more.

    lo, hi: the 95 % interval, nan where there is none; estimate and hi are inf where the model's
    value is infinite and the reference's is not.
    verdict: MORE or LESS (than the reference, as numbers: more is worse for a cost, better for a
    rate), ALIKE (within ALIKE_WITHIN), or OPEN (the interval allows for both).
    """

    factors: Mapping[str, Any]
    model: str
    reference: str
    metric: str
    estimate: float
    lo: float
    hi: float
    verdict: str

    @property
    def half_width(self) -> float:
        """Half of the interval as a fraction of the estimate: 0.1 is "± 10 %"; inf if unknown."""
        if not (math.isfinite(self.lo) and math.isfinite(self.hi) and self.lo > 0):
            return math.inf
        return math.sqrt(self.hi / self.lo) - 1


def verdict(lo: float, hi: float, sure_lo: float, sure_hi: float) -> str:
    """What an interval allows to be said. lo, hi: of 95 %; sure_*: the one adjusted for how many
    models are compared, which must exclude 1 for a difference."""
    if sure_lo > 1:
        return MORE
    if sure_hi < 1:
        return LESS
    if lo >= 1 / ALIKE_WITHIN and hi <= ALIKE_WITHIN:
        return ALIKE
    return OPEN


def reference_of(experiment: Experiment, groups: Sequence[Group]) -> str:
    """The experiment's reference where it was measured, else the first that was; '' if none."""
    measured = [g.model for g in groups if any(c.usable for c in g.cells)]
    return experiment.reference if experiment.reference in measured else next(iter(measured), "")


def of_run(
    experiment: Experiment, groups: Sequence[Group], metric: str, duels: Sequence[LevelDuel]
) -> list[LevelRatio]:
    """Every model against the reference; levels ascending. At a level where the models met under
    the load of its cells, the ratios are from there, and none are from cells."""
    reference = reference_of(experiment, groups)
    met = {key: found for d in duels for key, found in _from_duel(d, metric, reference)}
    found: dict[tuple[str, ...], list[LevelRatio]] = {}
    for contest in contests(experiment, groups, metric):
        key = _key(contest.factors)
        found[key] = met.get(key) or _of_level(experiment, contest, metric, reference)
    return [ratio for line in found.values() for ratio in line]


def _from_duel(
    level: LevelDuel, metric: str, reference: str
) -> Iterator[tuple[tuple[str, ...], list[LevelRatio]]]:
    """The ratios of one level, if it has any of that metric to that reference. Where the
    arrangements do not agree, the one with the CPU to itself is taken, as for cells."""
    if level.reference != reference:
        return
    names = list(dict.fromkeys(name for one in level.arrangements for name in one.ratios))
    names = [name for name in names if name not in (reference, *level.left_out)]
    strict = 1 - ERROR / max(1, len(names))
    hidden = metric == RATE and levels.client_set_rate(level)
    found = []
    for name in names:
        said = levels.over(level, name, reference, metric)
        sure = levels.over(level, name, reference, metric, strict)
        if isinstance(said, str) or isinstance(sure, str) or hidden:
            continue
        one, certain = said[-1], sure[-1]
        told = verdict(one.lo, one.hi, certain.lo, certain.hi)
        found.append(
            LevelRatio(level.factors, name, reference, metric, one.estimate, one.lo, one.hi, told)
        )
    if found:
        yield _key(level.factors), found


def _key(factors: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(level_text(v) for v in factors.values())


def from_cells(experiment: Experiment, groups: Sequence[Group], metric: str) -> list[LevelRatio]:
    """Every model against the reference, from the replicates of a run; levels ascending.

    Replicates of one block are compared, and the noise is pooled over the models of a level
    (`duel.compare`). Left out: what was not measured, a value that is not above 0, fewer than
    MIN_REPLICATES, a model whose rate the client set, and, in an open loop, what did not keep up
    with the offered load: it was not asked the same. Where the client set the rate of the reference
    alone, a lower rate is really lower (by more than the ratio says), and nothing else is known.
    """
    reference = reference_of(experiment, groups)
    found = []
    for contest in contests(experiment, groups, metric):
        found += _of_level(experiment, contest, metric, reference)
    return found


def _of_level(
    experiment: Experiment, contest: Contest, metric: str, reference: str
) -> list[LevelRatio]:
    slices = []
    for name, group in contest.groups.items():
        values = _fair(experiment, group, metric, name == reference)
        if len(values) >= MIN_REPLICATES:
            slices += [duel.Slice(block, 0, name, value) for block, value in values.items()]
    if reference not in {s.contender for s in slices}:
        return []
    compared = duel.compare(slices, reference)
    bound = metric == "throughput_rps" and contest.groups[reference].status == "client-limited"
    level = 1 - ERROR / max(1, len(compared.ratios))
    found = []
    for name in contest.groups:
        if name not in compared.ratios:
            continue
        ratio = compared.ratios[name]
        lo, hi = ratio.interval(0.95)
        said = verdict(lo, hi, *ratio.interval(level))
        if bound and said != LESS:
            said = OPEN
        found.append(
            LevelRatio(contest.factors, name, reference, metric, ratio.estimate, lo, hi, said)
        )
    return found


def _fair(
    experiment: Experiment, group: Group, metric: str, is_reference: bool
) -> dict[int, float]:
    """The replicates that may be compared, by block."""
    saturated = experiment.base.loop == "open" and "saturated" in group.badges
    if saturated and metric not in ("p99_ns", "usual_p99_ns"):
        return {}
    if metric == "throughput_rps" and (
        (group.status == "client-limited" and not is_reference) or experiment.base.loop == "open"
    ):
        return {}
    of = METRICS[metric]
    values = {
        c.block: (of.per / c.metrics[of.inverse_of] if of.inverse_of else c.metrics[metric])
        for c in group.cells
        if c.usable and (of.inverse_of or metric) in c.metrics
    }
    return {block: value for block, value in values.items() if value > 0}
