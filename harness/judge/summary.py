# SPDX-License-Identifier: MIT
"""From cells to estimates, and from estimates to what may be said: summary.tsv and best groups."""
from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.judge import stats
from harness.judge.best import best_group
from harness.judge.levels import LevelDuel
from harness.judge.trend import trend
from harness.design.experiment import Experiment
from harness.design.metrics import METRICS, Metric
from harness.store import STATUSES, USABLE, CellRecord, level_text

COLUMNS = tuple("metric unit n estimate lo hi status codes badges strays reason".split())


# A system call that fewer than one in so many requests make is not named.
RARE = 0.0005
# Most replicates went one way while they were measured: the warm-up was too short for this model.
UNSETTLED = "rate not settled"


def unsettled(cell: CellRecord) -> bool:
    """Whether the rate of a closed loop had a trend within the window. (Of an open loop the client
    sets the rate, and a freeze changes it on purpose.)"""
    return not cell.factors.get("freeze_ms") and unsettled_rate(cell.client)


def unsettled_rate(client: Mapping[str, Any]) -> bool:
    """The same from the load generator's report."""
    config = client.get("config") or {}
    intervals = client.get("intervals") or []
    if config.get("rate"):
        return False
    lengths = [i["end_ns"] - i["start_ns"] for i in intervals]
    # The last one can be a remainder, too short to have a rate.
    rates = [i["replies"] / n for i, n in zip(intervals, lengths) if 2 * n > max(lengths)]
    return trend(rates).found


@dataclass(frozen=True)
class Group:
    """All replicates of one model at one level of every factor."""

    model: str
    factors: Mapping[str, Any]
    cells: tuple[CellRecord, ...]

    @property
    def status(self) -> str:
        """The worst status that at least half of the usable replicates have.

        Without a usable replicate: the most frequent one. A status that fewer than half have does
        not condemn the group, but `reason` mentions it.
        """
        usable = [cell.status for cell in self.cells if cell.usable]
        if not usable:
            counts = Counter(cell.status for cell in self.cells)
            return max(counts, key=lambda s: (counts[s], STATUSES.index(s)))
        for status in reversed(USABLE[1:]):
            worse = STATUSES.index(status)
            if 2 * sum(STATUSES.index(s) >= worse for s in usable) >= len(usable):
                return status
        return USABLE[0]

    @property
    def badges(self) -> list[str]:
        """What the replicates carry beside their status, each once; and whether the rate had
        settled."""
        own = [badge for cell in self.cells for badge in cell.badges]
        usable = [cell for cell in self.cells if cell.usable]
        changed = sum(unsettled(cell) for cell in usable)
        return list(dict.fromkeys([*own, *([UNSETTLED] if 2 * changed > len(usable) else [])]))

    @property
    def reason(self) -> str:
        """Badges and, for everything that is not ok, how many replicates and why (the first)."""
        parts = self.badges
        for status in STATUSES[1:]:
            these = [cell for cell in self.cells if cell.status == status]
            if these:
                share = (
                    "" if len(these) == len(self.cells) else f"{len(these)} of {len(self.cells)} "
                )
                parts.append(f"{share}{status}: {these[0].gist}".rstrip(": "))
        return "; ".join(parts)

    @property
    def codes(self) -> list[str]:
        """Of the load generator's verdict on the replicates that have the status of the group."""
        return sorted({code for cell in self._typical for code in cell.codes})

    @property
    def strays(self) -> list[str]:
        """The replicates with another status than the group's: "1 of 5 void"."""
        counts = Counter(cell.status for cell in self.cells)
        return [
            f"{counts[status]} of {len(self.cells)} {status}"
            for status in STATUSES[1:]
            if counts[status] and status != self.status
        ]

    @property
    def why(self) -> str:
        """The status in words, from the first replicate that has it; '' where all is well."""
        return "" if self.status == STATUSES[0] else self._typical[0].reason

    @property
    def gist(self) -> str:
        """The reason without the numbers of single runs, so that equal reasons come together."""
        return ", ".join(self.codes) or self._typical[0].reason

    @property
    def _typical(self) -> list[CellRecord]:
        return [cell for cell in self.cells if cell.status == self.status]

    def values(self, metric: str) -> list[float]:
        """That metric of every usable replicate that has it."""
        return [value for _, value in self._pairs(metric)]

    def by_block(self, metric: str) -> dict[int, float]:
        """The same by block: replicates of one block were measured near each other in time."""
        return dict(self._pairs(metric))

    def _pairs(self, metric: str) -> list[tuple[int, float]]:
        of = METRICS[metric]
        if of.inverse_of:
            return [(b, of.per / value) for b, value in self._pairs(of.inverse_of) if value > 0]
        return [
            (c.block, c.metrics[metric]) for c in self.cells if c.usable and metric in c.metrics
        ]

    def calls(self) -> dict[str, stats.Estimate]:
        """System calls per request by name, over the replicates that recorded them, most frequent
        first. A call that a replicate did not make counts as 0 there; rare ones are left out."""
        recorded = [found for cell in self.cells if (found := _calls(cell))]
        names = dict.fromkeys(name for found in recorded for name in found)
        estimates = {n: stats.estimate([float(f.get(n, 0.0)) for f in recorded]) for n in names}
        ordered = sorted(estimates.items(), key=lambda item: (-item[1].value, item[0]))
        return {name: e for name, e in ordered if e.value >= RARE}

    def estimate(self, metric: str) -> stats.Estimate:
        """Middle and interval; of an inverse metric, those of the other one turned round, so that
        the two say the same (of an even number of values the median of the inverses is not the
        inverse of the median)."""
        of = METRICS[metric]
        if not of.inverse_of:
            return stats.estimate(self.values(metric))
        e = stats.estimate(self.values(of.inverse_of))
        value, lo, hi = (of.per / v if v > 0 else math.nan for v in (e.value, e.hi, e.lo))
        return replace(e, value=value, lo=lo, hi=hi)


