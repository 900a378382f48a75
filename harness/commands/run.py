# SPDX-License-Identifier: MIT
"""tenk run: measure experiments, then print, plot and keep what came out."""
from __future__ import annotations

import argparse
import contextlib
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from harness import conformance, errors, store
from harness.design import experiment, guest, selection
from harness.judge import summary
from harness.measure import attached, models, runner
from harness.present import conclusion, console, wording
from harness.measure.cell import Bench
from harness.measure.placement import crowded
from harness.commands import evidence, levels, options, plot, textbook
from harness.design.load import PLACEMENTS
from harness.design.model import Model
from harness.output import OutputError, complain
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
    parser.add_argument(
        "experiments",
        nargs="*",
        metavar="EXPERIMENT",
        help=f"a name, a pattern of claims, or {textbook.ALL} (with --resume RUN: the rest of it)",
    )
    parser.add_argument("--profile", default=None, help="quick, default or full [default]")
    parser.add_argument("--models", metavar="WHICH", help=f"{selection.HOW} [card]")
    parser.add_argument(
        "--also",
        metavar="NAME=URL[,pid=N]",
        action="append",
        default=[],
        help="a server that runs, under that name; may be given again",
    )
    parser.add_argument("--seed", type=_seed, default=None, help="of order and arrivals [1]")
    parser.add_argument(
        "--placement", default=None, help="split or shared: server and client CPUs [split]"
    )
    parser.add_argument(
        "--only",
        metavar="FIELD=VALUE,…",
        action="append",
        default=[],
        help="of an evidence run the lines with these values, as fraction=0.67; may be given again",
    )
    parser.add_argument("--resume", metavar="RUN", help="finish an interrupted run")
    parser.add_argument("--no-check", action="store_true", help="time without checking answers")
    parser.add_argument("--no-plot", action="store_true", help="write no figures")
    parser.add_argument(
        "--out", type=options.folder, metavar="DIR", help="where runs are kept [results]"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure; on every way out what was measured is kept, and nothing runs any more."""
    locks = contextlib.ExitStack()
    try:
        return _run(args, locks)
    finally:
        locks.close()


def _run(args: argparse.Namespace, locks: contextlib.ExitStack) -> int:
    out = console.make()
    if evidence.named(args.experiments):
        return evidence.run(args, out)
    if (folder := evidence.resumes(args)) is not None:
        return evidence.resume(args, folder, out)
    if args.only:
        raise errors.UsageError("--only", args.only[0], "it chooses lines of an evidence run")
    results = results_dir() if args.out is None else args.out
    assignments = (
        _resumed(args, results, locks) if args.resume is not None else _requested(args, results)
    )
    loadgen = loadgen_path()
    if not os.access(loadgen, os.X_OK):
        raise errors.SetupError(f"no load generator at {loadgen}: run `make` first")
    everywhere = os.sched_getaffinity(0)
    # All of them before the harness confines itself: placement goes by the CPUs it may use.
    benches = [
        replace(
            runner.make_bench(one.models, loadgen, one.placement, one.seed, one.experiment.by_name),
            unsettled=summary.unsettled_rate,
        )
        for one in (assignment.request for assignment in assignments)
    ]
    for assignment, bench in zip(assignments, benches):
        _same_as_before(assignment, bench)
    _announce(out, assignments)
    workers = {m.name: m.workers for one in assignments for m in one.request.models}
    if note := crowded(benches[0].placements[""], workers):
        complain(note)
    _check(out, assignments, args.no_check)
    begun: list[store.Run] = []
    stopped: BaseException | None = None
    progress = _progress(out)
    try:
        for assignment, bench in zip(assignments, benches):
            # The harness hardly runs during a window; what it does is the client's burden.
            os.sched_setaffinity(0, set(bench.placements[""].client))
            _one(assignment, bench, progress, begun)
    except (KeyboardInterrupt, errors.HostFault, OutputError) as reason:
        stopped = reason
    finally:
        progress.end()
        os.sched_setaffinity(0, everywhere)
        for done in begun:
            done.unlock()
    if stopped is not None:
        return _stopped(out, begun, stopped, textbook.ALL in args.experiments)
    before = _before(args, begun)
    doubtful = _conclude(out, [*before, *begun])
    if not args.no_plot:
        for done in begun:
            plot.draw(done.path, out)
    return errors.EXIT_DOUBTFUL if doubtful else errors.EXIT_OK


def _before(args: argparse.Namespace, done: Sequence[store.Run]) -> list[store.Run]:
    """Where all claims were resumed: those that had ended before, which the table has, too."""
    if args.resume is None or args.experiments != [textbook.ALL] or not done:
        return []
    paths = {run.path.resolve() for run in done}
    others = [path for path in textbook.session_of(done[0].path) if path.resolve() not in paths]
    return [store.Run.open(path, whole=True) for path in others]


def _progress(out: Console) -> runner.Progress:
    if out.is_terminal:
        return console.Bar(out)
    return console.Lines()


def _one(
    assignment: Assignment, bench: Bench, progress: runner.Progress, begun: list[store.Run]
) -> None:
    done = assignment.resumed or runner.create(assignment.request, bench)
    begun.append(done)
    runner.prepare(done, assignment.request, bench, progress)
    duels = levels.Levels(assignment.request, bench, progress)
    runner.carry_on(done, bench, progress, duels)


def _same_as_before(assignment: Assignment, bench: Bench) -> None:
    """UsageError where an interrupted run would go on under other conditions than it began with."""
    old = assignment.resumed
    if old is None:
        return
    now = {
        **runner.surroundings(bench, assignment.request.placement),
        "binaries": runner.binaries(assignment.request.models, bench.loadgen),
    }
    found = runner.differences(old.meta, now)
    if found:
        raise errors.UsageError(
            "--resume",
            old.path,
            f"it began under other conditions ({'; '.join(found)}):"
            " restore them, or start a new run",
        )


def _requested(args: argparse.Namespace, results: Path) -> list[Assignment]:
    names = textbook.expanded(args.experiments)
    textbook.refuse(args)
    profile = "default" if args.profile is None else args.profile
    if profile not in experiment.PROFILES:
        allowed = ", ".join(experiment.PROFILES)
        raise errors.UsageError("--profile", profile, f"known profiles: {allowed}")
    placement = "split" if args.placement is None else args.placement
    if placement not in PLACEMENTS:
        raise errors.UsageError("--placement", placement, f"allowed: {', '.join(PLACEMENTS)}")
    if results.exists() and not results.is_dir():
        raise errors.UsageError("--out", results, "it must be a directory, or not exist yet")
    session = f"{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
    seed = DEFAULT_SEED if args.seed is None else args.seed
    catalogue = models.discover()
    return [
        Assignment(_request(one, catalogue, args, profile, seed, placement, results, session))
        for one in [experiment.load(name) for name in names]
    ]


def _request(
    one: experiment.Experiment,
    catalogue: Sequence[Model],
    args: argparse.Namespace,
    profile: str,
    seed: int,
    placement: str,
    results: Path,
    session: str,
) -> runner.Request:
    """A new run of one experiment, with the models of the command line or its own."""
    wanted = args.models
    if wanted is None and one.models:
        wanted = ",".join(one.models)
    selected = models.choose(catalogue, wanted)
    selected = [*selected, *_also(args.also, [model.name for model in selected])]
    chosen = one.profiles[profile]
    return runner.Request(one, chosen, selected, seed, placement, results, session)


def _also(texts: Sequence[str], taken: Sequence[str]) -> list[Model]:
    """Servers that run already, as models of the names they are given."""
    found: list[Model] = []
    for text in texts:
        name, _, url = text.partition("=")
        allowed = (
            "NAME=URL or NAME=URL,pid=N, with a name of letters, digits, _ and - that no model has"
        )
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,40}", name) or not url:
            raise errors.UsageError("--also", text, allowed)
        if name in [*taken, *(model.name for model in found)]:
            raise errors.UsageError("--also", text, allowed)
        one = guest.parse_foreign(f"url={url}", "--also")
        assert one is not None
        model = models.describe_foreign(replace(one, name=name))
        if model.is_unseen:
            complain(
                f"{name}: which process listens there cannot be seen, so its CPU time and memory"
                " are not known; add ,pid=N if you know it"
            )
        found.append(model)
    return found


def _resumed(
    args: argparse.Namespace, results: Path, locks: contextlib.ExitStack
) -> list[Assignment]:
    rest = args.experiments == [textbook.ALL]
    for option, value in (
        ("EXPERIMENT", None if rest else " ".join(args.experiments) or None),
        ("--profile", args.profile),
        ("--models", args.models),
        ("--also", " ".join(args.also) or None),
        ("--seed", args.seed),
        ("--placement", args.placement),
    ):
        if value is not None:
            raise errors.UsageError(option, value, "with --resume the run itself says this")
    catalogue = {model.name: model for model in models.discover()}
    assignments = []
    found = store.find(args.resume, results)
    if rest:
        found = textbook.session_of(found[-1])
    for path in found:
        old = store.Run.open(path, whole=True)
        if old.meta["complete"]:
            continue
        old.check_resumable()
        old.lock()
        locks.callback(old.unlock)
        old.reload()
        meta = old.meta
        unknown = [name for name in meta["models"] if name not in catalogue]
        catalogue.update((model.name, model) for model in models.guests(unknown))
        chosen = _chosen_before(meta, catalogue)
        one = experiment.of(old)
        request = runner.Request(
            one,
            _profile(one, str(meta["profile"]), path),
            chosen,
            int(meta["seed"]),
            meta["placement"]["wanted"],
            results,
            meta["session"],
        )
        assignments.append(Assignment(request, old))
    if rest:
        assignments += _not_begun(args, found, results)
    if not assignments:
        raise errors.UsageError("--resume", args.resume, "this run is complete already")
    return assignments


def _chosen_before(meta: Mapping[str, Any], catalogue: Mapping[str, Model]) -> list[Model]:
    """The models of an interrupted run, as they are now. SetupError where one is gone or stale."""
    plain = list(catalogue.values())
    found: dict[str, Model | None] = {}
    for name, told in meta["models"].items():
        found[name] = catalogue.get(name)
        if found[name] is None:
            found[name] = attached.again(name, told, meta["binaries"].get(name, ""))
        if found[name] is None and name.split()[0] in [m.name for m in plain if not m.words]:
            found[name] = models.set_up(plain, name, "--resume")
    if gone := [name for name, model in found.items() if model is None]:
        raise errors.SetupError(
            f"--resume: the run has {', '.join(gone)}: run `make` first, or start a new run"
        )
    chosen = [model for model in found.values() if model is not None]
    models.refuse_stale(chosen)
    return chosen


def _not_begun(args: argparse.Namespace, begun: Sequence[Path], results: Path) -> list[Assignment]:
    """The claims that a session of all claims had not come to, as it would have measured them."""
    old = [store.Run.open(path, whole=True) for path in begun]
    there, meta = {run.experiment_name for run in old}, old[-1].meta
    catalogue = models.discover()
    wanted, seed = str(meta["placement"]["wanted"]), int(meta["seed"])
    return [
        Assignment(
            _request(
                *(experiment.load(name), catalogue, args, str(meta["profile"]), seed),
                *(wanted, results, str(meta["session"])),
            )
        )
        for name in experiment.textbook_claims()
        if name not in there
    ]


def _profile(one: experiment.Experiment, name: str, path: Path) -> experiment.Profile:
    if name not in one.profiles:
        raise errors.UsageError("RUN", path, f"its run.json is damaged: no profile '{name}'")
    return one.profiles[name]


def _announce(out: Console, assignments: Sequence[Assignment]) -> None:
    total = 0.0
    for assignment in assignments:
        seconds = runner.estimate_s(assignment.request)
        total += seconds
        verb = "resuming" if assignment.resumed else "measuring"
        profile, name = assignment.request.profile, assignment.request.experiment.name
        out.print(
            f"{verb} [bold]{escape(name)}[/]: {len(assignment.request.models)} models,"
            f" profile {profile.name}, {profile.min_replicates} to {profile.replicates} replicates,"
            f" about {wording.duration(seconds)}",
            soft_wrap=True,
        )
    if len(assignments) > 1:
        out.print(f"about {wording.duration(total)} in all")


def _check(out: Console, assignments: Sequence[Assignment], timed_all_the_same: bool) -> None:
    """SetupError unless every model that can run here answers correctly, and at least one can."""
    chosen = {
        model.name: model for assignment in assignments for model in assignment.request.models
    }
    protocols = {assignment.request.experiment.base.protocol for assignment in assignments}
    why_not = {
        name: why for name, model in chosen.items() if (why := _why_not(model, sorted(protocols)))
    }
    if len(why_not) == len(chosen):
        reasons = "; ".join(f"{name}: {why}" for name, why in why_not.items())
        raise errors.SetupError(f"no model can run here, so nothing was measured: {reasons}")
    if timed_all_the_same:
        return
    failures = conformance.gate(list(chosen.values()), sorted(protocols))
    if failures:
        for failure in failures:
            complain(str(failure))
        raise errors.SetupError(
            f"{len(failures)} checks failed, so nothing was timed"
            " (harness/tenk check says more; --no-check times them all the same)"
        )
    said = "every model answers correctly"
    if why_not:
        said = f"every model that can run here answers correctly (not: {', '.join(why_not)})"
    out.print(escape(said), style="dim")


def _why_not(model: Model, protocols: Sequence[str]) -> str:
    """Why a model can do none of these protocols here, or ''."""
    reasons = [model.why_not(protocol, 1) for protocol in protocols]
    return "" if "" in reasons else reasons[0]


def _conclude(out: Console, finished: Sequence[store.Run]) -> bool:
    """Write what the runs amount to, and print it: the answer first, then the tables, last where it
    all is. True when a cell failed or is void."""
    found = [conclusion.of_run(done) for done in finished]
    for done, one in zip(finished, found):
        for name, text in one.files():
            store.write_atomically(done.path / name, text)
    if len(found) > 1 and all(one.experiment.textbook is not None for one in found):
        return _conclude_claims(out, finished, found)
    console.print_answer(out, found)
    for done, one in zip(finished, found):
        console.print_summary(out, one, wording.run_note(done.meta))
        console.print_claims(out, one.verdicts)
        if one.settled is not None:
            console.print_settled(out, [one.settled])
    cells = [[cell for group in one.groups for cell in group.cells] for one in found]
    for done, one, some in zip(finished, found, cells):
        count = len(one.duels)
        also = f", {count} level{'s' if count > 1 else ''} compared" if count else ""
        out.print(f"{len(some)} cells{also} in {escape(str(done.path))}", soft_wrap=True)
    return any(cell.status in ("failed", "void") for some in cells for cell in some)


def _conclude_claims(
    out: Console, finished: Sequence[store.Run], found: Sequence[conclusion.Conclusion]
) -> bool:
    """Of several claims of the textbooks: one table, and where each run is. As _conclude."""
    for done, one in zip(finished, found):
        bad = [c for g in one.groups for c in g.cells if c.status in ("failed", "void")]
        said = f", {len(bad)} cells failed or void" if bad else ""
        out.print(f"{escape(one.experiment.name)}: {escape(str(done.path))}{said}", soft_wrap=True)
    console.print_settled(out, [one.settled for one in found if one.settled is not None])
    groups = [group for one in found for group in one.groups]
    return any(cell.status in ("failed", "void") for group in groups for cell in group.cells)


def _stopped(
    out: Console, begun: Sequence[store.Run], reason: BaseException, every_claim: bool
) -> int:
    """Say what there is so far, and how to go on; then the reason's own status. every_claim:
    textbook.ALL was asked for, so that there may be more to do than these."""
    with contextlib.suppress(OSError, OutputError):  # of the same cause, most likely
        _conclude(out, [done for done in begun if any((done.path / "cells").glob("*.json"))])
    unfinished = [done.path for done in begun if not done.meta["complete"]]
    if every_claim and begun:  # there may be others, not begun: any run names the session
        unfinished = unfinished or [begun[-1].path]
    again = f"{textbook.ALL} " if every_claim else ""
    if isinstance(reason, KeyboardInterrupt):
        complain("interrupted; what was measured is kept")
        for path in unfinished:
            complain(f"go on with: harness/tenk run {again}--resume {path}")
            complain(f"plot it with: harness/tenk plot {path}")
        return errors.EXIT_INTERRUPTED
    assert isinstance(reason, errors.TenkError)
    hints = [f"go on with: harness/tenk run {again}--resume {path}" for path in unfinished]
    kept = ["what was measured is kept"] if begun else []
    complain("; ".join([str(reason), *kept, *hints]))
    return reason.status


def _seed(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > MAX_SEED:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not allowed; a whole number from 0 to {MAX_SEED}"
        )
    return int(text)
