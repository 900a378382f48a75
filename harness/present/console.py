# SPDX-License-Identifier: MIT
"""What the terminal shows: progress while measuring, and the summary at the end."""
from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from harness.judge import claims as claim_module
from harness.present import answer, textbook, wording
from harness.present.conclusion import Conclusion
from harness.present.calls import BY_NAME, CallsTable
from harness.present.levels import RatioTable, apart
from harness.design.experiment import Highlight
from harness.design.metrics import Metric
from harness.store import USABLE, CellRecord
from harness.judge.summary import Contest, Group, contests
from harness.judge.textbook import Settled

BOX = box.SIMPLE_HEAD
PLAIN_WIDTH = 100
PLAIN_EVERY_S = 10.0
# Characters of a ratio with its interval that stand in one line: "-12.3 ± 10.1 %".
ENTRY_WIDTH = 14
ESTIMATE_WIDTH = 14  # "*21.2 ms ±29% c", nearly
BETWEEN, AROUND = 2, 3  # blanks of a table between two columns, and at its edges


def make() -> Console:
    """A console on stdout; 100 columns where it is not a terminal."""
    if sys.stdout.isatty():
        return Console(highlight=False)
    return Console(highlight=False, width=PLAIN_WIDTH)


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
        self._progress.reset(
            self._task, total=cells, title=title, left=wording.duration(seconds), what=""
        )
        self._progress.refresh()

    def cell(self, what: str) -> None:
        self._progress.update(self._task, what=what)
        self._progress.refresh()

    def advance(self, record: CellRecord, cells: int, seconds_left: float) -> None:
        self._progress.update(
            self._task, advance=1, total=cells, left=wording.duration(seconds_left)
        )
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
        left = wording.duration(seconds_left)
        print(f"{self._title}: {self._done}/{self._cells} cells, {left} left", flush=True)


def print_answer(console: Console, found: Sequence[Conclusion]) -> None:
    """What came out, in at most ten sentences; nothing where there is no run."""
    parts = answer.shortened([one.sentences for one in found])
    for one, lines in zip(found, parts):
        console.rule(f"[bold]{one.experiment.name}[/]", align="left", style="dim")
        for line in lines:
            console.print(f"• {escape(line)}", soft_wrap=console.is_terminal)
        console.print()


def print_summary(console: Console, one: Conclusion, run_note: str = "") -> None:
    """The tables of an experiment: estimates, which differences are real, and beside them what was
    measured together or in turns."""
    experiment, groups, beside = one.experiment, one.groups, one.ratio_tables
    console.rule(
        f"[bold]{escape(experiment.name)}[/] · {escape(experiment.title)}",
        align="left",
        style="dim",
    )
    if run_note:
        console.print(escape(run_note), style="dim")
    for highlight in experiment.highlights:
        found = [
            c
            for c in contests(experiment, groups, highlight.metric)
            if wording.wanted(c, highlight)
        ]
        if any(c.best for c in found):
            _print_highlight(console, highlight, found, apart(beside, highlight.metric))
        if highlight.metric in beside:
            print_ratios(console, beside[highlight.metric])
    for table_of_calls in one.call_tables:
        _print_calls(console, table_of_calls)
    for line in one.not_compared:
        console.print(escape(line), style="dim")
    said = wording.remarks(groups)
    if said:
        table = Table.grid(padding=(0, 1))
        for badge, text in said:
            table.add_row(escape(badge), escape(text))
        console.print(table)


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


