# SPDX-License-Identifier: MIT
"""tenk claims: the page of all claims of the textbooks, from a run of them."""
from __future__ import annotations

import argparse
import importlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from harness import errors, packed, store
from harness.commands import options, plot, textbook
from harness.design import experiment
from harness.paths import ROOT, results_dir
from harness.present import conclusion
from harness.present import textbook as present

if TYPE_CHECKING:
    from harness.commands import Subparsers

# Where the runs behind docs/claims.md are kept, and the figures in it.
KEPT = "reference/claims"
FIGURES = ROOT / "plots" / "gallery" / "claims"
OVERVIEW = "overview"


def register(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser(
        "claims",
        help="the textbooks' claims and their verdicts, as a page",
        description="Prints docs/claims.md, made from the runs of one `tenk run all-claims`: those"
        " that RUN belongs to, a folder where they were kept, or else the newest complete ones.",
    )
    parser.add_argument("which", nargs="?", metavar="RUN", help="a run of a claim, or a folder")
    parser.add_argument(
        "--keep",
        type=options.folder,
        metavar="DIR",
        help="also keep a small copy of each run there (what is kept of them already goes)",
    )
    parser.add_argument(
        "--figures", action="store_true", help="also draw them, into plots/gallery/claims"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    paths = chosen(args.which, results_dir())
    runs: dict[str, store.Run] = {}
    for path in paths:
        opened = store.Run.open(path, whole=True)
        if not opened.meta["complete"]:
            resume = f"harness/tenk run {textbook.ALL} --resume {path}"
            raise errors.UsageError("RUN", path, f"it must be complete ({resume})")
        runs[opened.experiment_name] = opened
    if not runs:
        raise errors.SetupError(f"no complete run of all claims: harness/tenk run {textbook.ALL}")
    if args.keep is not None:
        keep(runs, args.keep)
    if args.figures:
        draw(runs)
    print(present.page(entries(runs), _link(OVERVIEW)), end="")
    return errors.EXIT_OK


def chosen(which: str | None, results: Path) -> list[Path]:
    """The runs that the page is made of; none where there are none. UsageError for a name of
    nothing."""
    if which is not None:
        kept = sorted(path.parent for path in Path(which).glob("*/*/run.json"))
        return kept or textbook.session_of(store.find(which, results)[-1])
    wanted = set(experiment.textbook_claims())
    sessions: dict[str, dict[str, Path]] = {}
    for path in store.all_runs(results):
        meta = store.Run.open(path).meta
        if meta.get("complete") and meta.get("session") and meta["experiment"].get("textbook"):
            sessions.setdefault(str(meta["session"]), {})[meta["experiment"]["name"]] = path
    whole = [runs for runs in sessions.values() if wanted <= set(runs)]
    if whole:
        return list(whole[-1].values())
    return sorted(path.parent for path in (results / KEPT).glob("*/*/run.json"))


def entries(runs: Mapping[str, store.Run]) -> list[present.Entry]:
    """Every claim that there is, with its run if that is among `runs`. A claim is told as its run
    had it."""
    found = []
    for name in dict.fromkeys([*experiment.textbook_claims(), *runs]):
        if name not in runs:
            found.append(present.Entry(experiment.load(name), figure=_link(name)))
            continue
        told = conclusion.of_run(runs[name])
        found.append(
            present.Entry(
                *(told.experiment, told.settled, runs[name].meta, told.duels, _link(name)),
            )
        )
    return found


def _link(name: str) -> str:
    """Of a figure, from docs/; "" where there is none."""
    path = FIGURES / f"{name}.png"
    return os.path.relpath(path, ROOT / "docs") if path.exists() else ""


def draw(runs: Mapping[str, store.Run]) -> None:
    """The figure of each claim, and the one of all. SetupError where that cannot be done."""
    if not runs:
        return
    plots, figures = importlib.import_module("plots"), importlib.import_module("plots.claims")
    for one in runs.values():
        plot.refresh(one.path)
    try:
        figures.draw_claims({name: one.path for name, one in runs.items()}, FIGURES)
    except (plots.DataError, OSError) as error:
        said = errors.why(error) if isinstance(error, OSError) else error
        raise errors.SetupError(f"cannot draw: {said}") from None


def keep(runs: Mapping[str, store.Run], folder: Path) -> None:
    """A small copy of each run, in folder/NAME/RUN; SetupError where that cannot be written."""
    try:
        for name, one in runs.items():
            target = folder / name / one.path.name
            if target.resolve() == one.path.resolve():
                continue
            if (folder / name).exists():
                shutil.rmtree(folder / name)
            packed.keep_small(one.path, one.meta, target)
            told = conclusion.of_run(store.Run.open(target, whole=True))
            packed.write_conclusions(target, told.files())
    except OSError as error:
        raise errors.SetupError(f"cannot write {folder}: {error.strerror}") from None
