# SPDX-License-Identifier: MIT
"""From an experiment to the settings that are run, and the order in which they are.

A setting is a model at one level of every factor. A block is one replicate of every setting, in
seeded random order, level by level: drift of the machine then hits every model alike, and stopping
after a whole block leaves every setting with the same number of replicates.
"""
from __future__ import annotations

import itertools
import random
import resource
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from harness.design.experiment import Experiment, Profile
from harness.design.load import Load, coerce
from harness.design import reach
from harness.design.model import KEEPS_BUSY, Model
from harness.design.reach import SPARE_DESCRIPTORS, Bound

# Time a cell takes beside warm-up and window, in seconds: two process starts, sampling, files,
# stop.
OVERHEAD_S = 0.15
# Connecting, the first request of each, and closing, per connection: the client paces set-up at
# 20,000/s; a model that makes a thread or process for each takes several times as long.
OVERHEAD_PER_CONNECTION_S = 2.0e-4
# One answer to each connection, per connection: at some 100,000 requests a second.
PASS_PER_CONNECTION_S = 1.0e-5


@dataclass(frozen=True)
class Setting:
    """What one cell runs, except the replicate. unsupported: why it cannot, or ''.

    factors holds the levels as the experiment names them (what tables and files show); load is what
    the client does, where a limit of the model may have reduced it (then there is a badge).
    """

    model: str
    factors: Mapping[str, Any]
    load: Load
    seconds: float
    warmup: float
    unsupported: str = ""
    badges: tuple[str, ...] = ()
    warmup_passes: int = 0  # and until each connection has been answered so often

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> "Setting":
        """Raises ValueError for a load that is none."""
        rest: dict[str, Any] = {
            **document,
            "load": Load(**{key: coerce(key, value) for key, value in document["load"].items()}),
            "badges": tuple(document["badges"]),
        }
        return Setting(**rest)

    @property
    def expected_s(self) -> float:
        """How long a cell of this setting takes, for the estimate before the first block."""
        if self.unsupported:
            return 0.0
        connecting = self.load.all_connections * OVERHEAD_PER_CONNECTION_S
        warmup = max(
            self.warmup, self.warmup_passes * self.load.connections * PASS_PER_CONNECTION_S
        )
        return warmup + self.seconds + OVERHEAD_S + connecting


StartedWith = Callable[[Model, str], Model]


def _as_it_is(model: Model, options: str) -> Model:
    """Where nobody can be asked, options change nothing."""
    return model


