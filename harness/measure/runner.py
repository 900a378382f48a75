# SPDX-License-Identifier: MIT
"""Run an experiment: plan it, work through its blocks, write each cell as it ends."""
from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Protocol

from harness.design import experiment as experiments
from harness.design.compare import Level
from harness.design import plan, reach, selection
from harness.measure import attached, callnames, host, interrupt, meter, syscalls
from harness.measure.cell import Bench, Outcome, measure, server_command, warmed_up
from harness.errors import HostFault, SetupError
from harness.design.experiment import Experiment, Profile
from harness.design.model import Model
from harness.measure.models import fingerprint, started_with
from harness.design.load import PLACEMENTS
from harness.measure.placement import place
from harness.measure.reach import machine
from harness.design.plan import Setting
from harness.store import USABLE, CellRecord, Run

PILOT_WARMUP_S = 0.1
# In a cell's timing: the warm-up in seconds, if its window was moved; and the most that may be.
MOVED = "moved_warmup_s"
WARMUP_MOST_S = 60.0
# Of a duel's own pilot, in which each model is started twice.
PILOT_S_PER_MODEL = 0.7


class Levels(Protocol):
    """Measures all models of a run together and in turns at one level."""

    def compare(self, run: Run, level: Level) -> None:
        """Measure that level, and keep what came out in the run."""


class Progress(Protocol):
    """Told what happens; must not use the CPU while a cell is measured."""

    def begin(self, title: str, cells: int, seconds: float) -> None:
        """A run of about so many cells and seconds begins."""

    def cell(self, what: str) -> None:
        """A cell is about to be measured."""

    def advance(self, record: CellRecord, cells: int, seconds_left: float) -> None:
        """A cell was recorded; this run now expects so many cells in all, and seconds to go."""

    def end(self) -> None:
        """The run is over, complete or not."""


@dataclass(frozen=True)
class Request:
    """What the command line asked for."""

    experiment: Experiment
    profile: Profile
    models: Sequence[Model]
    seed: int
    placement: str
    results: Path
    session: str


def make_bench(
    models: Sequence[Model], loadgen: Path, placement: str, seed: int, by_name: bool = False
) -> Bench:
    """What all cells share; probes this machine's control groups. by_name: system calls are to be
    told by name."""
    placements = {name: place(name) for name in PLACEMENTS}
    placements[""] = placements[placement]
    commands = {model.name: server_command(model.argv) for model in models}
    try:
        tracepoint: int | None = syscalls.probe()
    except syscalls.Unavailable:
        tracepoint = None
    points = None
    with contextlib.suppress(syscalls.Unavailable):
        points = callnames.probe() if by_name else None
    sources = meter.probe()
    offered = options_of(loadgen)
    return Bench(
        commands,
        loadgen,
        placements,
        sources,
        seed,
        prime="--prime" in offered,
        tracepoint=tracepoint,
        points=points,
        edges="--server-cpu" in offered,
    )


def pilot_cells(request: Request, model: Model, pilot_s: float) -> Setting:
    """A short closed-loop cell, whose throughput is the model's capacity for this load."""
    load = replace(request.experiment.base, loop="closed", offered_rps=0.0)
    clamped, _ = plan.clamp(load, model)
    return Setting(model.name, {}, clamped, pilot_s, PILOT_WARMUP_S)


