# SPDX-License-Identifier: MIT
"""Measure an evidence run: pieces of duels whose answer is known, by the duel's own machinery.

All series of one number of connections beside one neighbour share a pilot, and their runs take
turns in random order, so that none has the machine's better minutes for itself.
"""
from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from harness.design import duel as design
from harness.design import evidence
from harness.design.duel import ALONE, CONTENDER, REFERENCE, TOGETHER, TURNS, Contender, Entry, Plan
from harness.design.evidence import CLIENT, CROWD, NONE, Evidence, Profile, Series, cut
from harness.design.load import Load
from harness.design.model import Model
from harness.design.pieces import Piece
from harness.design.plan import descriptor_limit
from harness.design.reach import SPARE_DESCRIPTORS
from harness.errors import SetupError
from harness.measure import pilot
from harness.measure.duel import (
    BLOCKS,
    SLOWER,
    SLOWER_MOST,
    STARVED_LEAST,
    STARVED_SHARE,
)
from harness.measure.neighbour import Neighbour
from harness.measure.process import ProcessError
from harness.measure.staging import Bench, Record, Stage

NEIGHBOUR_SHARE = 0.5
# Of a block in turns.
LEAST_ROUNDS = 2

Group = tuple[int, str]  # connections and neighbour


@dataclass
class Level:
    """What the pilot of a group settled, and a resumed run keeps to. rates: requests/s offered to
    each, by fraction. costs: CPU time of a request of the reference in ns, by arrangement and
    fraction."""

    rates: dict[float, float]
    costs: dict[tuple[str, float], float]


@dataclass
class Findings:
    """What was measured. levels, left_out (reasons) and neighbours (what share of its CPU each
    really had): by group. made: numbers given to runs. ended: nothing is to come."""

    pieces: dict[Series, list[Piece]] = field(default_factory=dict)
    levels: dict[Group, Level] = field(default_factory=dict)
    left_out: dict[Group, str] = field(default_factory=dict)
    neighbours: dict[Group, float] = field(default_factory=dict)
    made: int = 0
    ended: bool = False

    @property
    def runs(self) -> int:
        """How many count so far."""
        return sum(map(len, self.pieces.values()))


class Listener(Protocol):
    """Told what happens; must not use the CPU while a run is measured."""

    def stage(self, text: str) -> None:
        """What is about to be measured."""

    def run(self, one: Series, findings: Findings) -> Collection[int]:
        """A run of that series was recorded. Numbers of the series' runs in which one side did not
        keep up with the offered rate."""

    def group(self, findings: Findings) -> None:
        """Nothing more is measured at these connections and beside this neighbour."""


def other(reference: str, share: float) -> str:
    """The name of whom the reference meets, if that is itself with a known cost."""
    return f"{reference} +{100 * share:g}%"


def measure(
    asked: Evidence,
    profile: Profile,
    model: Model,
    bench: Bench,
    seed: int,
    findings: Findings,
    listener: Listener,
) -> None:
    """Fill the findings with what is not in them yet. KeyboardInterrupt passes through; what is in
    them stays."""
    with tempfile.TemporaryDirectory(prefix="tenk.") as folder:
        for connections in profile.connections:
            for neighbour in profile.neighbours:
                where = (connections, neighbour)
                chosen = [s for s in profile.series() if (s.connections, s.neighbour) == where]
                if not any(wants(profile, s, findings.pieces.get(s, [])) for s in chosen):
                    continue
                load = replace(asked.base, connections=connections, placement=bench.placement.name)
                beside = "" if neighbour == NONE else f", a neighbour on the {neighbour}'s CPU"
                minutes = sum(map(profile.series_s, chosen)) / 60
                listener.stage(f"{connections} connections{beside}: about {minutes:.2g} min")
                findings.left_out.pop(where, None)
                try:
                    _require(model, load)
                    with _beside(neighbour, bench, seed) as busy:
                        group = _Group(asked, profile, model, load, bench, seed, Path(folder))
                        group.measure(where, chosen, findings, listener)
                        if busy is not None:
                            findings.neighbours[where] = busy.share()
                except (SetupError, ProcessError) as error:
                    findings.left_out[where] = str(error)
                listener.group(findings)
    findings.ended = True


def wants(profile: Profile, one: Series, pieces: Sequence[Piece]) -> bool:
    """Whether a series does not have all of its duels yet."""
    duels = cut(pieces, [p.wall_s for p in pieces], profile.lengths(one)[-1])
    return len(duels) < profile.longest(one)


