# SPDX-License-Identifier: MIT
"""tenk plot: draw the figures of runs, complete or not."""
from __future__ import annotations

import argparse
import contextlib
import importlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from harness import errors, packed, store
from harness.design import selection
from harness.present import conclusion, console

if TYPE_CHECKING:
    from harness.commands import Subparsers


def register(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser("plot", help="draw the figures of a run")
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a directory, an experiment, latest")
    parser.add_argument(
        "--highlight",
        default="",
        metavar="A,B",
        help="models in colour, beside the reference; most others grey",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    out = console.make()
    paths = [path for name in args.runs for path in store.find(name)]
    for path in dict.fromkeys(paths):
        refresh(path)
        draw(path, out, highlight=selection.words(args.highlight))
    return errors.EXIT_OK


def conclusions(path: Path) -> list[tuple[str, str]]:
    """Name and text of what must stand beside the cells there are (summary.tsv, the answer): an
    interrupted run may lack the last ones.

    SetupError where nothing was measured, or a record is damaged.
    """
    done = store.Run.open(path, whole=True)
    found = conclusion.of_run(done)
    if not found.groups:
        raise errors.SetupError(f"{path}: nothing was measured in this run")
    return found.files()


def refresh(path: Path) -> None:
    """Write those files anew from the cells, where they do not say the same already.

    A packed run is finished, and may be under version control: it stays as it was packed, and is
    drawn from what it says. `tenk pack` makes that anew.
    """
    if packed.is_packed(path):
        store.Run.open(path, whole=True).cells()  # a damaged record is told of all the same
        return
    for name, text in conclusions(path):
        target = path / name
        try:
            if target.exists() and target.read_text(encoding="utf-8", errors="replace") == text:
                continue
            store.write_atomically(target, text)
        except OSError as error:
            raise errors.SetupError(f"cannot write {target}: {error.strerror}") from None


@contextlib.contextmanager
def view(path: Path) -> Iterator[Path]:
    """A run that may not be written to, as it would look with a fresh summary.tsv: a temporary
    directory that ends with the `with`. For drawing it elsewhere."""
    with tempfile.TemporaryDirectory(prefix="tenk.") as folder:
        copy = Path(folder) / path.resolve().name
        copy.mkdir()
        for name in ("run.json", packed.FOLDER, packed.NAME):
            if (path / name).exists():
                (copy / name).symlink_to((path / name).resolve())
        for name, text in conclusions(path):
            (copy / name).write_text(text, encoding="utf-8")
        yield copy


def draw(
    path: Path, out: Console, folder: Path | None = None, highlight: Sequence[str] = ()
) -> list[Path]:
    """The figures of one run, by package plots, into the run's figures/ or `folder`; prints
    where. highlight: models that stand out."""
    plots = importlib.import_module("plots")
    folder = folder or path / "figures"
    try:
        figures: list[Path] = plots.draw_all(path, out=folder, highlight=highlight)
    except (plots.DataError, OSError) as error:
        said = errors.why(error) if isinstance(error, OSError) else error
        raise errors.SetupError(f"cannot draw {path}: {said}") from None
    out.print(f"{len(figures)} figures in {escape(str(folder))}", soft_wrap=True)
    return figures
