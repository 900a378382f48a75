# SPDX-License-Identifier: MIT
"""Measure a duel: a pilot, then pieces of both arrangements by turns until its time is over.

    pilot      all contenders take turns once, without limit: what each sustains, what a
               request costs, and who cannot take part
    sweep      *together*: one run of every pair (the reference and one other), in random order
    block      *turns*: one run with all entries of a group alive, several rounds of slices
    alone      one that uses the CPU while nobody asks, and the reference, one after the other

Every piece has fresh servers, started and connected in random order.
"""
from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from harness.design import duel as design
from harness.design.duel import ALONE, CONTENDER, TOGETHER, TURNS, Entry, Plan
from harness.design.pieces import Piece
from harness.measure import pilot
from harness.measure.staging import Bench, Record, Stage

BLOCK_LEAST_S, BLOCK_MOST_S = 1.0, 10.0
BLOCKS = 4
ALONE_S = 1.0
# How many times longer a block is than its starting and stopping: more than 80 % is then inside.
INSIDE = 8
# Three sweeps and two blocks are measured even if that takes this share of the time more, and one
# of each in any case: with fewer an interval is luck.
OVERTIME = 0.5
LEAST = {TOGETHER: design.RUNS_LEAST, TURNS: 2, ALONE: 2}
LEAST_ROUNDS = 3
# Slices and blocks are shortened until so many blocks fit: two are the least, but how fresh servers
# differ is known from two only roughly.
FIT_BLOCKS = 3
# Rates that some pair does not keep up with are lowered by this, so many times at most. One starved
# run may be the machine's: so many of them, and this share of the runs, must be.
SLOWER, SLOWER_MOST = 0.75, 6
STARVED_LEAST, STARVED_SHARE = 2, 1 / 3
# Of whom nothing counts when the time is over gets so many more pieces, within the overtime.
MAKE_UPS = 3
# A server whose CPU time while nobody asks is above this share of a CPU disturbs the others.
SILENT_BELOW = 0.001
# A language's runtime tidies up after its turn: garbage is collected, code compiled. That goes on
# for milliseconds at most, and hits the turns of all others alike.
GUEST_SILENT_BELOW = 0.02


@dataclass(frozen=True)
class Outlook:
    """What the pieces so far say of the next. resolution: of each arrangement (a fraction; 1 where
    it is not known). rounds: worth measuring in a block, 0 where that is not known. starved:
    numbers of the runs together in which one side did not keep up with the offered rate. blank: of
    whom nothing counts, by arrangement and fraction of capacity."""

    resolution: Mapping[str, float]
    rounds: int = 0
    starved: frozenset[int] = frozenset()
    blank: Mapping[tuple[str, float], frozenset[str]] = field(default_factory=dict)


class Listener(Protocol):
    """Told what happens; must not use the CPU while a piece is measured."""

    def stage(self, text: str) -> None:
        """What is about to be measured."""

    def piece(self, record: Record) -> Outlook:
        """A piece was recorded."""


def measure(
    plan: Plan, record: Record, bench: Bench, listener: Listener, pilot_counts: bool = True
) -> None:
    """Fill the record until the plan's seconds are over or its resolution is reached.

    pilot_counts: the seconds include the pilot, which takes longer the more contenders there are.
    Raises SetupError when the reference cannot be measured. KeyboardInterrupt passes through; what
    is in the record stays.
    """
    with tempfile.TemporaryDirectory(prefix="tenk.") as folder:
        stage = Stage(plan, record, bench, Path(folder))
        try:
            listener.stage("pilot: what each sustains, and what a request costs")
            pilot.run(stage)
            if not pilot_counts:
                record.began = time.monotonic()
            _Match(stage, listener).play()
        finally:
            record.wall_s = time.monotonic() - record.began