def _calls(cell: CellRecord) -> Mapping[str, float]:
    """System calls per request by name; {} where none were recorded."""
    told = cell.server.get("syscalls") if cell.usable else None
    found = told.get("by_name") if isinstance(told, Mapping) else None
    return found if isinstance(found, Mapping) else {}


@dataclass(frozen=True)
class Contest:
    """One metric at one level: who is best, who is distinguishably worse.

    best is None where no model has two values. tied: models that are not worse than it. untested:
    those with one value only, which are neither.
    """

    metric: Metric
    factors: Mapping[str, Any]
    groups: Mapping[str, Group]  # by model
    best: str | None
    worse: Mapping[str, bool]
    untested: frozenset[str] = frozenset()

    @property
    def tied(self) -> list[str]:
        return [name for name, is_worse in self.worse.items() if not is_worse]


def group(cells: Iterable[CellRecord], model_order: Sequence[str]) -> list[Group]:
    """Cells by model and levels; models in the given order, levels ascending."""
    found: dict[tuple[str, tuple[tuple[str, str], ...]], list[CellRecord]] = {}
    for cell in cells:
        key = (cell.model, tuple((k, level_text(v)) for k, v in cell.factors.items()))
        found.setdefault(key, []).append(cell)
    rank = {name: index for index, name in enumerate(model_order)}
    groups = [
        Group(members[0].model, members[0].factors, tuple(members)) for members in found.values()
    ]
    return sorted(
        groups,
        key=lambda g: (rank.get(g.model, len(rank)), [_sortable(v) for v in g.factors.values()]),
    )


