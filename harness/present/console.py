# SPDX-License-Identifier: MIT
"""What the terminal shows: progress while measuring, and the summary at the end."""
from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from harness.judge import claims as claim_module
from harness.measure import host
from harness.design.experiment import Experiment, Highlight
from harness.design.metrics import Metric
from harness.judge.stats import Estimate
from harness.store import USABLE, CellRecord
from harness.judge.summary import Contest, Group, contests

BOX = box.SIMPLE_HEAD
PLAIN_WIDTH = 100
PLAIN_EVERY_S = 10.0

_BADGES = {"client-limited": "c", "suspect": "s"}


def make() -> Console:
    """A console on stdout; 100 columns where it is not a terminal."""
    if sys.stdout.isatty():
        return Console(highlight=False)
    return Console(highlight=False, width=PLAIN_WIDTH)


def duration(seconds: float) -> str:
    """ "45 s", "4 min 05 s", "1 h 30 min"."""
    whole = int(round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def quantity(value: float, unit: str) -> str:
    """A number for people: three significant digits and a fitting prefix."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "inf"
    if unit == "ns":
        for limit, factor, name in ((1e3, 1, "ns"), (1e6, 1e3, "µs"), (1e9, 1e6, "ms")):
            if value < limit * 0.9995:
                return f"{_digits(value / factor)} {name}"
        return f"{_digits(value / 1e9)} s"
    if unit == "us":
        return f"{_digits(value)} µs"
    if unit == "bytes":
        for limit, factor, name in (
            (1024, 1, "B"),
            (1 << 20, 1024, "KiB"),
            (1 << 30, 1 << 20, "MiB"),
        ):
            if value < limit:
                return f"{_digits(value / factor)} {name}"
        return f"{_digits(value / (1 << 30))} GiB"
    if value >= 999.5e3:
        return f"{_digits(value / 1e6)}M"
    if value >= 999.5:
        return f"{_digits(value / 1e3)}k"
    return _digits(value)


def _digits(value: float) -> str:
    """Three significant digits; 999.6 is 1000."""
    if value == 0:
        return "0"
    rounded = float(f"{value:.2e}")
    places = max(0, 2 - math.floor(math.log10(abs(rounded))))
    return f"{rounded:.{min(places, 4)}f}"


def spread(estimate: Estimate) -> str:
    """Half the interval's width in percent: "±3%"; "±>1x" where it is more than the estimate itself;
    empty where there is no interval or no finite estimate."""
    if estimate.n < 2:
        return ""
    if math.isinf(estimate.value):
        return ""
    half = estimate.relative_half_width
    if math.isinf(half):
        return "±?"
    if half > 1:
        return "±>1x"
    return f"±{100 * half:.0f}%" if half >= 0.0095 else "±<1%"


class Bar:
    """Progress on a terminal. Drawn between cells only: nothing runs beside a measurement."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.fields[title]}", style="bold"),
            BarColumn(bar_width=30),
            TextColumn("{task.completed:.0f}/{task.total:.0f} cells · {task.fields[left]} left"),
            TextColumn("· {task.fields[what]}", style="dim"),
            console=console,
            auto_refresh=False,
            transient=True,
        )
        self._task = self._progress.add_task("", total=1, title="preparing", left="?", what="")
        self._progress.start()
        self._started = True

    def begin(self, title: str, cells: int, seconds: float) -> None:
        if not self._started:
            self._progress.start()
            self._started = True
        self._progress.reset(self._task, total=cells, title=title, left=duration(seconds), what="")
        self._progress.refresh()

    def cell(self, what: str) -> None:
        self._progress.update(self._task, what=what)
        self._progress.refresh()

    def advance(self, record: CellRecord, cells: int, seconds_left: float) -> None:
        self._progress.update(self._task, advance=1, total=cells, left=duration(seconds_left))
        if record.status in ("failed", "void"):
            text = f"{record.id}: {record.status}: {record.gist}"
            self._progress.console.print(escape(text), style="red", soft_wrap=True)

    def end(self) -> None:
        self._progress.stop()
        self._started = False