class _Group:
    """What is measured at one number of connections beside one neighbour."""

    def __init__(
        self,
        asked: Evidence,
        profile: Profile,
        model: Model,
        load: Load,
        bench: Bench,
        seed: int,
        folder: Path,
    ) -> None:
        self._profile = profile
        known = (TOGETHER, TURNS)
        arrangements = tuple(a for a in profile.arrangements if a in known) or (TURNS,)
        contender = Contender(asked.reference, model.name)
        plan = Plan((contender,), load, arrangements, profile.fractions, 0.0, 0.0, seed)
        self._record = Record([Entry(asked.reference, REFERENCE, model)])
        self._stage = Stage(plan, self._record, bench, folder)
        self._level = Level({}, {})
        self._slower = 0

    def measure(
        self, where: Group, chosen: Sequence[Series], findings: Findings, listener: Listener
    ) -> None:
        """Runs of all series by turns, until each has its duels."""
        pilot.run(self._stage)
        # Two blocks of two rounds must fit into the shortest duel.
        shortest = min(self._profile.lengths(one)[0] for one in chosen)
        self._stage.fit_turns(shortest, 2, LEAST_ROUNDS)
        # The pilot asks for the control's share of what a request costs, at each rate.
        costs = {k: extra / design.CONTROL_SHARE for k, extra in self._stage.extra_ns.items()}
        self._level = findings.levels.setdefault(where, Level(dict(self._record.rates), costs))
        self._record.rates = dict(self._level.rates)
        lap = 0
        while True:
            wanting = [s for s in chosen if wants(self._profile, s, findings.pieces.get(s, []))]
            if not wanting:
                return
            for one in design.shuffled(wanting, self._stage.plan.seed, "evidence", lap):
                self._stage.require()
                findings.made += 1
                piece = self._run(one, findings.made - 1, len(findings.pieces.get(one, [])))
                if piece is None:
                    continue
                runs = findings.pieces.setdefault(one, [])
                runs.append(piece)
                starved = listener.run(one, findings)
                if one.arrangement == TOGETHER and self._too_fast(len(runs), len(starved)):
                    self._go_slower(chosen, findings)
                    break
            lap += 1

    def _too_fast(self, runs: int, starved: int) -> bool:
        """Whether a rate is more than its pair sustains, as in a duel. A neighbour that comes and
        goes leaves the pilot's best slices as they were."""
        if not self._profile.fractions or self._slower >= SLOWER_MOST:
            return False
        return starved >= STARVED_LEAST and starved > STARVED_SHARE * runs

    def _go_slower(self, chosen: Sequence[Series], findings: Findings) -> None:
        """All rates are lowered, and all runs together begin anew."""
        self._slower += 1
        pilot.slower(self._record, SLOWER)
        self._level.rates = dict(self._record.rates)
        for one in chosen:
            if one.arrangement == TOGETHER:
                findings.pieces.pop(one, None)

    def _run(self, one: Series, number: int, done: int) -> Piece | None:
        """number: of the run; no other has it. done: how many the series has."""
        seconds = self._profile.run_s
        if one.arrangement == CROWD:
            return self._crowd(one, number, done)
        entry = self._entry(one)
        if one.arrangement == TOGETHER:
            room = self._profile.lengths(one)[0]
            overhead, warmup = self._stage.overhead_s[TOGETHER], self._stage.warmup_s()
            seconds = min(seconds, design.run_s(overhead, warmup, room))
            return self._stage.pair(entry, one.fraction, seconds, number)
        if one.arrangement == ALONE:
            return self._stage.alone(entry, seconds, number)
        both = [self._record.reference, entry]
        rounds = max(LEAST_ROUNDS, round(seconds / self._stage.round_s(both)))
        return self._stage.block(both, rounds, number)[0]

    def _crowd(self, one: Series, number: int, done: int) -> Piece | None:
        """A block of one of the groups into which a duel of so many contenders and its controls is
        cut; blocks are as long as in a duel of the series' shortest length."""
        reference = self._record.reference
        extra = self._stage.extra_ns.get((TURNS, 0.0), 1)
        named = evidence.copies(reference.name)
        copies = [replace(reference, name=n, role=CONTENDER) for n in named]
        everyone = [reference, *design.controls(reference, extra), *copies]
        memory = self._stage.bench.memory_bytes
        groups = design.groups(everyone, self._stage.connections, memory)
        group = groups[done % len(groups)]
        block_s = self._profile.lengths(one)[0] / (BLOCKS * len(groups))
        loaded_s = max(self._profile.run_s, block_s - self._stage.overhead_s[TURNS])
        rounds = max(LEAST_ROUNDS, round(loaded_s / self._stage.round_s(group)))
        return self._stage.block(group, rounds, number)[0]

    def _entry(self, one: Series) -> Entry:
        """Whom the reference meets."""
        twin, control = design.controls(self._record.reference, 1)
        if not one.share:
            return twin
        where = (one.arrangement, one.fraction)
        cost = self._level.costs.get(where, self._level.costs[(TURNS, 0.0)])
        name = other(self._record.reference.name, one.share)
        return replace(control, name=name, extra_ns=max(20, round(one.share * cost)))


def _require(model: Model, load: Load) -> None:
    """Raises SetupError where the level cannot be measured here."""
    total = load.all_connections
    if total + SPARE_DESCRIPTORS > descriptor_limit():
        raise SetupError(
            f"{total} connections need more than the {descriptor_limit()} descriptors a process may"
            " have here (see tenk doctor)"
        )
    if model.why_not(load.protocol, total):
        raise SetupError(f"{model.name}: {model.why_not(load.protocol, total)}")


@contextlib.contextmanager
def _beside(where: str, bench: Bench, seed: int) -> Iterator[Neighbour | None]:
    if where == NONE:
        yield None
        return
    cpus = bench.placement.client if where == CLIENT else bench.placement.server
    with Neighbour(cpus[0], NEIGHBOUR_SHARE, seed) as busy:
        yield busy
