# SPDX-License-Identifier: MIT
"""tenk findings: the page of what each experiment found, from a run of each."""
from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness import errors, store
from harness.commands import plot
from harness.design import experiment
from harness.paths import ROOT
from harness.present import conclusion
from harness.present import experiments as present

if TYPE_CHECKING:
    from harness.commands import Subparsers

PAGES = ROOT / "docs" / "experiments"
FIGURES = ROOT / "plots" / "gallery" / "experiments"


def register(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser(
        "findings",
        help="what each experiment found, as a page",
        description="Prints docs/experiments/findings.md, made from these runs, or else from the"
        " newest complete one of each experiment that has a page in docs/experiments, those of"
        " the profile quick left out: they are to see that it works. A run whose experiment's file"
        " asks something else by now is told so.",
    )
    parser.add_argument("runs", nargs="*", metavar="RUN", help="a directory, or an experiment")
    parser.add_argument(
        "--figures",
        action="store_true",
        help="also draw the figure of each, into plots/gallery/experiments",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    runs = chosen(args.runs)
    if not runs:
        raise errors.SetupError("no complete run of an experiment: harness/tenk run NAME")
    if args.figures:
        _draw(runs)
    print(present.page([_entry(one) for one in runs]), end="")
    return errors.EXIT_OK


def chosen(which: Sequence[str], results: Path | None = None) -> list[store.Run]:
    """In the order of their names; UsageError for one that is not complete or has no page."""
    paths = [path for name in which for path in store.find(name, results)]
    found: dict[str, store.Run] = {}
    for path in paths or store.all_runs(results):
        one = store.Run.open(path, whole=True)
        name = one.experiment_name
        told = one.meta["complete"] and (PAGES / f"{name}.md").exists()
        if told and (paths or one.meta["profile"] != "quick"):
            found[name] = one
        elif paths:
            raise errors.UsageError("RUN", path, f"it must be complete, and {name} have a page")
    return [found[name] for name in sorted(found)]


def _entry(one: store.Run) -> present.Entry:
    told, measured = conclusion.of_run(one), experiment.of(one)
    name, profile = one.experiment_name, one.meta["profile"]
    there = name in experiment.available()
    now = experiment.load(name).raw if there else measured.raw
    old = not experiment.asks_the_same(measured.raw, now, profile)
    figure = FIGURES / f"{name}.png"
    link = os.path.relpath(figure, PAGES) if figure.exists() else ""
    if old:
        print(f"tenk: {name}: its file has changed since {one.path}; run it again", file=sys.stderr)
    return present.Entry(measured, one.meta, told.sentences, told.verdicts, told.duels, link, old)


def _draw(runs: Sequence[store.Run]) -> None:
    """Of each the figure that its page explains. SetupError where that cannot be done."""
    plots, figures = importlib.import_module("plots"), importlib.import_module("plots.one")
    wanted = {}
    for one in runs:
        plot.refresh(one.path)
        page = (PAGES / f"{one.experiment_name}.md").read_text(encoding="utf-8")
        wanted[one.experiment_name] = (one.path, present.figure_of(page))
    try:
        figures.draw_each(wanted, FIGURES)
    except (plots.DataError, OSError) as error:
        said = errors.why(error) if isinstance(error, OSError) else error
        raise errors.SetupError(f"cannot draw: {said}") from None
