# SPDX-License-Identifier: MIT
"""docs/experiments/findings.md: what a run of each experiment found. Pure, to Markdown."""
from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.design.experiment import Experiment
from harness.judge.claims import Verdict
from harness.judge.levels import LevelDuel
from harness.judge.standings import CPU
from harness.present import levels, wording
from harness.present.claims import HEADING, cell, rows_of

_READING = re.compile(r"^(?:\*\*|#+ )How to read the figures?\b.*?(?=\n\n|\Z)", re.S | re.M)
_NAME = re.compile(r"`([a-z0-9_]+)`")


@dataclass(frozen=True)
class Entry:
    """A run of one experiment, and what it amounts to. figure: its link, or "". old: its file asks
    something else by now."""

    experiment: Experiment
    meta: Mapping[str, Any]
    sentences: Sequence[str]
    verdicts: Sequence[Verdict]
    duels: Sequence[LevelDuel]
    figure: str = ""
    old: bool = False


def page(entries: Sequence[Entry]) -> str:
    """The whole page; the experiments in the order given."""
    lines = [
        "# What the experiments found",
        "",
        "One run of each experiment, on one small machine. The page is made from the runs by"
        " `make findings`; the numbers of another machine are others, and so may be the verdicts."
        " What is measured, why in this way, and what it cannot show, stands in the page of each.",
        "",
        "A claim is *supported* or *refuted* where the whole 95 % interval lies on one side of its"
        " bound, which stood in the experiment's file before the run. *Together* and *in turns*:"
        " see [duel.md](../duel.md); *cells*: single runs, n of each.",
        "",
        "| experiment | supported | refuted | cannot decide |",
        "|---|---|---|---|",
    ]
    for one in entries:
        name = one.experiment.name
        counts = [sum(v.outcome == outcome for v in one.verdicts) for outcome in _OUTCOMES]
        lines.append(f"| [{name}](#{name}) | {' | '.join(map(str, counts))} |")
    for one in entries:
        lines += ["", *_section(one)]
    return "\n".join(lines) + "\n"


_OUTCOMES = ("supported", "refuted", "cannot decide")


def _section(one: Entry) -> list[str]:
    name, meta = one.experiment.name, one.meta
    measured = (
        f"{str(meta['started'])[:10]}, commit {meta['git']['commit']}, profile {meta['profile']};"
        f" {wording.machine(meta['host'])}"
    )
    lines = [f"## {name}", "", f"**{one.experiment.question}** ([the page]({name}.md))", ""]
    lines += [f"- {sentence}" for sentence in one.sentences]
    if one.figure:
        lines += ["", f"![{cell(one.experiment.title)}]({one.figure})"]
    if one.verdicts:
        lines += ["", *HEADING, *(row for v in one.verdicts for row in rows_of(v))]
    bases = {number.basis for verdict in one.verdicts for number in verdict.numbers}
    notes = [
        levels.note(level, arrangement, CPU)
        for level in one.duels
        for arrangement in level.arrangements
        if arrangement.name in bases
    ]
    if notes:
        lines += ["", *(f"- {note}." for note in notes)]
    since = " The experiment's file has changed since." if one.old else ""
    return [*lines, "", f"Measured {measured}. Again: `harness/tenk run {name}`.{since}"]


def figure_of(text: str) -> str:
    """The figure that a page of docs/experiments explains first; "" where it explains none."""
    paragraph = _READING.search(text)
    name = _NAME.search(paragraph.group()) if paragraph else None
    return name.group(1) if name else ""