def descriptor_limit() -> int:
    """How many descriptors one process may have; children get the hard limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return hard if hard != resource.RLIM_INFINITY else 1 << 30


def settings(
    experiment: Experiment,
    profile: Profile,
    models: Iterable[Model],
    capacities: Mapping[str, float],
    max_descriptors: int | None = None,
    started_with: StartedWith = _as_it_is,
    bounds: Sequence[Bound] = (),
) -> list[Setting]:
    """All settings of a run, models in the given order.

    started_with: what a model says of itself when it has the options of a load's `server`, too.
    bounds: how far this machine goes at all, tightest first (harness.design.reach).
    capacities: requests per second of each model, for a profile with a grid; a model that is not in
    it gets no rate at all. Raises ValueError for a combination of levels that is no load.
    """
    limit = descriptor_limit() if max_descriptors is None else max_descriptors
    names = [factor.name for factor in experiment.factors]
    result = []
    for model in models:
        levels = dict(profile.levels)
        if profile.grid is not None:
            capacity = capacities.get(model.name)
            levels[profile.grid_factor] = (
                tuple(profile.grid.levels(capacity)) if capacity else (profile.grid.start,)
            )
        for combination in itertools.product(*(levels[name] for name in names)):
            factors = dict(zip(names, combination))
            if profile.leaves_out({**factors, "model": model.name}):
                continue
            load = replace(experiment.base, **factors)
            problem = load.problem()
            if problem:
                raise ValueError(problem)
            told = started_with(model, load.server)
            grown = with_processes(load, told) if experiment.processes_as_needed else load
            if grown is not load:
                told = started_with(model, grown.server)
            result.append(_setting(experiment, profile, told, grown, factors, limit, bounds))
    return result


def _setting(
    experiment: Experiment,
    profile: Profile,
    model: Model,
    load: Load,
    factors: Mapping[str, Any],
    max_descriptors: int,
    bounds: Sequence[Bound],
) -> Setting:
    load, badges = clamp(load, model) if experiment.clamp_connections else (load, ())
    total = load.all_connections
    why = model.why_not(load.protocol, load.room)
    if not why and experiment.processes_as_needed:
        most = reach.client_most(max_descriptors, load.connections)
        if total > most:
            why = (
                f"the client's {min(reach.CLIENT_WORKERS, load.connections)} processes go to {most}"
                f" connections: each may have {max_descriptors} descriptors (see tenk doctor)"
            )
    elif not why and total + SPARE_DESCRIPTORS > max_descriptors:
        why = (
            f"{total} connections need more than the {max_descriptors} descriptors"
            " a process may have here (see tenk doctor)"
        )
    why = why or reach.why_not(total, bounds)
    if load.server != experiment.base.server and "server" not in factors:
        badges += (f"started with {load.server}",)
    if model.busy_polls:
        badges += (f"{KEEPS_BUSY}, so it was measured alone",)
    seconds, warmup = profile.timing(factors)
    # An open loop goes at its own pace, which may be a pass in many seconds.
    passes = profile.warmup_passes if load.loop == "closed" else 0
    return Setting(model.name, dict(factors), load, seconds, warmup, why, badges, passes)


def with_processes(load: Load, model: Model) -> Load:
    """The load with as many worker processes of the server as its connections need; unchanged where
    more of them bring the model nothing, or `server` says how many."""
    each = model.per_worker
    if not each or load.room <= each or any(w.startswith("-w") for w in load.server_words):
        return load
    workers = max(model.workers, -(-load.room // each))
    return replace(load, server=f"{load.server} -w {workers}".strip())


def clamp(load: Load, model: Model) -> tuple[Load, tuple[str, ...]]:
    """The load with no more connections than the model serves at a time, and a badge if reduced."""
    limit = model.max_connections
    if limit is None or load.served <= limit or load.served > load.connections:
        return load, ()
    plural = "connection" if limit == 1 else "connections"
    return replace(load, connections=limit), (f"{limit} {plural}",)


def block_order(plan: Sequence[Setting], seed: int, block: int) -> list[Setting]:
    """The settings of one block in their order: the same for the same seed, on every machine.

    Levels in random order, and within each level its models in random order: what is compared is
    measured within as short a time as can be.
    """
    levels: dict[str, list[Setting]] = {}
    for setting in plan:
        levels.setdefault(repr(sorted(setting.factors.items())), []).append(setting)
    shuffle = random.Random(f"tenk:{seed}:{block}").shuffle
    groups = list(levels.values())
    shuffle(groups)
    for group in groups:
        shuffle(group)
    return [setting for group in groups for setting in group]


def expected_block_s(plan: Iterable[Setting]) -> float:
    return sum(setting.expected_s for setting in plan)


def expected_s(plan: Sequence[Setting], profile: Profile, blocks: int) -> float:
    """How long so many blocks take: a cell that takes too long to have a replicate has none."""
    once = [s for s in plan if s.expected_s > profile.once_above_s]
    return blocks * expected_block_s(plan) - (blocks - 1) * expected_block_s(once)


def expected_blocks(plan: Sequence[Setting], profile: Profile, fixed_s: float = 0.0) -> int:
    """How many blocks the budget allows for, as far as can be known before the first one."""
    block = expected_block_s(plan)
    if block <= 0:
        return 1
    fit = int((profile.budget_s - fixed_s) // block)
    return max(profile.min_replicates, min(profile.replicates, fit))


def another_block(done: int, elapsed_s: float, last_block_s: float, profile: Profile) -> bool:
    """Whether to start one more block: always up to the minimum, then while the budget allows."""
    if done >= profile.replicates:
        return False
    return done < profile.min_replicates or elapsed_s + last_block_s <= profile.budget_s
