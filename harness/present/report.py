# SPDX-License-Identifier: MIT
"""A report of runs in one file: HTML with everything inside, or Markdown beside its figures."""
from __future__ import annotations

import base64
import os
import re
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from harness import store
from harness.design import experiment
from harness.judge import claims, summary
from harness.present import answer, conclusion, wording
from harness.present.calls import CallsTable
from harness.present.levels import RatioTable, apart
from harness.design.experiment import Experiment
from harness.design.metrics import METRICS, Metric
from harness.paths import TEMPLATES
from harness.judge.summary import Contest, Group

FORMATS = ("html", "md")


@dataclass(frozen=True)
class Entry:
    """One entry of a table. mark: best, tied, worse or ''; status as in summary.tsv."""

    text: str
    interval: str
    mark: str
    status: str
    reason: str


@dataclass(frozen=True)
class Table:
    heading: str
    explanation: str
    note: str
    levels: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Entry | None]]]
    ratios: RatioTable | None


@dataclass(frozen=True)
class Figure:
    name: str
    path: Path
    source: str  # what goes into src=


@dataclass(frozen=True)
class Section:
    """One run, ready to be rendered."""

    experiment: Experiment
    meta: Mapping[str, Any]
    machine: str
    note: str
    cells: int
    sentences: Sequence[str]
    tables: Sequence[Table]
    calls: Sequence[CallsTable]
    figures: Sequence[Figure]
    remarks: Sequence[tuple[str, str]]
    verdicts: Sequence[claims.Verdict]


def render(runs: Mapping[Path, Sequence[Path]], kind: str, out: Path) -> str:
    """The text of a report of these runs, each with its figures, to be written to `out` (whose
    folder matters for links)."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=kind == "html",
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=markdown if kind == "md" else None,
    )
    sections = [section(path, figures, kind, out) for path, figures in runs.items()]
    parts = answer.shortened([one.sentences for one in sections])
    opening = [(one.experiment, lines) for one, lines in zip(sections, parts)]
    template = environment.get_template(f"report.{kind}.j2")
    return template.render(sections=sections, opening=opening)


def section(path: Path, drawn: Sequence[Path], kind: str, out: Path) -> Section:
    """Read one run; SetupError where a record is damaged."""
    run = store.Run.open(path, whole=True)
    one = experiment.of(run)
    found = conclusion.of_run(run)
    groups, beside = found.groups, found.ratio_tables
    return Section(
        experiment=one,
        meta=run.meta,
        machine=wording.machine(run.meta["host"]),
        note=wording.run_note(run.meta),
        cells=sum(len(group.cells) for group in groups),
        sentences=found.sentences,
        tables=[t for h in one.highlights if (t := _table(one, groups, h, beside))],
        calls=found.call_tables,
        figures=[_figure(p, kind, out) for p in drawn],
        remarks=[*wording.remarks(groups), *(("not compared", t) for t in found.not_compared)],
        verdicts=found.verdicts,
    )


def figures(folder: Path, kind: str) -> list[Path]:
    """The figures in a folder: PNG (small enough to carry along) for HTML, SVG or PNG for
    Markdown."""
    suffixes = (".png",) if kind == "html" else (".svg", ".png")
    found: dict[str, Path] = {}
    for suffix in suffixes:
        for figure in sorted(folder.glob(f"*{suffix}")):
            found.setdefault(figure.stem, figure)
    return [found[stem] for stem in sorted(found, key=lambda s: (s != "overview", s))]


def _figure(path: Path, kind: str, out: Path) -> Figure:
    if kind == "html":
        data = base64.b64encode(path.read_bytes()).decode("ascii")
        return Figure(path.stem, path, f"data:image/png;base64,{data}")
    link = urllib.parse.quote(os.path.relpath(path, out.parent), errors="surrogateescape")
    return Figure(path.stem, path, link)


_MARKDOWN = re.compile(
    r"([\\`*<>\[\]|$~]|(?<!\w)_|_(?!\w)|^[#+-]+(?=\s)|^\d+(?=[.)]\s)|&(?=#?\w+;))"
)


def markdown(value: Any) -> str:
    """A value as Markdown that shows it and nothing else: on one line, its marks escaped.

    Links keep their form: a quoted path has no mark in it. A number before a full stop at the
    beginning would be a list.
    """
    text = " ".join(str(value).split())
    return _MARKDOWN.sub(lambda m: m[0] + "\\" if m[0].isdigit() else "\\" + m[0], text)


def _table(
    one: Experiment,
    groups: Sequence[Group],
    highlight: experiment.Highlight,
    beside: Mapping[str, RatioTable],
) -> Table | None:
    metric = METRICS[highlight.metric]
    found = [
        c for c in summary.contests(one, groups, highlight.metric) if wording.wanted(c, highlight)
    ]
    if not any(c.best for c in found):
        return None
    names = list(dict.fromkeys(name for c in found for name in c.groups))
    rows = [(name, [_entry(c, name, metric) for c in found]) for name in names]
    levels = [wording.levels(c) for c in found]
    said = wording.explanation(found, metric) + apart(beside, highlight.metric)
    ratios = beside.get(highlight.metric)
    return Table(wording.heading(metric), said, highlight.note, levels, rows, ratios)


def _entry(contest: Contest, name: str, metric: Metric) -> Entry | None:
    group = contest.groups.get(name)
    if group is None:
        return None
    estimate = group.estimate(metric.name)
    if not estimate.n:
        text = group.status if group.status not in store.USABLE else "–"
        return Entry(text, "", "", group.status, group.reason)
    interval = ""
    if estimate.n > 1:
        low, high = (wording.quantity(v, metric.unit) for v in (estimate.lo, estimate.hi))
        interval = f"{low} to {high}, n = {estimate.n}"
    return Entry(
        wording.quantity(estimate.value, metric.unit),
        interval,
        wording.best_marks(contest).get(name, ""),
        group.status,
        group.reason,
    )
