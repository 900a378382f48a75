# SPDX-License-Identifier: MIT
"""Find the figure kinds that apply to a run, draw them, and write the files."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol, cast

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from plots.data import DataError, Results, load_run
from plots.page import FORMS, NOTES_FILE, RC, SCREEN, Form, Sheet, name_x_once
from plots.paper import save

FORMATS = ("png", "svg", "pdf")
# What is written where nothing is said: a column is for a page that is printed.
USUAL = {"screen": ("png", "svg"), "column": ("png", "pdf")}
# A run whose other factors have more levels than this would make a pile of figures of each kind
# that nobody looks through: it has figures that show it whole.
MOST_SLICES = 6


class Kind(Protocol):
    """What a file in plots/mpl/ offers; its stem is the name of the figure.

    `X` is the factor on the x axis, along which a run with more factors is not cut: such a run
    gives one figure per combination of the others. None: the kind sees the run whole.
    """

    X: str | None

    def applies(self, run: Results) -> bool:
        """Whether the run holds what the figure shows."""

    def draw(self, run: Results, figure: Figure) -> None:
        """Draw on an empty figure and set its size."""


def kinds() -> dict[str, Kind]:
    """The figure kinds by name: every public module of plots/mpl/."""
    folder = Path(__file__).parent / "mpl"
    names = sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))
    return {name: cast(Kind, importlib.import_module(f"plots.mpl.{name}")) for name in names}


def draw_figure(kind: Kind, run: Results, form: Form = SCREEN) -> Sheet:
    """One figure, in memory."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(RC)
        figure = Sheet(dpi=100)
        figure.form = form
        FigureCanvasAgg(figure)
        kind.draw(run, figure)
        if form.stacked:
            name_x_once(figure)
    return figure


def draw_run(run: Results, form: Form = SCREEN) -> dict[str, Sheet]:
    """Every figure that applies to `run`, by file stem without the suffix of the form."""
    figures = {}
    for name, kind in kinds().items():
        parts = run.slices(kind.X) if kind.X else [("", run)]
        for suffix, part in parts if len(parts) <= MOST_SLICES else []:
            # One level of a run with more factors makes no curve.
            if kind.X and suffix and len(part.levels(kind.X)) < 2:
                continue
            if kind.applies(part):
                figures[name + suffix] = draw_figure(kind, part, form)
    return figures


def highlighted(run: Results, models: Sequence[str]) -> Results:
    """The run with these models to stand out; DataError for one that it does not have."""
    for model in models:
        if model not in run.models:
            raise DataError(f"--highlight {model}: must be from {', '.join(run.models)}")
    return replace(run, highlight=tuple(models))


def draw_all(
    run_dir: Path,
    formats: Sequence[str] = ("png", "svg"),
    out: Path | None = None,
    highlight: Sequence[str] = (),
    width: str = "screen",
) -> list[Path]:
    """Draw every figure that applies to the run in `run_dir`; returns the files written. highlight:
    models that are drawn in colour, most others then grey. width: of FORMS.

    They go to run_dir/figures (or `out`), one per figure and format, and the notes to all of them
    into NOTES_FILE beside them. An empty list means that the
    run holds nothing any figure shows. DataError: the run cannot be read, or a format is unknown,
    or a model to be highlighted is not in it.
    """
    for suffix in formats:
        if suffix not in FORMATS:
            raise DataError(f"format {suffix!r}: must be one of {', '.join(FORMATS)}")
    form = FORMS[width]
    figures = draw_run(highlighted(load_run(Path(run_dir)), highlight), form)
    folder = Path(run_dir) / "figures" if out is None else out
    written = []
    for name, figure in figures.items():
        folder.mkdir(parents=True, exist_ok=True)
        for suffix in formats:
            path = folder / f"{name}{form.suffix}.{suffix}"
            with matplotlib.rc_context(RC):
                save(figure, path)
            written.append(path)
    if figures:
        path = folder / NOTES_FILE
        path.write_text(notes_page(figures), encoding="utf-8")
        written.append(path)
    return written


def notes_page(figures: Mapping[str, Sheet]) -> str:
    """The footnotes of all figures as Markdown: what their marks stand for, point by point.

    Figures with the same notes stand together."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for name, sheet in figures.items():
        texts = (*sheet.notes, *dict.fromkeys(note.text for note in sheet.footnotes))
        alike.setdefault(texts, []).append(name)
    lines = ["# Notes to the figures", "", "docs/figures.md says how to read each of them.", ""]
    for texts, names in alike.items():
        lines += [f"## {', '.join(names)}", ""]
        lines += [f"**{' · '.join(figures[name].title.splitlines())}**  " for name in names]
        lines += ["", *(f"- {text}" for text in texts), *([""] if texts else [])]
    return "\n".join(lines).rstrip("\n") + "\n"
