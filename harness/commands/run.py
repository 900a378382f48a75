# SPDX-License-Identifier: MIT
"""tenk run: measure experiments, then print, plot and keep what came out."""
from __future__ import annotations

import argparse
import os
import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from harness import conformance, errors, store
from harness.design import experiment
from harness.judge import claims, summary
from harness.measure import models, runner
from harness.present import console, wording
from harness.measure.cell import Bench
from harness.commands import plot
from harness.design.load import PLACEMENTS
from harness.paths import loadgen_path, results_dir

if TYPE_CHECKING:
    from harness.commands import Subparsers

DEFAULT_SEED = 1
MAX_SEED = 2**31 - 1


@dataclass(frozen=True)
class Assignment:
    """A run to be made, or one to be resumed."""

    request: runner.Request
    resumed: store.Run | None = None


def register(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser("run", help="measure experiments")
    parser.add_argument("experiments", nargs="*", metavar="EXPERIMENT")
    parser.add_argument("--profile", default=None, help="quick, default or full [default]")
    parser.add_argument("--models", metavar="A,B", help="only these models [all]")
    parser.add_argument("--seed", type=_seed, default=None, help="of order and arrivals [1]")
    parser.add_argument(
        "--placement", default=None, help="split or shared: server and client CPUs [split]"
    )
    parser.add_argument("--resume", metavar="RUN", help="finish an interrupted run")
    parser.add_argument("--no-check", action="store_true", help="time without checking answers")
    parser.add_argument("--no-plot", action="store_true", help="write no figures")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where runs are kept [results]")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    out = console.make()
    results = args.out or results_dir()
    assignments = _resumed(args, results) if args.resume else _requested(args, results)
    loadgen = loadgen_path()
    if not os.access(loadgen, os.X_OK):
        raise errors.SetupError(f"no load generator at {loadgen}: run `make` first")
    _announce(out, assignments)
    if not args.no_check:
        _check(out, assignments)
    finished: list[store.Run] = []
    interrupted = False
    everywhere = os.sched_getaffinity(0)
    # All of them before the harness confines itself: placement goes by the CPUs it may use.
    benches = [
        runner.make_bench(one.models, loadgen, one.placement, one.seed)
        for one in (assignment.request for assignment in assignments)
    ]
    progress = _progress(out)
    try:
        for assignment, bench in zip(assignments, benches):
            # The harness hardly runs during a window; what it does is the client's burden.
            os.sched_setaffinity(0, set(bench.placements[""].client))
            _one(assignment, bench, progress, finished)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        progress.end()
        os.sched_setaffinity(0, everywhere)
    doubtful = [_conclude(out, done) for done in finished]
    if interrupted:
        return _interrupted(finished)
    if not args.no_plot:
        for done in finished:
            plot.draw(done.path, out)
    return errors.EXIT_DOUBTFUL if any(doubtful) else errors.EXIT_OK


def _progress(out: Console) -> runner.Progress:
    if out.is_terminal:
        return console.Bar(out)
    return console.Lines()


def _one(
    assignment: Assignment, bench: Bench, progress: runner.Progress, finished: list[store.Run]
) -> None:
    done = assignment.resumed
    if done is not None and done.meta.get("plan") is None:
        raise errors.UsageError("--resume", done.path, "it was stopped before its plan was made")
    if done is None:
        done = runner.start(assignment.request, bench, progress)
    finished.append(done)
    runner.carry_on(done, bench, progress)


def _requested(args: argparse.Namespace, results: Path) -> list[Assignment]:
    known = ", ".join(experiment.available())
    if not args.experiments:
        raise errors.UsageError("EXPERIMENT", "", f"name at least one of: {known}")
    profile = args.profile or "default"
    if profile not in experiment.PROFILES:
        allowed = ", ".join(experiment.PROFILES)
        raise errors.UsageError("--profile", profile, f"known profiles: {allowed}")
    placement = args.placement or "split"
    if placement not in PLACEMENTS:
        raise errors.UsageError("--placement", placement, f"allowed: {', '.join(PLACEMENTS)}")
    if results.exists() and not results.is_dir():
        raise errors.UsageError("--out", results, "it must be a directory, or not exist yet")
    chosen = [experiment.load(name) for name in dict.fromkeys(args.experiments)]
    catalogue = models.discover()
    session = f"{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
    seed = DEFAULT_SEED if args.seed is None else args.seed
    assignments = []
    for one in chosen:
        names = args.models or (",".join(one.models) if one.models else None)
        selected = models.choose(catalogue, names)
        request = runner.Request(
            one, one.profiles[profile], selected, seed, placement, results, session
        )
        assignments.append(Assignment(request))
    return assignments


def _resumed(args: argparse.Namespace, results: Path) -> list[Assignment]:
    for option, value in (
        ("EXPERIMENT", " ".join(args.experiments)),
        ("--profile", args.profile),
        ("--models", args.models),
        ("--seed", args.seed),
        ("--placement", args.placement),
    ):
        if value not in (None, ""):
            raise errors.UsageError(option, value, "with --resume the run itself says this")
    catalogue = {model.name: model for model in models.discover()}
    assignments = []
    for path in store.find(args.resume, results):
        old = store.Run.open(path)
        if old.meta["complete"]:
            continue
        meta = old.meta
        gone = [name for name in meta["models"] if name not in catalogue]
        if gone:
            raise errors.SetupError(f"--resume: the run has {', '.join(gone)}: run `make` first")
        chosen = [catalogue[name] for name in meta["models"]]
        if runner.binaries(chosen, loadgen_path()) != meta["binaries"]:
            raise errors.UsageError(
                "--resume", path, "servers or load generator were rebuilt since: start a new run"
            )
        one = experiment.of(old)
        request = runner.Request(
            one,
            one.profiles[meta["profile"]],
            chosen,
            int(meta["seed"]),
            meta["placement"]["wanted"],
            results,
            meta["session"],
        )
        assignments.append(Assignment(request, old))
    if not assignments:
        raise errors.UsageError("--resume", args.resume, "this run is complete already")
    return assignments


def _announce(out: Console, assignments: Sequence[Assignment]) -> None:
    total = 0.0
    for assignment in assignments:
        seconds = runner.estimate_s(assignment.request)
        total += seconds
        verb = "resuming" if assignment.resumed else "measuring"
        profile = assignment.request.profile
        out.print(
            f"{verb} [bold]{assignment.request.experiment.name}[/]: {len(assignment.request.models)} models,"
            f" profile {profile.name}, {profile.min_replicates} to {profile.replicates} replicates,"
            f" about {wording.duration(seconds)}",
            soft_wrap=True,
        )
    if len(assignments) > 1:
        out.print(f"about {wording.duration(total)} in all")


def _check(out: Console, assignments: Sequence[Assignment]) -> None:
    chosen = {
        model.name: model for assignment in assignments for model in assignment.request.models
    }
    protocols = {assignment.request.experiment.base.protocol for assignment in assignments}
    failures = conformance.gate(list(chosen.values()), sorted(protocols))
    if failures:
        for failure in failures:
            print(f"tenk: {failure}", file=sys.stderr)
        raise errors.SetupError(
            f"{len(failures)} checks failed, so nothing was timed"
            " (harness/tenk check says more; --no-check times them all the same)"
        )
    out.print("every model answers correctly", style="dim")


def _conclude(out: Console, done: store.Run) -> bool:
    """Write summary.tsv and print it; True when a cell failed or is void."""
    cells = done.cells()
    one = experiment.of(done)
    groups = summary.group(cells, list(done.meta["models"]))
    store.write_atomically(done.path / "summary.tsv", summary.to_tsv(one, groups))
    console.print_summary(out, one, groups, wording.run_note(done.meta))
    console.print_claims(out, claims.judge(one.claims, groups))
    out.print(f"{len(cells)} cells in {done.path}", soft_wrap=True)
    return any(cell.status in ("failed", "void") for cell in cells)


def _interrupted(finished: Sequence[store.Run]) -> int:
    print("tenk: interrupted; what was measured is kept", file=sys.stderr)
    for done in finished:
        if not done.meta["complete"]:
            print(f"tenk: go on with: harness/tenk run --resume {done.path}", file=sys.stderr)
            print(f"tenk: plot it with: harness/tenk plot {done.path}", file=sys.stderr)
    return errors.EXIT_INTERRUPTED


def _seed(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > MAX_SEED:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not allowed; a whole number from 0 to {MAX_SEED}"
        )
    return int(text)
