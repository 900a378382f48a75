# SPDX-License-Identifier: MIT
"""Which slices and runs are left out: only for reasons that the contender cannot cause.

A slice that looks odd is not left out for looking odd: that would favour whoever is odd most often.
It is left out for what the machine reports beside it. Each quantity is compared with what is usual
*for the same contender*: a contender makes some of it itself (the kernel's work for it counts as
nobody's), and with a neighbour that is always there every slice is disturbed alike, which is what
comparing in turns and together is for. How many were left out, and why, is reported per contender.
"""
from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

# Share of a slice's time beyond the usual, from which it is disturbed.
DISTURBED = 0.05
# /proc/stat counts in ticks of 10 ms: one tick more or less is where the slice's edges fell.
TICK_NS = 10e6

STEAL = "steal"
DELAY = "client delayed"
FOREIGN = "other programs"
STARVED = "starved"

# Together: replies short of what was due, beyond what can be on its way.
STARVED_SHARE = 0.01
# Together in a closed loop: the share of the two servers, from which a run is unlike the others.
STARVED_FACTOR = 1.5
STARVED_RUNS = 3


@dataclass(frozen=True)
class Surroundings:
    """What the machine reports about one slice; None: not known.

    wall_ns: its length. steal_ns, foreign_ns: of the whole machine, in ticks: CPU time that the
    hypervisor took, and that of programs beside clients and servers. delay_ns: how long the
    client's workers waited for a CPU, all together; workers: how many there are. own_cpus: client
    and server have CPUs of their own; where they share, the server may be what keeps the client
    waiting.
    """

    contender: str
    wall_ns: float
    steal_ns: float | None = None
    foreign_ns: float | None = None
    delay_ns: float | None = None
    workers: int = 1
    own_cpus: bool = True


@dataclass(frozen=True)
class Side:
    """One of two servers in one run together: replies received, and, in an open loop, arrivals due
    in the same time (None: closed loop). in_flight: most requests that can be on their way."""

    replies: int
    due: int | None
    in_flight: int


def disturbed(slices: Sequence[Surroundings]) -> list[str]:
    """For each slice why it is left out, or ''. The first reason that applies.

    - STEAL: the hypervisor took at least two ticks and 5 % of a CPU more than usual.
    - DELAY: a worker waited for its CPU for 5 % of the slice more than usual (own CPUs only).
    - FOREIGN: other programs ran for at least two ticks and 5 % of a CPU more than usual.
    """
    usual = {
        name: [_usual([getter(s) for s in slices if s.contender == name]) for getter in _GETTERS]
        for name in {s.contender for s in slices}
    }
    return [_reason(one, usual[one.contender]) for one in slices]


def counts(contenders: Sequence[str], reasons: Sequence[str]) -> dict[str, dict[str, int]]:
    """Per contender and reason, how many were left out; contenders of which none was are absent."""
    found: dict[str, Counter[str]] = {}
    for name, reason in zip(contenders, reasons):
        if reason:
            found.setdefault(name, Counter())[reason] += 1
    return {name: dict(counter) for name, counter in found.items()}


def starved_of_load(side: Side) -> bool:
    """Open loop: this side answered fewer requests than were due, by more than can be on their way
    at the edges of the window and 1 % of them.

    Equal offered load is then not equal load, and its cost per request is of another, smaller load.
    Poisson counts do not matter here: `due` counts the arrivals that there were.
    """
    if side.due is None:
        return False
    return side.due - side.replies > side.in_flight + STARVED_SHARE * side.due


def starved_runs(shares: Mapping[int, float]) -> set[int]:
    """Closed loop: runs in which the two servers shared the CPU unlike the same pair's other runs.

    shares: by run, replies of the contender / replies of the reference, above 0. In a closed loop
    the costlier one gets fewer replies, and one with many threads more of the CPU: that is the
    pair's own, and alike in all its runs. A run is left out where its share differs from their
    median by more than a factor of 1.5; with fewer than three runs none is.
    """
    if len(shares) < STARVED_RUNS:
        return set()
    usual = median(math.log(s) for s in shares.values())
    border = math.log(STARVED_FACTOR)
    return {run for run, s in shares.items() if abs(math.log(s) - usual) > border}


def _steal(one: Surroundings) -> float | None:
    return None if one.steal_ns is None else one.steal_ns / one.wall_ns


def _delay(one: Surroundings) -> float | None:
    if one.delay_ns is None or not one.own_cpus:
        return None
    return one.delay_ns / one.wall_ns / one.workers


def _foreign(one: Surroundings) -> float | None:
    return None if one.foreign_ns is None else one.foreign_ns / one.wall_ns


_GETTERS = (_steal, _delay, _foreign)


def _usual(shares: Sequence[float | None]) -> float:
    known = [s for s in shares if s is not None]
    return median(known) if known else 0.0


def _reason(one: Surroundings, usual: Sequence[float]) -> str:
    coarse = max(DISTURBED, 2 * TICK_NS / one.wall_ns)
    # A hair below two ticks is two ticks: the share is a quotient of rounded numbers.
    limits = (coarse * 0.999, DISTURBED, coarse * 0.999)
    for name, getter, limit, base in zip((STEAL, DELAY, FOREIGN), _GETTERS, limits, usual):
        share = getter(one)
        if share is not None and share - base > limit:
            return name
    return ""