def estimate_s(request: Request, capacities: Mapping[str, float] | None = None) -> float:
    """Expected length of a run in seconds, pilots included; before the pilots ran, as if every
    model used two thirds of the grid."""
    profile = request.profile
    bounds = reach.bounds(machine())
    if profile.grid is None:
        settings = plan.settings(
            request.experiment,
            profile,
            request.models,
            {},
            started_with=started_with,
            bounds=bounds,
        )
        pilots = 0.0
    else:
        points = profile.grid.points()
        guess = points[len(points) * 2 // 3] if len(points) > 1 else points[0]
        known = capacities or {model.name: guess for model in request.models}
        settings = plan.settings(
            request.experiment,
            profile,
            request.models,
            known,
            started_with=started_with,
            bounds=bounds,
        )
        pilot = profile.grid.pilot_s + PILOT_WARMUP_S + plan.OVERHEAD_S
        pilots = 0.0 if capacities else pilot * len(request.models)
    blocks = plan.expected_blocks(settings, profile, pilots)
    compared = sum(
        level.seconds + _duel_pilot_s(request, level)
        for level in levels(request.experiment, profile)
    )
    return pilots + plan.expected_s(settings, profile, blocks) + compared


def _duel_pilot_s(request: Request, level: Level) -> float:
    """How long the pilot of a duel takes, about: before it, too, every server of the level is
    started, connected to, and given three short turns."""
    load = replace(request.experiment.base, **level.factors)
    models = (started_with(m, load.server) for m in request.models)
    able = sum(not m.why_not(load.protocol, load.served) for m in models)
    per_pass = load.connections * plan.PASS_PER_CONNECTION_S
    return able * (
        PILOT_S_PER_MODEL + load.all_connections * plan.OVERHEAD_PER_CONNECTION_S + 10 * per_pass
    )


def levels(experiment: Experiment, profile: Profile) -> tuple[Level, ...]:
    """Where this profile of the experiment compares its models together and in turns."""
    return experiment.compare.levels.get(profile.name, ())


def start(request: Request, bench: Bench, progress: Progress) -> Run:
    """Create the run directory, locked, and plan the run."""
    run = create(request, bench)
    prepare(run, request, bench, progress)
    return run


def create(request: Request, bench: Bench) -> Run:
    """Create the run directory, locked: run.json says what will be measured, and on what."""
    git = host.git_state()
    utc = datetime.now(timezone.utc)
    experiment = request.experiment
    name = f"{utc:%Y%m%dT%H%M%SZ}-{git['commit']}"
    run = Run.create(
        request.results / host.machine_name() / experiment.name / name,
        {
            "session": request.session,
            "experiment": experiment.raw,
            "profile": request.profile.name,
            "seed": request.seed,
            **surroundings(bench, request.placement),
            "git": git,
            "models": {
                m.name: {**m.describe, "unavailable": m.unavailable, **_called(m)}
                for m in request.models
            },
            "sets": {name: list(models) for name, models in selection.sets().items()},
            "binaries": binaries(request.models, bench.loadgen),
            "started": utc.isoformat(timespec="seconds"),
            "ended": None,
            "plan": None,
        },
    )
    with _kept(run):
        run.lock()
    return run


def _called(model: Model) -> dict[str, str]:
    """How somebody else's server was called, so that the run can be resumed."""
    return {"called": model.called} if model.called else {}


def surroundings(bench: Bench, wanted: str) -> dict[str, Any]:
    """Where the cells of a run are measured, and how: a run is resumed with the same only."""
    placement = bench.placements[""]
    return {
        # Not the CPUs of the harness alone, which confines itself to the client's.
        "host": {**host.describe(), "cpus_allowed": list(bench.placements["shared"].server)},
        "placement": {
            "wanted": wanted,
            "name": placement.name,
            "server_cpus": list(placement.server),
            "client_cpus": list(placement.client),
            "note": placement.note,
        },
        "sources": {
            "cpu": bench.sources.cpu_name,
            "memory": bench.sources.memory_name,
            "syscalls": "raw_syscalls:sys_enter" if bench.tracepoint is not None else None,
        },
    }


# Of the host, what a number may depend on; the rest (load average, Python) is for people.
_HOST_KEYS = (
    "machine",
    "architecture",
    "cpu",
    "kernel",
    "cpus_online",
    "cpus_allowed",
    "memory_bytes",
    "governor",
    "clocksource",
    "mitigations",
    "descriptor_limit",
    "somaxconn",
    "netdev_max_backlog",
    "tcp_congestion_control",
)


def differences(meta: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Why a run is not to be resumed: what of its `surroundings` and `binaries` is different now.

    A thing of which run.json does not speak (an older run's) is not compared.
    """
    pairs: list[tuple[str, Any, Any]] = []
    for key in ("name", "server_cpus", "client_cpus"):
        pairs.append((f"placement {key}", meta["placement"].get(key), now["placement"][key]))
    for key in _HOST_KEYS:
        if key in meta["host"]:
            pairs.append((f"host {key}", meta["host"][key], now["host"].get(key)))
    for key, value in now["sources"].items():
        if key in meta["sources"]:
            pairs.append((f"source of {key}", meta["sources"][key], value))
    for key, value in now["binaries"].items():
        pairs.append((_binary(key, meta), meta["binaries"].get(key), value))
    return [
        f"{what}: {_short(then)} then, {_short(is_now)} now"
        for what, then, is_now in pairs
        if then != is_now
    ]


def _binary(name: str, meta: Mapping[str, Any]) -> str:
    """What is different where the identity of a server, or of the load generator, is."""
    told = meta.get("models", {}).get(name, {}).get("guest") or {}
    return f"server {name}" if told else f"binary {name} (rebuilt since)"


def _short(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def prepare(run: Run, request: Request, bench: Bench, progress: Progress) -> None:
    """Run the pilots if the profile has a grid, and fix the plan; nothing where there is a plan."""
    if run.meta.get("plan") is not None:
        return
    capacities = {}
    if request.profile.grid is not None:
        capacities = _pilots(request, bench, run, progress)
    settings = plan.settings(
        request.experiment,
        request.profile,
        request.models,
        capacities,
        started_with=started_with,
        bounds=reach.bounds(machine()),
    )
    with _kept(run):
        run.update(capacities_rps=capacities, plan=[setting.to_json() for setting in settings])


@contextlib.contextmanager
def _kept(run: Run) -> Iterator[None]:
    """What cannot be written into the run is the machine's fault: HostFault."""
    try:
        yield
    except OSError as error:
        raise HostFault(f"cannot write {run.path}: {error.strerror}") from None


def carry_on(run: Run, bench: Bench, progress: Progress, duels: Levels | None = None) -> bool:
    """Measure every cell of the run that is not there yet, and the duel of each level that has one,
    right after the level's cells. True when the run is complete.

    KeyboardInterrupt and HostFault pass through; everything recorded until then stays, and nothing
    is recorded of the cell in which they come.
    """
    experiment = experiments.of(run)
    profile = experiment.profiles[run.meta["profile"]]
    try:
        settings = [Setting.from_json(document) for document in run.meta["plan"]]
    except ValueError as error:
        raise SetupError(f"{run.path}: its plan in run.json is damaged: {error}") from None
    for index, setting in enumerate(s for s in settings if s.unsupported):
        record = _record(experiment, setting, 0, 0, index, Outcome("unsupported"))
        with _kept(run):
            run.write(replace(record, reason=setting.unsupported, badges=setting.badges))
    able = [setting for setting in settings if not setting.unsupported]
    wanted = [one for one in levels(experiment, profile) if duels and not run.has_duel(one.factors)]
    pace = _Pace(able, profile, sum(one.seconds for one in wanted))
    run.sweep()
    once = {c.id for c in run.cells() if c.timing.get("cell_s", 0.0) > profile.once_above_s}
    moved = {
        replace(c, replicate=0).id: float(c.timing[MOVED]) for c in run.cells() if MOVED in c.timing
    }
    progress.begin(experiment.name, pace.cells, pace.seconds_left())
    try:
        block = 0
        while able and plan.another_block(block, pace.elapsed, pace.last_block, profile):
            for level in _block(run, experiment, able, block, bench, pace, progress, once, moved):
                _compare(run, [one for one in wanted if one.factors == level], duels, pace)
                wanted = [one for one in wanted if one.factors != level]
            block += 1
        _compare(run, wanted, duels, pace)
    finally:
        progress.end()
    with _kept(run):
        run.update(
            complete=True,
            blocks=block,
            ended=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        )
    return True


def _compare(run: Run, wanted: Sequence[Level], duels: Levels | None, pace: "_Pace") -> None:
    """The duels of these levels."""
    for level in wanted:
        assert duels is not None
        began = time.monotonic()
        with _kept(run):
            duels.compare(run, level)
        pace.compared(time.monotonic() - began, level.seconds)


def options_of(loadgen: Path) -> frozenset[str]:
    """The words of what this load generator says of its options."""
    try:
        said = subprocess.run(
            [str(loadgen), "--help"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SetupError(f"{loadgen} --help: {error}: run `make` first") from None
    return frozenset(said.stdout.split())


def binaries(models: Sequence[Model], loadgen: Path) -> dict[str, str]:
    """Fingerprints of what is measured: a run may only be resumed with the same."""
    found = {model.name: attached.identity(model) for model in models}
    return {**found, "loadgen": fingerprint(loadgen)}


def _block(
    run: Run,
    experiment: Experiment,
    settings: Sequence[Setting],
    block: int,
    bench: Bench,
    pace: "_Pace",
    progress: Progress,
    once: set[str],
    moved: dict[str, float],
) -> Iterator[Mapping[str, Any]]:
    """Measure what is missing of one block; yields each level when its cells are done. once: first
    replicates that took too long to have another; moved: the warm-up of those whose window was
    moved. This block adds to both."""
    profile = experiment.profiles[run.meta["profile"]]
    began = pace.elapsed
    only_now_s = 0.0  # spent on cells that the next block will leave out
    pace.block_begins()
    before: Mapping[str, Any] | None = None
    for order, setting in enumerate(plan.block_order(settings, bench.seed, block)):
        if before is not None and setting.factors != before:
            yield before
        before = setting.factors
        blank = _record(experiment, setting, block, block, order, Outcome("failed"))
        if run.has(blank.id) or replace(blank, replicate=0).id in once:
            pace.skip(setting)
            continue
        interrupt.check()
        progress.cell(f"{setting.model} {describe_levels(setting.factors)}")
        scratch = run.path / "cells" / f".{blank.id}"
        cell_seed = 1 + (bench.seed * 1_000_003 + block * 1009 + order) % 2_000_000_000
        first = replace(blank, replicate=0).id
        budget_s = profile.budget_s - pace.elapsed
        outcome, took_s = _settled(setting, bench, cell_seed, scratch, moved.get(first), budget_s)
        if MOVED in outcome.timing:
            moved[first] = outcome.timing[MOVED]
        cell_s = float(outcome.timing["cell_s"])
        if cell_s > profile.once_above_s:
            once.add(first)
            outcome.badges += (f"measured once, because it takes over {profile.once_above_s:g} s",)
            only_now_s += cell_s
        record = _record(experiment, setting, block, block, order, outcome)
        with _kept(run):
            _keep_spectrum(run, blank.id, scratch, outcome)
            run.write(record)
        pace.took(setting, took_s)
        progress.advance(record, pace.cells, pace.seconds_left())
    if before is not None:
        yield before
    pace.block_done(pace.elapsed - began - only_now_s)


def _settled(
    setting: Setting,
    bench: Bench,
    seed: int,
    scratch: Path,
    moved_s: float | None,
    budget_s: float,
) -> tuple[Outcome, float]:
    """Measure a cell, and how many seconds that took. Where the rate had not settled, once more,
    its window moved: with a warm-up longer by the window that was too early, and at least twice
    as long. Not where the budget does not hold it, nor where it was moved for an earlier replicate
    (moved_s: that warm-up); then it keeps what it has."""
    if moved_s is not None:
        outcome = _measured(replace(setting, warmup=moved_s), bench, seed, scratch)
        outcome.timing[MOVED] = moved_s
        return outcome, float(outcome.timing["cell_s"])
    outcome = _measured(setting, bench, seed, scratch)
    first_s = float(outcome.timing["cell_s"])
    usable = outcome.status in USABLE and not setting.load.freeze_ms
    if bench.unsettled is None or not usable or not bench.unsettled(outcome.client):
        return outcome, first_s
    warmup = warmed_up(setting, outcome.client)
    longer = min(WARMUP_MOST_S, warmup + max(warmup, setting.seconds))
    if first_s + longer > budget_s:
        return outcome, first_s
    outcome = _measured(replace(setting, warmup=longer), bench, seed, scratch)
    outcome.timing[MOVED] = longer
    return outcome, first_s + float(outcome.timing["cell_s"])


def _measured(setting: Setting, bench: Bench, seed: int, scratch: Path) -> Outcome:
    """measure(), where a HostFault names the cell and leaves no file of it."""
    try:
        return measure(setting, bench, seed, scratch)
    except HostFault as error:
        for left in scratch.parent.glob(f"{scratch.name}.*"):
            left.unlink(missing_ok=True)
        where = f"{setting.model} {describe_levels(setting.factors)}".rstrip()
        raise HostFault(f"{where}: {error}") from None


def _keep_spectrum(run: Run, stem: str, scratch: Path, outcome: Outcome) -> None:
    spectrum = scratch.with_name(scratch.name + ".hgrm")
    if spectrum.exists():
        if outcome.status == "failed":
            spectrum.unlink()
        else:
            spectrum.rename(run.cell_path(stem, ".hgrm"))


def _pilots(request: Request, bench: Bench, run: Run, progress: Progress) -> dict[str, float]:
    grid = request.profile.grid
    assert grid is not None
    base = request.experiment.base
    told = {m.name: started_with(m, base.server) for m in request.models}
    able = [m for m in request.models if not told[m.name].why_not(base.protocol, 1)]
    capacities: dict[str, float] = {}
    for model in able:
        progress.cell(f"capacity of {model.name}")
        setting = pilot_cells(request, model, grid.pilot_s)
        scratch = run.path / "cells" / f".pilot-{model.name}"
        outcome = _measured(setting, bench, bench.seed + 1, scratch)
        scratch.with_name(scratch.name + ".hgrm").unlink(missing_ok=True)
        achieved = outcome.metrics.get("throughput_rps", 0.0)
        if achieved > 0:
            capacities[model.name] = round(achieved, 1)
    return capacities


def _record(
    experiment: Experiment,
    setting: Setting,
    replicate: int,
    block: int,
    order: int,
    outcome: Outcome,
) -> CellRecord:
    return CellRecord(
        experiment=experiment.name,
        model=setting.model,
        factors=dict(setting.factors),
        replicate=replicate,
        block=block,
        order=order,
        status=outcome.status,
        reason=outcome.reason,
        badges=outcome.badges,
        metrics=outcome.metrics,
        server=outcome.server,
        client=outcome.client,
        timing=outcome.timing,
        machine=outcome.machine,
    )


def describe_levels(factors: Mapping[str, Any]) -> str:
    return " ".join(
        f"{name}={value:g}" if isinstance(value, (int, float)) else f"{name}={value}"
        for name, value in factors.items()
    )


class _Pace:
    """How long cells really take, against what was expected: for the time left and the budget.

    Duels take the time that the experiment gives them, which is not the cells'.
    """

    def __init__(self, settings: Sequence[Setting], profile: Profile, duels_s: float = 0.0) -> None:
        self._profile = profile
        self._duels_left = duels_s
        self._aside = 0.0  # spent on duels
        self._block_s = plan.expected_block_s(settings)
        self._cells_per_block = len(settings)
        self._began = time.monotonic()
        self._expected_done = 0.0  # expected seconds of the cells measured here
        self._actual_done = 0.0
        self._passed = 0.0  # expected seconds of all cells passed, skipped ones included
        self._begun = 0
        self.last_block = self._block_s

    @property
    def elapsed(self) -> float:
        """Seconds spent on cells."""
        return time.monotonic() - self._began - self._aside

    @property
    def _factor(self) -> float:
        return self._actual_done / self._expected_done if self._expected_done > 5 else 1.0

    @property
    def _blocks(self) -> int:
        if self._block_s <= 0:
            return 0
        fit = int(self._profile.budget_s // (self._block_s * self._factor))
        least = max(self._profile.min_replicates, self._begun)
        return max(least, min(self._profile.replicates, fit))

    @property
    def cells(self) -> int:
        return self._blocks * self._cells_per_block

    def seconds_left(self) -> float:
        cells = max(0.0, (self._blocks * self._block_s - self._passed) * self._factor)
        return cells + self._duels_left

    def compared(self, seconds: float, expected: float) -> None:
        """A duel took so long."""
        self._aside += seconds
        self._duels_left = max(0.0, self._duels_left - expected)

    def block_begins(self) -> None:
        self._begun += 1

    def skip(self, setting: Setting) -> None:
        self._passed += setting.expected_s

    def took(self, setting: Setting, seconds: float) -> None:
        self._passed += setting.expected_s
        self._expected_done += setting.expected_s
        self._actual_done += seconds

    def block_done(self, seconds: float) -> None:
        # A block that was read from an earlier run costs nothing and says nothing.
        if seconds > 0.5 * self._block_s * self._factor:
            self.last_block = seconds