def contests(experiment: Experiment, groups: Sequence[Group], metric: str) -> list[Contest]:
    """One contest per combination of levels at which at least one model has cells."""
    levels: dict[tuple[str, ...], list[Group]] = {}
    for g in groups:
        levels.setdefault(tuple(level_text(v) for v in g.factors.values()), []).append(g)
    out = []
    ordered = sorted(levels.values(), key=lambda gs: [_sortable(v) for v in gs[0].factors.values()])
    for members in ordered:
        samples = {g.model: g.by_block(metric) for g in members}
        found = best_group(samples, METRICS[metric].better == "higher")
        out.append(
            Contest(
                METRICS[metric],
                members[0].factors,
                {g.model: g for g in members},
                found.best,
                found.worse,
                found.untested,
            )
        )
    return out


def to_tsv(experiment: Experiment, groups: Sequence[Group], duels: Sequence[LevelDuel] = ()) -> str:
    """summary.tsv: one row per model, levels and metric; see docs/harness.md for its columns.

    A group without any value (unsupported, failed, void) still has a row for the experiment's main
    metric and every other one that was measured somewhere, so that it shows up in each figure.

    System calls that were recorded by name have rows of their own, "syscall:recvfrom".

    What was measured together or in turns stands in rows of its own: their metric is the
    arrangement and the metric ("turns:server_cpu_us_per_request"), their unit "ratio", their value
    that over the reference's. status: ok, suspect where the control was missed, void where the twin
    differs; n: blocks or runs.
    """
    factors = [factor.name for factor in experiment.factors]
    measured = {name for g in groups for c in g.cells if c.usable for name in c.metrics}
    names = [
        name
        for name, metric in METRICS.items()
        if name in measured or metric.inverse_of in measured or name == experiment.metric
    ]
    lines = ["\t".join(["model", *factors, *COLUMNS])]
    for g in groups:
        for name in names:
            estimate = g.estimate(name)
            if not estimate.n and any(c.usable for c in g.cells):
                continue  # measured, but this metric means nothing here
            row = [g.model, *(level_text(g.factors[f]) for f in factors), name, METRICS[name].unit]
            row += [str(estimate.n), *map(_tsv_number, (estimate.value, estimate.lo, estimate.hi))]
            row += [g.status, *(_one_line("; ".join(x)) for x in (g.codes, g.badges, g.strays))]
            lines.append("\t".join([*row, _one_line(g.why)]))
    lines += ["\t".join(row) for g in groups for row in _call_rows(g, factors)]
    lines += ["\t".join(row) for level in duels for row in _ratio_rows(level, factors)]
    return "\n".join(lines) + "\n"


def _call_rows(group: Group, factors: Sequence[str]) -> Iterator[list[str]]:
    at = [level_text(group.factors[f]) for f in factors]
    for name, estimate in group.calls().items():
        numbers = map(_tsv_number, (estimate.value, estimate.lo, estimate.hi))
        row = [group.model, *at, f"syscall:{name}", "calls", str(estimate.n), *numbers]
        yield [*row, group.status, "; ".join(group.codes), "", "", _one_line(group.why)]


def _ratio_rows(level: LevelDuel, factors: Sequence[str]) -> Iterator[list[str]]:
    at = [level_text(level.factors[f]) for f in factors]
    for one in level.arrangements:
        metrics = dict.fromkeys(m for ratios in one.ratios.values() for m in ratios)
        for model, metric in itertools.product(one.ratios, metrics):
            ratio = one.ratios[model].get(metric)
            if ratio is None:
                continue
            status, why = "ok", ""
            if one.void(metric):
                status, why = "void", "the reference differs from itself"
            elif one.slack:
                status, why = "suspect", "the control was not found at its size"
            badges = "measured alone" if model in one.alone else ""
            numbers = map(_tsv_number, (ratio.estimate, ratio.lo, ratio.hi))
            row = [model, *at, f"{one.name}:{metric}", "ratio", str(ratio.samples), *numbers]
            yield [*row, status, "", badges, "", why]


def _tsv_number(value: float) -> str:
    return f"{value:.6g}" if math.isfinite(value) else str(value)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _sortable(level: Any) -> tuple[int, float, str]:
    if isinstance(level, (int, float)):
        return (0, float(level), "")
    return (1, 0.0, str(level))
