# SPDX-License-Identifier: MIT
"""`tenk run` of an evidence run: duels whose answer is known. No subcommand itself."""
from __future__ import annotations

import argparse
import os
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from harness import errors, store
from harness.design import evidence as design
from harness.design.evidence import Evidence, Profile, Series
from harness.design.experiment import PROFILES
from harness.design.load import PLACEMENTS
from harness.design.model import Model
from harness.judge import evidence as judge
from harness.judge.evidence import Row
from harness.judge.standings import Setup
from harness.measure import duel_log, evidence, evidence_log, host, meter, models, runner
from harness.measure.evidence import Findings
from harness.measure.placement import Placement, place
from harness.measure.staging import Bench
from harness.output import OutputError, complain
from harness.paths import loadgen_path, results_dir
from harness.present import evidence as present
from harness.present import wording
from harness.present.duel import progress

DEFAULT_SEED = 1
SAY_EVERY_S = 10.0


def available() -> list[str]:
    """The names that `tenk run` takes for evidence."""
    return design.available(design.FOLDER)


def named(names: Sequence[str]) -> bool:
    """Whether an evidence run is asked for."""
    return bool(set(names) & set(available()))


def run(args: argparse.Namespace, out: Console) -> int:
    """Measure what is named, one after the other. 3: something could not be measured, or more
    duels were wrong than chance explains; 130: interrupted, what was measured is kept."""
    _refuse(args)
    name = "default" if args.profile is None else args.profile
    if name not in PROFILES:
        raise errors.UsageError("--profile", name, f"known profiles: {', '.join(PROFILES)}")
    wanted = "split" if args.placement is None else args.placement
    if wanted not in PLACEMENTS:
        raise errors.UsageError("--placement", wanted, f"allowed: {', '.join(PLACEMENTS)}")
    chosen = [design.load(one, design.FOLDER) for one in dict.fromkeys(args.experiments)]
    seed = DEFAULT_SEED if args.seed is None else args.seed
    results = results_dir() if args.out is None else args.out
    grounds = [_ground(one, one.profiles[name].narrowed(args.only), wanted, seed) for one in chosen]
    statuses = []
    for ground in grounds:
        began = datetime.now(timezone.utc)
        stamp = f"{began:%Y%m%dT%H%M%SZ}-{host.git_state()['commit']}"
        folder = store.new_folder(results / host.machine_name() / ground.asked.name / stamp)
        with store.held(folder):
            statuses.append(_one(ground, folder, Findings(), began, out))
    return max(statuses)


def resumes(args: argparse.Namespace) -> Path | None:
    """The evidence run that `--resume` means: its folder, or the newest one of that name; None
    where it means none, but perhaps a run of another kind."""
    if args.resume is None or args.experiments:
        return None
    if (Path(args.resume) / evidence_log.DOCUMENT).exists():
        return Path(args.resume)
    if args.resume not in available():
        return None
    results: Path = results_dir() if args.out is None else args.out
    found = sorted(
        results.glob(f"*/{args.resume}/*/{evidence_log.DOCUMENT}"), key=lambda p: p.parent.name
    )
    if not found:
        raise errors.UsageError("--resume", args.resume, f"there is no run of it in {results}")
    return found[-1].parent


def resume(args: argparse.Namespace, folder: Path, out: Console) -> int:
    """Go on with an interrupted one; the status is that of `run`."""
    given = [
        ("--profile", args.profile),
        ("--seed", args.seed),
        ("--placement", args.placement),
        ("--only", " ".join(args.only) or None),
        *_unheeded(args),
    ]
    for option, value in given:
        if value is not None:
            raise errors.UsageError(option, value, "with --resume the run itself says this")
    with store.held(folder):
        old = evidence_log.read(folder)
        asked = design.load(old.name, design.FOLDER)
        ground = _ground(asked, evidence_log.profile(old, asked), old.placement, old.seed)
        evidence_log.check(old, ground.profile, ground.conditions)
        return _one(ground, folder, old.findings, old.began, out)


@dataclass(frozen=True)
class _Ground:
    """Of what, on what and how one evidence run is measured. conditions: see
    `runner.differences`."""

    asked: Evidence
    profile: Profile
    model: Model
    bench: Bench
    seed: int
    conditions: dict[str, Any]


def _ground(asked: Evidence, profile: Profile, wanted: str, seed: int) -> _Ground:
    """Raises SetupError where something is not built."""
    loadgen = loadgen_path()
    if not os.access(loadgen, os.X_OK):
        raise errors.SetupError(f"no load generator at {loadgen}: run `make` first")
    catalogue = {model.name: model for model in models.discover()}
    if asked.reference not in catalogue:
        raise errors.SetupError(f"{asked.name}: no model {asked.reference}: run `make` first")
    model = catalogue[asked.reference]
    placement = place(wanted)
    if placement.note:
        complain(placement.note)
    bench = Bench(loadgen, placement, meter.probe(), host.available_bytes())
    conditions = {
        "host": host.describe(),
        "placement": {
            "wanted": wanted,
            "name": placement.name,
            "server_cpus": list(placement.server),
            "client_cpus": list(placement.client),
            "note": placement.note,
        },
        "sources": {"cpu": bench.sources.cpu_name},
        "binaries": runner.binaries([model], loadgen),
    }
    return _Ground(asked, profile, model, bench, seed, conditions)


