# SPDX-License-Identifier: MIT
"""Before a duel: who can take part, what each sustains, and what a request of the reference costs.

From it follow the rates that are offered in *together*, and the size of the control's added cost.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median

from harness.design import duel as design
from harness.design.duel import TOGETHER, TURNS, TWIN, Entry
from harness.design.pieces import Piece, Slice
from harness.errors import SetupError
from harness.measure.field import Fault
from harness.measure.staging import Record, Stage

ROUNDS = 3
RUN_S = 0.4
# A rate at which the pair of reference and twin does not keep up is lowered by this, so many times
# at most. In an open loop a request costs more than in the closed loop that the rate comes from.
SLOWER, SLOWER_MOST = 0.75, 8
KEPT_UP = 0.95
# Of the client's CPUs: above it, what is sent late says more of the client than of the servers.
CLIENT_MOST = 0.9


def run(stage: Stage) -> None:
    """Fill the record's rates, capacities, exclusions, and the stage's extra_ns. Raises SetupError
    when the reference cannot be measured, or nobody else can."""
    _who_spins(stage)
    stage.require()
    slices = _everyone(stage)
    record = stage.record
    record.capacity = {name: _capacity(found) for name, found in slices.items()}
    costs = {name: _cost(found) for name, found in slices.items()}
    own = costs[record.reference.name]
    if own is None:
        raise SetupError(f"{record.reference.name}: its CPU time cannot be read")
    stage.extra_ns[(TURNS, 0.0)] = design.control_ns(own)
    if TOGETHER not in stage.plan.arrangements:
        return
    record.rates = _rates(stage, slices, costs)
    # The highest first: what it is lowered by, all are.
    for fraction in sorted(record.rates, reverse=True):
        stage.extra_ns[(TOGETHER, fraction)] = design.control_ns(_try_rate(stage, fraction) or own)


def _who_spins(stage: Stage) -> None:
    """Each alone, before anyone connects: one that spins would take the CPU from the others."""
    for entry in stage.record.able():
        try:
            with stage.field([entry]) as server:
                share = server.spins(entry.name)
        except Fault as fault:
            stage.exclude(fault.name, "failed", str(fault))
            continue
        if share:
            stage.record.spins[entry.name] = f"uses {100 * share:.0f} % of a CPU while nobody asks"


def _everyone(stage: Stage) -> dict[str, list[Slice]]:
    """A few rounds of everyone; who does not get through is left out, and it is done again. Of a
    contender that turns out to work in child processes what a request costs is not known yet: its
    own clock did not tell. What it sustains is."""
    attempt = 0
    while True:
        stage.require()
        found: dict[str, list[Slice]] = {}
        reference, *others = stage.record.able()
        twin, _ = design.controls(reference, 1)
        groups = design.groups(
            [reference, twin, *others], stage.connections, stage.bench.memory_bytes
        )
        changed = False
        for group in groups:
            before = len(stage.record.excluded)
            piece, children = stage.block(group, ROUNDS, attempt, "pilot")
            attempt += 1
            moved = [e for e in group if e.clock and e.name in children]
            for entry in moved:
                _read_group(stage, reference if entry.role == TWIN else entry)
            if piece is None and len(stage.record.excluded) == before:
                _one_by_one(stage, group)
            again = any(e.role == TWIN or e is reference for e in moved)
            changed = changed or piece is None or again
            if piece is not None:
                changed = _silent(stage, piece) or changed
                for entry in group:
                    slices = piece.counted(entry.name)
                    if entry in moved:
                        slices = [replace(s, server_cpu_ns=None, turn_cpu_ns=None) for s in slices]
                    found.setdefault(entry.name, []).extend(slices)
        if not changed:
            return found


def _silent(stage: Stage, piece: Piece) -> bool:
    """Leave out who answered nothing; whether there was someone."""
    mute = [n for n in piece.names if not any(s.replies for s in piece.counted(n))]
    for name in mute:
        stage.exclude(name, "failed", "answered nothing")
    return bool(mute)


def _one_by_one(stage: Stage, group: Sequence[Entry]) -> None:
    """A run failed and nobody was seen to die: find out whose fault it is."""
    reference, *others = group
    for entry in others:
        lost = len(stage.record.lost)
        piece, _ = stage.block([reference, entry], 1, 0, "alone", entry.name)
        if piece is None and entry.name not in stage.record.excluded:
            reason = stage.record.lost[-1] if len(stage.record.lost) > lost else "no result"
            stage.exclude(entry.name, "failed", reason)


def _read_group(stage: Stage, entry: Entry) -> None:
    """Its CPU time is that of its children too: only a control group tells it at the moment."""
    group = stage.bench.sources.cpu
    if group is None or group.version != 2:
        reason = (
            "it works in child processes, whose CPU time can be read at the moment from a"
            " control group (v2) only, and none can be made here (see tenk doctor)"
        )
        stage.exclude(entry.name, "unsupported", reason)
        return
    stage.record.entries = [
        replace(e, clock=False) if e.name == entry.name else e for e in stage.record.entries
    ]


def _rates(
    stage: Stage, slices: Mapping[str, Sequence[Slice]], costs: Mapping[str, float | None]
) -> dict[float, float]:
    """Requests/s of each fraction, the same for all pairs; 0 in a closed loop."""
    plan = stage.plan
    if plan.load.loop == "open" or not plan.fractions:
        return {0.0: plan.load.offered_rps}
    met = [e.name for e in stage.record.able() if not e.model.is_unseen]
    shared = min(_shared_capacity(stage, slices, costs, name) for name in met)
    return {fraction: _readable(fraction * shared) for fraction in plan.fractions}


def _shared_capacity(
    stage: Stage,
    slices: Mapping[str, Sequence[Slice]],
    costs: Mapping[str, float | None],
    name: str,
) -> float:
    """What both of a pair sustain at the same time: what either sustains alone, and what the CPU
    time per request of both, added, leaves room for on the server's and on the client's CPUs; where
    these are the same, on them for all four."""
    place = stage.bench.placement
    bounds = []
    server = client = 0.0
    for one in (stage.record.reference.name, name):
        alone = _capacity(slices[one])
        bounds.append(alone)
        server += costs[one] or 1e9 * len(place.server) / alone
        client += median((s.client_cpu_ns or 0.0) / s.replies for s in slices[one] if s.replies)
    bounds.append(1e9 * len(place.server) / server)
    if client > 0:
        bounds.append(1e9 * len(place.client) / client)
    if set(place.server) & set(place.client):
        bounds.append(1e9 * len({*place.server, *place.client}) / (server + client))
    return min(bounds)


def _try_rate(stage: Stage, fraction: float) -> float | None:
    """What a request of the reference costs, in ns, when it meets its twin at the rate of a
    fraction; a rate that we chose ourselves is lowered until both keep up."""
    twin, _ = design.controls(stage.record.reference, 1)
    for attempt in range(SLOWER_MOST):
        piece = stage.pair(twin, fraction, RUN_S, attempt, "pilot")
        if piece is None:
            stage.require()
            return None
        if not stage.plan.fractions or _keeps_up(stage, piece) or attempt == SLOWER_MOST - 1:
            return _cost(piece.counted(stage.record.reference.name))
        slower(stage.record, SLOWER)
    return None


def slower(record: Record, factor: float) -> None:
    """Lower the offered rates, all of them: they stay the same shares of what a pair sustains."""
    record.rates = {f: _readable(factor * rate) for f, rate in record.rates.items()}


def _keeps_up(stage: Stage, piece: Piece) -> bool:
    due = answered = client = wall = 0.0
    for name in piece.names:
        for one in piece.counted(name):
            due += one.due or 0.0
            answered += one.replies
            client += (one.client_cpu_ns or 0.0) / len(stage.bench.placement.client)
            wall += one.wall_ns / len(piece.names)
    return answered >= KEPT_UP * due and client <= CLIENT_MOST * wall


def _capacity(slices: Sequence[Slice]) -> float:
    """Requests/s of the best slice: what others on the machine do makes a slice slower only."""
    return max((s.rate_rps for s in slices), default=0.0)


def _cost(slices: Sequence[Slice]) -> float | None:
    """Server CPU time per request in ns: the median over slices; None where it is not known."""
    known = [cpu * 1e3 for s in slices if (cpu := s.cpu_us)]
    return median(known) if known else None


def _readable(rate: float) -> float:
    """Two significant digits: nobody needs more, and the level reads well."""
    return float(f"{rate:.2g}") if rate >= 1 else max(rate, 0.1)