def print_settled(console: Console, found: Sequence[Settled]) -> None:
    """A table of claims of the textbooks with their verdicts, and how many there are of each."""
    styles = {claim_module.SUPPORTED: "green", claim_module.REFUTED: "red"}
    table = Table(title="Claims", title_justify="left", box=BOX, pad_edge=False)
    table.add_column("no.", justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("claim and the number behind the verdict")
    for number, claim, outcome, behind in textbook.rows(found):
        style = styles.get(outcome, "yellow")
        said = f"{escape(claim)}\n[dim]{escape(behind)}[/]"
        table.add_row(number, f"[{style}]{outcome}[/]", said)
    console.print(table)
    console.print(textbook.tally(found))


def print_ratios(console: Console, found: RatioTable) -> None:
    """A table of ratios to the reference, with its notes below: as many levels side by side as
    there is room for, the others in tables below."""
    rows = [(name, [_folded(entry) for entry in entries]) for name, entries in found.rows]
    lines = [
        [line for _, e in rows for line in e[i].split("\n")] for i in range(len(found.columns))
    ]
    names = _longest([*found.heading.split(), *(name for name, _ in rows)])
    needs = [_longest([*h.split(), *lines[i]]) for i, h in enumerate(found.columns)]
    room = console.width - names - AROUND
    for part in _beside(needs, room):
        # What is left is for the headings: half for the first one, half for those of the levels.
        spare = max(0, room - sum(needs[i] + BETWEEN for i in part)) // 2
        table = Table(box=BOX, pad_edge=False, padding=(0, 1, 0, 0))
        first = min(names + spare, max(names, len(found.heading)))
        table.add_column(escape(found.heading), width=first)
        for i in part:
            width = min(needs[i] + spare // len(part), _longest([found.columns[i], *lines[i]]))
            table.add_column(escape(found.columns[i]), justify="right", width=width)
        for name, entries in rows:
            table.add_row(escape(name), *(escape(entries[i]) for i in part))
        console.print(table)
    for note in found.notes:
        console.print(escape(note), style="dim")
    console.print()


def _print_highlight(
    console: Console, highlight: Highlight, found: Sequence[Contest], only: str
) -> None:
    metric = found[0].metric
    console.print(f"[bold]{wording.heading(metric)}[/]")
    # A wide grid of levels does not fit 100 columns: then several tables, one below the other.
    for beside in _beside([ESTIMATE_WIDTH] * len(found), console.width - 16):
        part = [found[i] for i in beside]
        table = Table(box=BOX, pad_edge=False, padding=(0, 1, 0, 0))
        table.add_column(escape(" ".join(found[0].factors)) + " →", no_wrap=True)
        for contest in part:
            heading = escape(wording.levels(contest))
            table.add_column(heading, justify="right", no_wrap=True)
        marks = [wording.best_marks(c) for c in part]
        for name in dict.fromkeys(g for c in found for g in c.groups):
            cells = [
                _entry(c.groups.get(name), metric, mark.get(name, ""))
                for c, mark in zip(part, marks)
            ]
            table.add_row(escape(name), *cells)
        console.print(table)
    console.print(escape(wording.explanation(found, metric) + only), style="dim")
    if highlight.note:
        console.print(escape(highlight.note), style="dim")
    console.print()


def _folded(entry: str) -> str:
    """ "-12.3 ± 10.1 %" as it is; of a longer one the interval in a second line."""
    return entry if len(entry) <= ENTRY_WIDTH else entry.replace(" [", "\n[").replace(" (", "\n(")


def _longest(texts: Sequence[str]) -> int:
    return max(map(len, texts), default=0)


def _beside(needs: Sequence[int], room: int) -> list[list[int]]:
    """Which columns stand in one table, for each table: in their order, at least one."""
    tables: list[list[int]] = []
    left = 0
    for i, need in enumerate(needs):
        if not tables or left < need + BETWEEN:
            tables.append([])
            left = room
        tables[-1].append(i)
        left -= need + BETWEEN
    return tables


def _print_calls(console: Console, found: CallsTable) -> None:
    console.print(f"[bold]{escape(found.heading)}[/]")
    table = Table(box=BOX, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("model", no_wrap=True)
    for column in found.columns:
        words = column == BY_NAME
        table.add_column(escape(column), justify="left" if words else "right", no_wrap=not words)
    for name, entries in found.rows:
        table.add_row(escape(name), *map(escape, entries))
    console.print(table)
    for note in found.notes:
        console.print(escape(note), style="dim")
    console.print()


def _entry(group: Group | None, metric: Metric, mark: str) -> str:
    if group is None:
        return ""
    estimate = group.estimate(metric.name)
    if not estimate.n:
        return f"[dim]{group.status if group.status not in USABLE else '–'}[/]"
    text = f"{wording.quantity(estimate.value, metric.unit)} {wording.spread(estimate)}".rstrip()
    badge = wording.BADGES.get(group.status, "")
    if badge:
        text += f" [yellow]{badge}[/]"
    if mark in ("best", "tied"):
        return f"[bold green]*{text}[/]"
    return text