class Lines:
    """Progress where there is no terminal: a line now and then, and one for each failure."""

    def __init__(self) -> None:
        self._title, self._cells, self._done, self._said = "", 0, 0, 0.0

    def begin(self, title: str, cells: int, seconds: float) -> None:
        self._title, self._cells, self._done = title, cells, 0
        self._say(seconds)

    def cell(self, what: str) -> None:
        pass

    def advance(self, record: CellRecord, cells: int, seconds_left: float) -> None:
        self._done, self._cells = self._done + 1, cells
        if record.status in ("failed", "void"):
            print(f"{record.id}: {record.status}: {record.gist}", flush=True)
        if time.monotonic() - self._said >= PLAIN_EVERY_S:
            self._say(seconds_left)

    def end(self) -> None:
        pass

    def _say(self, seconds_left: float) -> None:
        self._said = time.monotonic()
        left = duration(seconds_left)
        print(f"{self._title}: {self._done}/{self._cells} cells, {left} left", flush=True)


def print_summary(
    console: Console, experiment: Experiment, groups: Sequence[Group], run_note: str = ""
) -> None:
    """The tables of an experiment: estimates, and which differences are real."""
    console.rule(f"[bold]{experiment.name}[/] · {experiment.title}", align="left", style="dim")
    if run_note:
        console.print(escape(run_note), style="dim")
    for highlight in experiment.highlights:
        found = [c for c in contests(experiment, groups, highlight.metric) if _wanted(c, highlight)]
        if any(c.best for c in found):
            _print_highlight(console, highlight, found)
    said = remarks(groups)
    if said:
        table = Table.grid(padding=(0, 1))
        for badge, text in said:
            table.add_row(badge, escape(text))
        console.print(table)


def run_note(meta: Mapping[str, Any]) -> str:
    """Where and how a run was made, in one line."""
    placement = meta["placement"]
    where = {
        "split": "server and client on different CPUs",
        "shared": "server and client share CPUs",
    }
    parts = [host.one_line(meta["host"]), where[placement["name"]], f"profile {meta['profile']}"]
    if placement["note"]:
        parts.append(placement["note"])
    if not meta["complete"]:
        parts.append("INCOMPLETE")
    return " · ".join(parts)


def print_claims(console: Console, verdicts: Sequence[claim_module.Verdict]) -> None:
    """A table of the claims that this run could speak about, and how many it could not."""
    present = [v for v in verdicts if not v.absent]
    styles = {claim_module.SUPPORTED: "green", claim_module.REFUTED: "red"}
    if present:
        table = Table(title="Claims", title_justify="left", box=BOX, pad_edge=False)
        table.add_column("verdict", no_wrap=True)
        table.add_column("claim and what was measured")
        for v in present:
            style = styles.get(v.outcome, "yellow")
            said = f"{escape(v.text)}\n[dim]{escape(v.detail)}[/]"
            table.add_row(f"[{style}]{v.outcome}[/]", said)
        console.print(table)
    missing = len(verdicts) - len(present)
    if missing:
        text = f"{missing} claims are about models or levels that were not part of this run"
        console.print(text, style="dim")


def best_marks(contest: Contest) -> Mapping[str, str]:
    """Per model: "best", "tied" (not distinguishable from the best) or "worse".

    Empty where no model is worse, or the metric has no better side: nothing is to be marked then.
    """
    if contest.best is None or not contest.metric.better or not any(contest.worse.values()):
        return {}
    marks = {name: "worse" if worse else "tied" for name, worse in contest.worse.items()}
    return {**marks, contest.best: "best"}


def _wanted(contest: Contest, highlight: Highlight) -> bool:
    return not highlight.levels or next(iter(contest.factors.values())) in highlight.levels