def _refuse(args: argparse.Namespace) -> None:
    """Options and names that an evidence run would not heed."""
    for one in args.experiments:
        if one not in available():
            known = ", ".join(available())
            raise errors.UsageError("EXPERIMENT", one, f"beside evidence runs, only those: {known}")
    if args.resume is not None:
        why = "it says which run; name no EXPERIMENT beside it"
        raise errors.UsageError("--resume", args.resume, why)
    for option, value in _unheeded(args):
        if value is not None:
            raise errors.UsageError(option, value, "an evidence run does not take it")


def _unheeded(args: argparse.Namespace) -> list[tuple[str, object]]:
    return [
        ("--models", args.models),
        ("--also", " ".join(args.also) or None),
        ("--no-check", args.no_check or None),
        ("--no-plot", args.no_plot or None),
    ]


def _one(ground: _Ground, folder: Path, findings: Findings, began: datetime, out: Console) -> int:
    asked, profile, bench = ground.asked, ground.profile, ground.bench
    out.print(
        f"[bold]{escape(asked.name)}[/]: {len(profile.series())} kinds of duels,"
        f" profile {profile.name}, about {wording.duration(profile.estimate_s())}"
        + (f", of which {findings.runs} runs are there" if findings.runs else ""),
        soft_wrap=True,
    )
    everywhere = os.sched_getaffinity(0)
    stopped: BaseException | None = None
    os.sched_setaffinity(0, set(bench.placement.client))
    listener = _Listener(out, ground, folder, began)
    try:
        evidence.measure(asked, profile, ground.model, bench, ground.seed, findings, listener)
    except (KeyboardInterrupt, errors.HostFault, OutputError) as reason:
        stopped = reason
    finally:
        os.sched_setaffinity(0, everywhere)
    rows, page = _keep(ground, folder, findings, began)
    if isinstance(stopped, OutputError):
        raise stopped
    out.print(escape(page), soft_wrap=True)
    out.print(f"kept in {escape(str(folder))}", soft_wrap=True)
    if isinstance(stopped, errors.HostFault):
        raise stopped
    if stopped is not None:
        complain(f"interrupted; what was measured is kept: go on with --resume {folder}")
        return errors.EXIT_INTERRUPTED
    missed = any(judge.outcome(asked.asks, row, len(rows)) == judge.MISSED for row in rows)
    return errors.EXIT_DOUBTFUL if missed or findings.left_out else errors.EXIT_OK


def _setup(asked: Evidence, placement: Placement) -> Setup:
    return Setup(
        names=(asked.reference,),
        roles={},
        in_flight=asked.base.pipeline,
        workers=len(placement.client),
        own_cpus=placement.name == "split",
    )


def _notes(findings: Findings) -> list[str]:
    notes = [
        f"At {connections:,} connections, the neighbour had {100 * share:.0f} % of the {where}'s"
        " CPU."
        for (connections, where), share in findings.neighbours.items()
    ]
    for (connections, where), reason in findings.left_out.items():
        beside = "" if where == design.NONE else f" beside a neighbour on the {where}'s CPU"
        notes.append(f"Left out: {connections:,} connections{beside}: {reason}.")
    if not findings.ended:
        notes.append("Interrupted: there are fewer duels than the profile wants.")
    return notes


def _keep(
    ground: _Ground, folder: Path, findings: Findings, began: datetime
) -> tuple[list[Row], str]:
    """Write what is known so far; its rows, and the page."""
    asked, profile = ground.asked, ground.profile
    # In the profile's order; they were measured in random order.
    pieces = {s: found for s in profile.series() if (found := findings.pieces.get(s))}
    rows = judge.rows(pieces, profile.lengths, _setup(asked, ground.bench.placement))
    page = present.page(asked, profile, rows, _notes(findings))
    runs = {
        **evidence_log.runs(findings),
        "seed": ground.seed,
        "started": began.isoformat(timespec="seconds"),
        **ground.conditions,
        "git": host.git_state(),
        "model": {
            "name": asked.reference,
            "binary": models.fingerprint(ground.model.path),
            **ground.model.describe,
        },
    }
    # Nothing that is told of an evidence run is a percentile, and histograms take most of the room.
    kept = [
        replace(piece, slices=tuple(replace(one, histogram="") for one in piece.slices))
        for series in findings.pieces.values()
        for piece in series
    ]
    try:
        # The slices last: the document names the runs, and those it does not name are passed over.
        duel_log.write(folder / evidence_log.SLICES, kept)
        document = present.document(asked, profile, rows, runs)
        store.write_atomically(folder / evidence_log.DOCUMENT, store.to_json(document))
        store.write_atomically(folder / "summary.md", page)
    except OSError as error:
        raise errors.SetupError(f"cannot write {error.filename}: {error.strerror}") from None
    return rows, page


class _Listener:
    """A line at each level, and now and then one that says how far it is. What is measured at a
    level is kept when its last run is over."""

    def __init__(self, out: Console, ground: _Ground, folder: Path, began: datetime) -> None:
        self._out = out
        self._ground = ground
        self._folder = folder
        self._started = began
        self._setup = _setup(ground.asked, ground.bench.placement)
        self._seconds = ground.profile.estimate_s()
        self._began = self._said = time.monotonic()

    def stage(self, text: str) -> None:
        self._out.print(escape(text), style="dim")

    def run(self, one: Series, findings: Findings) -> Collection[int]:
        if time.monotonic() - self._said >= SAY_EVERY_S:
            self._said = time.monotonic()
            line = f"{progress(self._began, self._seconds)} · {findings.runs} runs"
            self._out.print(line, style="dim")
        return judge.starved_of(self._setup, findings.pieces, one)

    def group(self, findings: Findings) -> None:
        _keep(self._ground, self._folder, findings, self._started)
