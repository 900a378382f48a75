# SPDX-License-Identifier: MIT
"""The figures of docs/claims.md: one for each claim of the textbooks, and all at a glance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from plots.data import Results, load_run
from plots.draw import draw_figure, kinds, notes_page
from plots.page import (
    EDGE,
    INK,
    NOTES_FILE,
    RC,
    SMALL_SIZE,
    TEXT_SIZE,
    TITLE_SIZE,
    WIDTH,
    Sheet,
    text_width,
)
from plots.verdicts import COLOURS

DPI = 110  # many figures on one page
ROW = 0.2
GENERIC = "claim"
OVERVIEW = "overview"
NUMBER, VERDICT, PARTS = 0.5, 6.15, 7.25  # where the columns begin, in inches


def draw_claims(runs: Mapping[str, Path], out: Path) -> list[Path]:
    """A PNG for each run, by the name of its claim, the one of all, and the notes to those that
    have any; returns what was written.

    The figure of a claim is the one that its experiment names, where that applies to the run and is
    one figure; else the generic one. DataError for a run that cannot be read.
    """
    out.mkdir(parents=True, exist_ok=True)
    read = {name: load_run(path) for name, path in runs.items()}
    every = kinds()
    written = []
    sheets: dict[str, Sheet] = {}
    for name, run in read.items():
        kind = every.get(_wanted(run), every[GENERIC])
        if (kind.X and len(run.slices(kind.X)) > 1) or not kind.applies(run):
            kind = every[GENERIC]
        if kind.applies(run):
            sheets[name] = draw_figure(kind, run)
            written.append(_save(sheets[name], out / f"{name}.png"))
    told = {name: sheet for name, sheet in sheets.items() if sheet.footnotes}
    if told:
        (out / NOTES_FILE).write_text(notes_page(told), encoding="utf-8")
        written.append(out / NOTES_FILE)
    settled = [run for run in read.values() if run.settled is not None]
    if settled:
        written.append(_save(overview(settled), out / f"{OVERVIEW}.png"))
    return written


def _wanted(run: Results) -> str:
    table = run.meta["experiment"].get("textbook") or {}
    return str(table.get("figure") or GENERIC)


def _save(figure: Figure, path: Path) -> Path:
    with matplotlib.rc_context(RC):
        figure.savefig(path, dpi=DPI, metadata={"Software": "tenk"})
    return path


def overview(runs: Sequence[Results]) -> Figure:
    """A line for each claim: its verdict, and a square for each part."""
    rows = sorted((run for run in runs if run.settled), key=_number)
    head = EDGE + 0.5
    height = head + ROW * len(rows) + 0.35
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(RC)
        figure = Figure(dpi=100)
        FigureCanvasAgg(figure)
        figure.set_size_inches(WIDTH, height)
        _say(figure, EDGE, EDGE + 0.1, _title(rows), TITLE_SIZE, INK, height, weight="bold")
        for index, run in enumerate(rows):
            _row(figure, run, head + (index + 0.5) * ROW, height)
        x = EDGE
        for outcome, colour in COLOURS.items():
            _say(figure, x, height - 0.15, f"■ {outcome}", SMALL_SIZE, colour, height)
            x += text_width(f"■ {outcome}", SMALL_SIZE) + 0.3
        said = "Squares: the parts of the claim."
        _say(figure, x, height - 0.15, said, SMALL_SIZE, INK, height)
    return figure


def _row(figure: Figure, run: Results, y: float, height: float) -> None:
    assert run.settled is not None
    colour = COLOURS[run.settled.outcome]
    number = f"{run.settled.number}"
    _say(figure, NUMBER - 0.1, y, number, TEXT_SIZE, INK, height, ha="right")
    text = _shortened(run.settled.claim, VERDICT - NUMBER - 0.15)
    _say(figure, NUMBER, y, text, TEXT_SIZE, INK, height)
    _say(figure, VERDICT, y, run.settled.outcome, TEXT_SIZE, colour, height, weight="bold")
    for index, part in enumerate(part for part in run.parts if not part.control):
        at = PARTS + 0.14 * index
        _say(figure, at, y, "■", TEXT_SIZE, COLOURS[part.outcome], height, gid=f"part:{number}")


def _number(run: Results) -> int:
    return run.settled.number if run.settled is not None else 0


def _title(rows: Sequence[Results]) -> str:
    outcomes = [run.settled.outcome for run in rows if run.settled is not None]
    counts = [f"{outcomes.count(one)} {one}" for one in COLOURS if one in outcomes]
    claims = "claim" if len(rows) == 1 else "claims"
    return f"{len(rows)} {claims} of the textbooks: {', '.join(counts)}"


def _shortened(text: str, width: float) -> str:
    if text_width(text, TEXT_SIZE) <= width:
        return text
    while text_width(f"{text} …", TEXT_SIZE) > width:
        text = text.rsplit(" ", 1)[0]
    return f"{text} …"


def _say(
    figure: Figure, x: float, y: float, text: str, size: float, colour: str, height: float,
    gid: str = "", ha: str = "left", weight: str = "normal",
) -> None:  # fmt: skip
    said = figure.text(
        x / WIDTH, 1 - y / height, text, size=size, color=colour, ha=ha, weight=weight,
        va="center_baseline",
    )  # fmt: skip
    said.set_gid(gid or "text")