def _print_highlight(console: Console, highlight: Highlight, found: Sequence[Contest]) -> None:
    metric = found[0].metric
    title = (
        f"{metric.label} ({metric.unit}), {metric.better} is better"
        if metric.better
        else (f"{metric.label} ({metric.unit})")
    )
    console.print(f"[bold]{title}[/]")
    # A wide grid of levels does not fit 100 columns: then several tables, one below the other.
    per_table = max(1, (console.width - 16) // 16)
    for start in range(0, len(found), per_table):
        part = found[start : start + per_table]
        table = Table(box=BOX, pad_edge=False, padding=(0, 1, 0, 0))
        table.add_column(" ".join(found[0].factors) + " →", no_wrap=True)
        for contest in part:
            heading = " ".join(_level(v) for v in contest.factors.values())
            table.add_column(heading, justify="right", no_wrap=True)
        marks = [best_marks(c) for c in part]
        for name in dict.fromkeys(g for c in found for g in c.groups):
            cells = [
                _entry(c.groups.get(name), metric, mark.get(name, ""))
                for c, mark in zip(part, marks)
            ]
            table.add_row(name, *cells)
        console.print(table)
    console.print(explanation(found, metric), style="dim")
    if highlight.note:
        console.print(escape(highlight.note), style="dim")
    console.print()


def _entry(group: Group | None, metric: Metric, mark: str) -> str:
    if group is None:
        return ""
    estimate = group.estimate(metric.name)
    if not estimate.n:
        return f"[dim]{group.status if group.status not in USABLE else '–'}[/]"
    text = f"{quantity(estimate.value, metric.unit)} {spread(estimate)}".rstrip()
    badge = _BADGES.get(group.status, "")
    if badge:
        text += f" [yellow]{badge}[/]"
    if mark in ("best", "tied"):
        return f"[bold green]*{text}[/]"
    return text


def explanation(found: Sequence[Contest], metric: Metric) -> str:
    """What the numbers of a table are, and how much they can tell apart."""
    counts = [g.estimate(metric.name) for c in found for g in c.groups.values()]
    counts = [e for e in counts if e.n]
    low, high = min(e.n for e in counts), max(e.n for e in counts)
    n = f"n = {low}" if low == high else f"n = {low} to {high}"
    text = f"median of {n} runs"
    if high < 2:
        text += ": too few for an interval"
    else:
        level = min(e.confidence for e in counts if e.n > 1)
        text += f" ± half of its {100 * level:.0f} % interval"
    if metric.better and len(found[0].groups) > 1:
        if any(any(c.worse.values()) for c in found):
            text += "; * best, or not distinguishable from the best (Welch on logs, Holm, 5 %)"
        none = [levels(c) for c in found if c.worse and not any(c.worse.values())]
        if none:
            text += f"; at {', '.join(none)}: no model distinguishable from the best"
    return text


def _level(value: Any) -> str:
    """A level as a heading: 10000 as 10k, 1 as 1."""
    if not isinstance(value, (int, float)):
        return str(value)
    for limit, name in ((1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:g}{name}"
    return f"{value:g}"


def levels(contest: Contest) -> str:
    """The levels of a contest as a column heading."""
    return " ".join(_level(v) for v in contest.factors.values())


def remarks(groups: Sequence[Group]) -> list[tuple[str, str]]:
    """Everything that is not plain "ok": what, and which models at which levels."""
    found: dict[tuple[str, str], dict[str, list[str]]] = {}
    for g in groups:
        at = " ".join(_level(v) for v in g.factors.values())
        for badge in g.badges:
            found.setdefault(("badge", badge), {}).setdefault(g.model, []).append(at)
        if g.status != "ok":
            found.setdefault((g.status, g.gist), {}).setdefault(g.model, []).append(at)
    lines = []
    for (status, reason), models in sorted(found.items()):
        where = "; ".join(f"{model} at {', '.join(at)}" for model, at in models.items())
        if status == "badge":
            lines.append((reason, where))
        else:
            what = f"{_BADGES.get(status, '')} {status}".strip()
            lines.append((what, where if reason == status else f"{reason}: {where}"))
    return lines
