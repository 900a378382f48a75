# SPDX-License-Identifier: MIT
"""tenk plot: draw the figures of runs, complete or not."""
from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from harness import errors, store
from harness.design import experiment
from harness.judge import summary
from harness.present import console

if TYPE_CHECKING:
    from harness.commands import Subparsers


def register(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser("plot", help="draw the figures of a run")
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a directory, an experiment, latest")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    out = console.make()
    paths = [path for name in args.runs for path in store.find(name)]
    for path in dict.fromkeys(paths):
        refresh(path)
        draw(path, out)
    return errors.EXIT_OK


def refresh(path: Path) -> None:
    """Write summary.tsv anew from the cells: an interrupted run may lack the last ones."""
    done = store.Run.open(path)
    cells = done.cells()
    if not cells:
        raise errors.SetupError(f"{path}: nothing was measured in this run")
    one = experiment.of(done)
    groups = summary.group(cells, list(done.meta["models"]))
    store.write_atomically(path / "summary.tsv", summary.to_tsv(one, groups))


def draw(path: Path, out: Console) -> list[Path]:
    """The figures of one run, by package plots; prints where they are."""
    plots = importlib.import_module("plots")
    try:
        figures: list[Path] = plots.draw_all(path)
    except (plots.DataError, OSError) as error:
        raise errors.SetupError(f"cannot draw {path}: {error}") from None
    folder = path / "figures"
    out.print(f"{len(figures)} figures in {folder}", soft_wrap=True)
    return figures
