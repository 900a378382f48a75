# SPDX-License-Identifier: MIT
"""tenk report: tables, verdicts, figures and machine of runs in one file."""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from harness import errors, store
from harness.present import console, report
from harness.commands import plot

if TYPE_CHECKING:
    from harness.commands import Subparsers


def register(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser("report", help="write a report of runs")
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a directory, an experiment, latest")
    parser.add_argument("--format", default="html", help="html (all in one file) or md [html]")
    parser.add_argument("--out", type=Path, metavar="FILE", help="[report.FORMAT beside the run]")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if args.format not in report.FORMATS:
        raise errors.UsageError("--format", args.format, f"allowed: {', '.join(report.FORMATS)}")
    paths = list(dict.fromkeys(path for name in args.runs for path in store.find(name)))
    if args.out and not args.out.parent.is_dir():
        raise errors.UsageError("--out", args.out, "its folder must exist")
    out = console.make()
    for path in paths:
        plot.refresh(path)
        if not report.figures(path, args.format):
            plot.draw(path, out)
    target = args.out or _beside(paths) / f"report.{args.format}"
    text = report.render(paths, args.format, target)
    try:
        store.write_atomically(target, text)
    except OSError as error:
        raise errors.SetupError(f"cannot write {target}: {error.strerror}") from None
    out.print(f"report in {target}", soft_wrap=True)
    return errors.EXIT_OK


def _beside(paths: list[Path]) -> Path:
    """The run's own folder; for several runs, the folder of the machine they were made on."""
    return paths[0] if len(paths) == 1 else paths[0].parent.parent
