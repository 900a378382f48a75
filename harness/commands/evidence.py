# SPDX-License-Identifier: MIT
"""`tenk run` of an evidence run: duels whose answer is known. No subcommand itself."""
from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from harness import errors, store
from harness.design import evidence as design
from harness.design.evidence import Evidence, Profile
from harness.design.experiment import PROFILES
from harness.design.load import PLACEMENTS
from harness.design.model import Model
from harness.judge import evidence as judge
from harness.judge.standings import Setup
from harness.measure import duel_log, evidence, host, meter, models
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
    if not os.access(loadgen_path(), os.X_OK):
        raise errors.SetupError(f"no load generator at {loadgen_path()}: run `make` first")
    catalogue = {model.name: model for model in models.discover()}
    for one in chosen:
        if one.reference not in catalogue:
            raise errors.SetupError(f"{one.name}: no model {one.reference}: run `make` first")
    placement = place(wanted)
    if placement.note:
        complain(placement.note)
    bench = Bench(loadgen_path(), placement, meter.probe(), host.available_bytes())
    seed = DEFAULT_SEED if args.seed is None else args.seed
    results = results_dir() if args.out is None else args.out
    statuses = [
        _one(one, one.profiles[name], catalogue[one.reference], bench, seed, results, out)
        for one in chosen
    ]
    return max(statuses)


def _refuse(args: argparse.Namespace) -> None:
    """Options and names that an evidence run would not heed."""
    for one in args.experiments:
        if one not in available():
            known = ", ".join(available())
            raise errors.UsageError("EXPERIMENT", one, f"beside evidence runs, only those: {known}")
    for option, value in (
        ("--models", args.models),
        ("--resume", args.resume),
        ("--no-check", args.no_check or None),
        ("--no-plot", args.no_plot or None),
    ):
        if value is not None:
            raise errors.UsageError(option, value, "an evidence run does not take it")


def _one(
    asked: Evidence,
    profile: Profile,
    model: Model,
    bench: Bench,
    seed: int,
    results: Path,
    out: Console,
) -> int:
    began = datetime.now(timezone.utc)
    commit = host.git_state()["commit"]
    name = f"{began:%Y%m%dT%H%M%SZ}-{commit}"
    folder = store.new_folder(results / host.machine_name() / asked.name / name)
    out.print(
        f"[bold]{escape(asked.name)}[/]: {len(profile.series())} kinds of duels,"
        f" profile {profile.name}, about {wording.duration(profile.estimate_s())}",
        soft_wrap=True,
    )
    findings = Findings()
    everywhere = os.sched_getaffinity(0)
    stopped: BaseException | None = None
    os.sched_setaffinity(0, set(bench.placement.client))
    try:
        evidence.measure(asked, profile, model, bench, seed, findings, _Listener(out, profile))
    except (KeyboardInterrupt, errors.HostFault, OutputError) as reason:
        stopped = reason
    finally:
        os.sched_setaffinity(0, everywhere)
    setup = _setup(asked, bench.placement)
    # In the profile's order; they were measured in random order.
    pieces = {s: findings.pieces[s] for s in profile.series() if s in findings.pieces}
    rows = judge.rows(pieces, profile.lengths, setup)
    notes = _notes(findings, stopped is not None)
    page = present.page(asked, profile, rows, notes)
    runs = _runs(asked, findings, bench.placement, model, seed, began)
    _keep(folder, page, present.document(asked, profile, rows, runs), findings)
    if isinstance(stopped, OutputError):
        raise stopped
    out.print(escape(page), soft_wrap=True)
    out.print(f"kept in {escape(str(folder))}", soft_wrap=True)
    if isinstance(stopped, errors.HostFault):
        raise stopped
    if stopped is not None:
        complain("interrupted; what was measured is kept")
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


def _notes(findings: Findings, interrupted: bool) -> list[str]:
    notes = [
        f"At {connections:,} connections, the neighbour had {100 * share:.0f} % of the {where}'s"
        " CPU."
        for (connections, where), share in findings.neighbours.items()
    ]
    for (connections, where), reason in findings.left_out.items():
        beside = "" if where == design.NONE else f" beside a neighbour on the {where}'s CPU"
        notes.append(f"Left out: {connections:,} connections{beside}: {reason}.")
    if interrupted:
        notes.append("Interrupted: there are fewer duels than the profile wants.")
    return notes


def _runs(
    asked: Evidence,
    findings: Findings,
    placement: Placement,
    model: Model,
    seed: int,
    began: datetime,
) -> dict[str, Any]:
    """Where each piece belongs, and on what it was measured."""
    return {
        "pieces": [
            {**vars(series), "runs": [piece.number for piece in pieces]}
            for series, pieces in findings.pieces.items()
        ],
        "left_out": [
            {"connections": c, "neighbour": n, "reason": reason}
            for (c, n), reason in findings.left_out.items()
        ],
        "neighbours": [
            {"connections": c, "neighbour": n, "cpu_share": share}
            for (c, n), share in findings.neighbours.items()
        ],
        "complete": findings.ended,
        "seed": seed,
        "placement": {"name": placement.name, "note": placement.note},
        "started": began.isoformat(timespec="seconds"),
        "host": host.describe(),
        "git": host.git_state(),
        "model": {
            "name": asked.reference,
            "binary": models.fingerprint(model.path),
            **model.describe,
        },
    }


def _keep(folder: Path, page: str, document: dict[str, Any], findings: Findings) -> None:
    # Nothing that is told of an evidence run is a percentile, and histograms take most of the room.
    pieces = [
        replace(piece, slices=tuple(replace(one, histogram="") for one in piece.slices))
        for series in findings.pieces.values()
        for piece in series
    ]
    try:
        store.write_atomically(folder / "summary.md", page)
        store.write_atomically(folder / "evidence.json", store.to_json(document))
        duel_log.write(folder / "slices.jsonl.gz", pieces)
    except OSError as error:
        raise errors.SetupError(f"cannot write {error.filename}: {error.strerror}") from None


class _Listener:
    """A line at each level, and now and then one that says how far it is."""

    def __init__(self, out: Console, profile: Profile) -> None:
        self._out = out
        self._seconds = profile.estimate_s()
        self._began = self._said = time.monotonic()

    def stage(self, text: str) -> None:
        self._out.print(escape(text), style="dim")

    def run(self, findings: Findings) -> None:
        if time.monotonic() - self._said < SAY_EVERY_S:
            return
        self._said = time.monotonic()
        runs = sum(map(len, findings.pieces.values()))
        self._out.print(f"{progress(self._began, self._seconds)} · {runs} runs", style="dim")
