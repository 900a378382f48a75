# SPDX-License-Identifier: MIT
"""Measure an evidence run: pieces of duels whose answer is known, by the duel's own machinery.

All series of one number of connections beside one neighbour share a pilot, and their runs take
turns in random order, so that none has the machine's better minutes for itself.
"""
from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from harness.design import duel as design
from harness.design.duel import ALONE, REFERENCE, TOGETHER, TURNS, Contender, Entry, Plan
from harness.design.evidence import CLIENT, NONE, Evidence, Profile, Series, cut
from harness.design.load import Load
from harness.design.model import Model
from harness.design.pieces import Piece
from harness.design.plan import descriptor_limit
from harness.design.reach import SPARE_DESCRIPTORS
from harness.errors import SetupError
from harness.measure import pilot
from harness.measure.neighbour import Neighbour
from harness.measure.process import ProcessError
from harness.measure.staging import Bench, Record, Stage

NEIGHBOUR_SHARE = 0.5
# Of a block in turns.
LEAST_ROUNDS = 2


@dataclass
class Findings:
    """What was measured. left_out: reasons, by (connections, neighbour). neighbours: what share of
    its CPU each really had. ended: nothing is to come."""

    pieces: dict[Series, list[Piece]] = field(default_factory=dict)
    left_out: dict[tuple[int, str], str] = field(default_factory=dict)
    neighbours: dict[tuple[int, str], float] = field(default_factory=dict)
    ended: bool = False


class Listener(Protocol):
    """Told what happens; must not use the CPU while a run is measured."""

    def stage(self, text: str) -> None:
        """What is about to be measured."""

    def run(self, findings: Findings) -> None:
        """A run was recorded."""


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
    """Fill the findings. KeyboardInterrupt passes through; what is in them stays."""
    with tempfile.TemporaryDirectory(prefix="tenk.") as folder:
        for connections in profile.connections:
            for neighbour in profile.neighbours:
                chosen = [
                    s
                    for s in profile.series()
                    if (s.connections, s.neighbour) == (connections, neighbour)
                ]
                if not chosen:
                    continue
                load = replace(asked.base, connections=connections, placement=bench.placement.name)
                beside = "" if neighbour == NONE else f", a neighbour on the {neighbour}'s CPU"
                listener.stage(f"{connections} connections{beside}")
                try:
                    _require(model, load)
                    with _beside(neighbour, bench, seed) as busy:
                        group = _Group(asked, profile, model, load, bench, seed, Path(folder))
                        group.measure(chosen, findings, listener)
                        if busy is not None:
                            findings.neighbours[(connections, neighbour)] = busy.share()
                except (SetupError, ProcessError) as error:
                    findings.left_out[(connections, neighbour)] = str(error)
    findings.ended = True


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
        arrangements = tuple(a for a in profile.arrangements if a != ALONE) or (TURNS,)
        contender = Contender(asked.reference, model.name)
        plan = Plan((contender,), load, arrangements, profile.fractions, 0.0, 0.0, seed)
        self._record = Record([Entry(asked.reference, REFERENCE, model)])
        self._stage = Stage(plan, self._record, bench, folder)
        self._costs: dict[tuple[str, float], float] = {}

    def measure(self, chosen: Sequence[Series], findings: Findings, listener: Listener) -> None:
        """Runs of all series by turns, until each has its duels."""
        pilot.run(self._stage)
        # Two blocks of two rounds must fit into the shortest duel.
        shortest = min(self._profile.lengths(one)[0] for one in chosen)
        self._stage.fit_turns(shortest, 2, LEAST_ROUNDS)
        # The pilot asks for the control's share of what a request costs, at each rate.
        for key, extra in self._stage.extra_ns.items():
            self._costs[key] = extra / design.CONTROL_SHARE
        lap = 0
        while True:
            wanting = [s for s in chosen if self._wants(s, findings.pieces.get(s, []))]
            if not wanting:
                return
            for one in design.shuffled(wanting, self._stage.plan.seed, "evidence", lap):
                self._stage.require()
                piece = self._run(one, sum(map(len, findings.pieces.values())))
                if piece is not None:
                    findings.pieces.setdefault(one, []).append(piece)
                    listener.run(findings)
            lap += 1

    def _wants(self, one: Series, pieces: Sequence[Piece]) -> bool:
        duels = cut(pieces, [p.wall_s for p in pieces], self._profile.lengths(one)[-1])
        return len(duels) < self._profile.longest(one)

    def _run(self, one: Series, number: int) -> Piece | None:
        """number: of the run; no other has it."""
        entry = self._entry(one)
        seconds = self._profile.run_s
        if one.arrangement == TOGETHER:
            return self._stage.pair(entry, one.fraction, seconds, number)
        if one.arrangement == ALONE:
            return self._stage.alone(entry, seconds, number)
        rounds = max(LEAST_ROUNDS, round(seconds / self._stage.turn_s() / 2))
        return self._stage.block([self._record.reference, entry], rounds, number)[0]

    def _entry(self, one: Series) -> Entry:
        """Whom the reference meets."""
        twin, control = design.controls(self._record.reference, 1)
        if not one.share:
            return twin
        where = (one.arrangement, one.fraction)
        cost = self._costs.get(where, self._costs[(TURNS, 0.0)])
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
