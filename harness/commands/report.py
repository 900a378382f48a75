# SPDX-License-Identifier: MIT
"""tenk report: tables, verdicts, figures and machine of runs in one file."""
from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from harness import errors, store
from harness.present import console, report
from harness.commands import options, plot

if TYPE_CHECKING:
    from harness.commands import Subparsers


def register(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser("report", help="write a report of runs")
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a directory, an experiment, latest")
    parser.add_argument("--format", default="html", help="html (all in one file) or md [html]")
    parser.add_argument(
        "--out", type=options.file, metavar="FILE", help="[report.FORMAT beside the run]"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if args.format not in report.FORMATS:
        raise errors.UsageError("--format", args.format, f"allowed: {', '.join(report.FORMATS)}")
    paths = list(dict.fromkeys(path for name in args.runs for path in store.find(name)))
    if args.out and not args.out.parent.is_dir():
        raise errors.UsageError("--out", args.out, "its folder must exist")
    if args.out and args.out.is_dir():
        raise errors.UsageError("--out", args.out, "it must be a file, not a directory")
    out = console.make()
    target = args.out or _beside(paths) / f"report.{args.format}"
    with tempfile.TemporaryDirectory(prefix="tenk.") as scratch:
        drawn = {path: _figures(path, args, target, Path(scratch), out) for path in paths}
        text = report.render(drawn, args.format, target)
    try:
        store.write_atomically(target, text)
    except OSError as error:
        hint = "" if args.out else " (--out FILE writes it elsewhere)"
        raise errors.SetupError(f"cannot write {target}: {error.strerror}{hint}") from None
    out.print(f"report in {escape(str(target))}", soft_wrap=True)
    return errors.EXIT_OK


def _figures(
    path: Path, args: argparse.Namespace, target: Path, scratch: Path, out: Console
) -> list[Path]:
    """The figures of a run, drawn if there are none.

    They belong to the run; of a run that can only be read, those of a report elsewhere are drawn
    beside it (Markdown links to them), or for a moment only (HTML carries them along).
    """
    folder = path / "figures"
    found = report.figures(folder, args.format)
    if found:
        return found
    if args.out is None or os.access(path, os.W_OK):
        plot.refresh(path)
        plot.draw(path, out, folder)
    else:
        with plot.view(path) as copy:
            folder = scratch / copy.name
            if args.format == "md":
                folder = target.with_name(f"{target.stem}-figures") / copy.name
            plot.draw(copy, out, folder)
    return report.figures(folder, args.format)


def _beside(paths: list[Path]) -> Path:
    """The run's own folder; for several runs, the folder of the machine they were made on."""
    return paths[0] if len(paths) == 1 else paths[0].parent.parent
