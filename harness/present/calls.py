# SPDX-License-Identifier: MIT
"""The anatomy of a request: per level a table of system calls by name, sleeps and CPU time, and a
sentence. Pure functions to plain text."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.design.experiment import Experiment
from harness.design.metrics import METRICS
from harness.judge.summary import Group
from harness.present import wording
from harness.store import USABLE, level_text

TITLE = "a request, by system calls"
BY_NAME = "by name"
COLUMNS = ("calls", BY_NAME, "switches", "wake-ups", "CPU user", "kernel")
_METRICS = (
    "syscalls_per_request",
    "",
    "switches_per_request",
    "wakeups_per_request",
    "server_user_us_per_request",
    "server_system_us_per_request",
)
# Models whose calls per request differ by less than this factor make as many.
ALIKE = 1.05
# So many calls are named in a row; the rest is summed up.
NAMED = 6
NOTE = (
    "Per request. Calls, switches and wake-ups: of the warm-up, recorded event by event; CPU time:"
    " of the window after it. A wake-up ends a sleep; a switch may also come of another task that"
    " wants the CPU."
)


@dataclass(frozen=True)
class CallsTable:
    """One level. rows: a model and its entry in each column."""

    heading: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[str]]]
    notes: Sequence[str]


def tables(experiment: Experiment, groups: Sequence[Group]) -> list[CallsTable]:
    """A table for each level; none where no calls were recorded by name."""
    if not any(g.calls() for g in groups):
        return []
    return [
        CallsTable(
            f"{TITLE}: {_at(experiment, members[0].factors)}",
            COLUMNS,
            [(g.model, _row(g)) for g in members],
            [NOTE],
        )
        for members in _by_level(groups)
    ]


def sentences(experiment: Experiment, groups: Sequence[Group], reference: str) -> list[str]:
    """Per level: the reference's calls by name, who makes fewest and most."""
    return [
        _sentence(experiment, members, reference)
        for members in _by_level(groups)
        if any(g.calls() for g in members)
    ]


def by_name(group: Group) -> str:
    """ "recvfrom 1.00, sendto 1.00, epoll_wait 0.018"; '' where nothing was recorded."""
    found = [(name, e.value) for name, e in group.calls().items()]
    parts = [f"{name} {_count(value)}" for name, value in found[:NAMED]]
    rest = sum(value for _, value in found[NAMED:])
    return ", ".join([*parts, *([f"others {_count(rest)}"] if rest else [])])


def _row(group: Group) -> list[str]:
    if not any(cell.usable for cell in group.cells):
        status = group.status if group.status not in USABLE else "–"
        return [status, *[""] * (len(COLUMNS) - 1)]
    row = []
    for metric in _METRICS:
        if not metric:
            row.append(by_name(group) or "–")
            continue
        estimate = group.estimate(metric)
        text = wording.quantity(estimate.value, METRICS[metric].unit) if estimate.n else "–"
        row.append(text)
    badge = wording.BADGES.get(group.status, "")
    return [*row[:-1], f"{row[-1]} {badge}".rstrip()]


def _sentence(experiment: Experiment, members: Sequence[Group], reference: str) -> str:
    total = {g.model: e.value for g in members if (e := g.estimate("syscalls_per_request")).n}
    ranked = sorted(total, key=lambda name: total[name])
    said = f"At {_at(experiment, members[0].factors)} a request takes"
    parts = []
    own = next((g for g in members if g.model == reference), None)
    if own is not None and reference in total:
        parts.append(f"{reference} {_count(total[reference])} system calls ({by_name(own)})")
    others = [name for name in ranked if name != reference]
    if others:
        fewest = [name for name in others if total[name] <= ALIKE * total[others[0]]]
        parts.append(f"{_some(fewest)} {_count(total[others[0]])}, the fewest of the others")
    if len(others) > 1 and total[others[-1]] > ALIKE * total[others[0]]:
        parts.append(f"{others[-1]} {_count(total[others[-1]])}, the most")
    return f"{said} {'; '.join(parts)}."


def _some(names: Sequence[str]) -> str:
    """ "a, b, c and 4 more"; the first three are named."""
    shown = list(names[:3])
    if len(names) > len(shown):
        shown.append(f"{len(names) - len(shown)} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _by_level(groups: Sequence[Group]) -> list[list[Group]]:
    found: dict[tuple[str, ...], list[Group]] = {}
    for g in groups:
        found.setdefault(tuple(level_text(v) for v in g.factors.values()), []).append(g)
    return sorted(found.values(), key=lambda gs: [float(v) for v in gs[0].factors.values()])


def _at(experiment: Experiment, factors: Mapping[str, Any]) -> str:
    """ "100 connections and 9.9k idle connections"; what there is none of is not said."""
    units = {f.name: f.unit for f in experiment.factors}
    parts = [
        f"{wording.level(value)} {units[name].removesuffix('s') if value == 1 else units[name]}"
        for name, value in factors.items()
        if value
    ]
    return " and ".join(parts)


def _count(value: float) -> str:
    """ "1.00", "0.018", "18.1"."""
    if value >= 9.95:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 0.095 else f"{value:.2g}"