class _Match:
    def __init__(self, stage: Stage, listener: Listener) -> None:
        self._stage = stage
        self._plan = stage.plan
        self._record = stage.record
        self._listener = listener
        self._outlook = Outlook({})
        self._units = {TOGETHER: 0, TURNS: 0, ALONE: 0}
        self._used = {TOGETHER: 0.0, TURNS: 0.0, ALONE: 0.0}
        self._runs = 0
        self._blocks = 0
        self._slower = 0
        self._made_up: Counter[str] = Counter()
        self._stretch = 1.0  # how much longer a round takes than its slices should

    def play(self) -> None:
        """Sweeps and blocks, each time of the arrangement that has had less of its share."""
        self._stage.fit_turns(self._share_s(), FIT_BLOCKS, LEAST_ROUNDS)
        while True:
            self._stage.require()
            chosen = self._next()
            if chosen is None and self._make_up():
                continue
            if chosen is None:
                self._record.ended = "time"
                return
            began = time.monotonic()
            {TOGETHER: self._sweep, TURNS: self._turns, ALONE: self._alone}[chosen]()
            self._used[chosen] += time.monotonic() - began
            self._units[chosen] += 1
            if self._plan.until and self._reached():
                self._record.ended = "resolution"
                return

    # --- what comes next --------------------------------------------------------------------------

    def _arrangements(self) -> list[str]:
        return [*self._plan.arrangements, *([ALONE] if self._record.spinning() else [])]

    def _next(self) -> str | None:
        """The arrangement whose turn it is; None when the time is over.

        Each has the same share at first. Once their resolution is known, the coarser gets more, up
        to three quarters: that is what it needs.
        """
        left = self._left_s()
        weights = _weights(self._arrangements(), self._outlook.resolution)
        for chosen in sorted(weights, key=lambda a: self._used[a] / weights[a]):
            loads = max(1, len(self._record.rates)) if chosen == TOGETHER else 1
            least = LEAST[chosen] * loads
            room = left + OVERTIME * self._plan.seconds
            owed = self._units[chosen] < least and self._unit_s(chosen) <= room
            if owed or not self._units[chosen] or self._unit_s(chosen) <= 1.1 * left:
                return chosen
        return None

    def _left_s(self) -> float:
        return self._plan.seconds - (time.monotonic() - self._record.began)

    def _make_up(self) -> bool:
        """In overtime, one more piece for somebody of whom nothing counts so far; whether there was
        one to be measured."""
        room = self._left_s() + OVERTIME * self._plan.seconds
        for (arrangement, fraction), names in sorted(self._outlook.blank.items()):
            for name in sorted(names):
                if self._made_up[name] >= MAKE_UPS:
                    continue
                if arrangement == TOGETHER and self._pair_s() <= room:
                    met = [e for e in self._stage.pairs(fraction) if e.name == name]
                    for entry in met:
                        self._made_up[name] += 1
                        self._pair(entry, fraction)
                        return True
                if arrangement == TURNS:
                    overhead = self._stage.overhead_s[TURNS]
                    met_in = [g for g in self._stage.groups() if name in [e.name for e in g]]
                    if met_in and self._block_s() + overhead <= room:
                        self._made_up[name] += 1
                        self._block(met_in[0])
                        return True
        return False

    def _unit_s(self, arrangement: str) -> float:
        overhead = self._stage.overhead_s[arrangement]
        if arrangement == TURNS:
            return len(self._stage.groups()) * (self._block_s() + overhead)
        if arrangement == ALONE:
            return 2 * len(self._record.spinning()) * (ALONE_S + overhead)
        return len(self._stage.pairs(0.0)) * self._pair_s()

    def _pair_s(self) -> float:
        """One run of a pair."""
        return self._run_s() + self._stage.warmup_s() + self._stage.overhead_s[TOGETHER]

    def _reached(self) -> bool:
        """Where somebody is alone, its resolution is whatever the time allows."""
        resolution = self._outlook.resolution
        return all(resolution.get(a, 1.0) <= self._plan.until for a in self._plan.arrangements)

    def _add(self, piece: Piece) -> None:
        self._record.pieces.append(piece)
        self._outlook = self._listener.piece(self._record)

    # --- together ---------------------------------------------------------------------------------

    def _sweep(self) -> None:
        """One run of every pair, at the fraction that has had the fewest."""
        rates = self._record.rates
        had = {f: sum(p.fraction == f for p in self._together()) for f in rates}
        fraction = min(rates, key=lambda f: (had[f], f))
        pairs = design.shuffled(
            self._stage.pairs(fraction), self._plan.seed, TOGETHER, self._units[TOGETHER]
        )
        for entry in pairs:
            if entry.role == CONTENDER and entry not in self._record.able():
                continue
            if self._pair(entry, fraction) and self._too_fast(fraction):
                self._go_slower()
                return

    def _pair(self, entry: Entry, fraction: float) -> bool:
        """One run of a pair; whether it came to something."""
        rate = self._record.rates[fraction]
        at = f" at {rate:.0f}/s each" if rate else ""
        self._listener.stage(f"together: {self._record.reference.name} and {entry.name}{at}")
        piece = self._stage.pair(entry, fraction, self._run_s(), self._runs)
        self._runs += 1
        if piece is not None:
            self._add(piece)
        return piece is not None

    def _together(self) -> list[Piece]:
        return [p for p in self._record.pieces if p.arrangement == TOGETHER]

    def _too_fast(self, fraction: float) -> bool:
        """Whether a rate that we chose ourselves is more than the pairs sustain, or than one of
        them does in any of its runs. Not when there is no time to begin anew."""
        if not self._plan.fractions or self._slower >= SLOWER_MOST:
            return False
        runs = [p for p in self._together() if p.fraction == fraction]
        starved = [p for p in runs if p.number in self._outlook.starved]
        if len(starved) >= STARVED_LEAST and len(starved) > STARVED_SHARE * len(runs):
            return True
        again = LEAST[TOGETHER] * len(self._record.rates) * self._unit_s(TOGETHER)
        if again > self._left_s() + OVERTIME * self._plan.seconds:
            return False
        met, lost = (
            Counter(name for p in some for name in p.names if name != self._record.reference.name)
            for some in (runs, starved)
        )
        return any(lost[name] == met[name] >= STARVED_LEAST for name in met)

    def _go_slower(self) -> None:
        """What a pair sustains was taken for too high: all runs together begin anew."""
        record = self._record
        self._slower += 1
        pilot.slower(record, SLOWER)
        record.pieces = [p for p in record.pieces if p.arrangement != TOGETHER]
        self._units[TOGETHER] = -1  # the sweep that ends here
        self._outlook = self._listener.piece(record)

    def _run_s(self) -> float:
        """Of each run, its pair having its part of the time."""
        runs = len(self._stage.pairs(0.0)) * max(1, len(self._record.rates))
        overhead, warmup = self._stage.overhead_s[TOGETHER], self._stage.warmup_s()
        return design.run_s(overhead, warmup, self._share_s() / runs)

    # --- turns ------------------------------------------------------------------------------------

    def _turns(self) -> None:
        """One block of every group."""
        for group in self._stage.groups():
            self._block(group)

    def _block(self, group: Sequence[Entry]) -> None:
        self._listener.stage(f"turns: block {self._blocks + 1}, {len(group)} in turn")
        rounds = self._rounds(group)
        piece, _ = self._stage.block(group, rounds, self._blocks)
        self._blocks += 1
        if piece is not None:
            self._stretch = piece.loaded_s / (rounds * self._stage.round_s(group))
            self._leave_out_the_restless(piece)
            self._add(piece)

    def _rounds(self, group: Sequence[Entry]) -> int:
        """Of a block: as many as are worth it, within what fits into the time."""
        round_s = self._stage.round_s(group) * self._stretch
        fitting = max(LEAST_ROUNDS, round(self._block_s() / round_s))
        least = max(LEAST_ROUNDS, round(BLOCK_LEAST_S / round_s))
        return max(least, min(fitting, self._outlook.rounds or fitting))

    def _leave_out_the_restless(self, piece: Piece) -> None:
        """Who uses the CPU in the others' turns is measured alone from now on."""
        for name in piece.names:
            share = piece.idle_share(name)
            guest = any(e.name == name and e.model.is_guest for e in self._record.entries)
            if share > (GUEST_SILENT_BELOW if guest else SILENT_BELOW) and name in _contenders(
                self._record
            ):
                text = f"uses {100 * share:.2g} % of a CPU in the turns of others"
                self._record.spins[name] = text

    def _block_s(self) -> float:
        """As long as starting and connecting are worth, if enough blocks fit."""
        overhead = self._stage.overhead_s[TURNS]
        groups = len(self._stage.groups())
        usual = min(BLOCK_MOST_S, self._share_s() / (BLOCKS * groups) - overhead)
        most = self._share_s() / (FIT_BLOCKS * groups) - overhead
        return max(BLOCK_LEAST_S, min(most, max(usual, INSIDE * overhead)))

    # --- alone ------------------------------------------------------------------------------------

    def _alone(self) -> None:
        """The reference and each one that spins, one after the other."""
        for entry in self._record.spinning():
            self._listener.stage(f"alone: {self._record.reference.name}, and {entry.name}")
            piece = self._stage.alone(entry, ALONE_S, self._units[ALONE])
            if piece is not None:
                self._add(piece)

    def _share_s(self) -> float:
        """Seconds of the duel that are one arrangement's."""
        return self._plan.seconds / len(self._arrangements())


def _contenders(record: Record) -> set[str]:
    return {e.name for e in record.entries if e.role == CONTENDER}


def _weights(arrangements: Sequence[str], resolution: Mapping[str, float]) -> dict[str, float]:
    known = {a: r for a in arrangements if 0 < (r := resolution.get(a, 0.0)) < 1}
    if len(known) < len(arrangements) or len(known) < 2:
        return {a: 1.0 for a in arrangements}
    total = sum(known.values())
    return {a: min(0.75, max(0.25, r / total)) for a, r in known.items()}
