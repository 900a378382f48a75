# SPDX-License-Identifier: MIT
"""What a duel has measured: slices, and the pieces they belong to. Records; nothing is decided
here.

A piece is one run of the load generator against fresh servers. *Together* it is a run of one pair;
in *turns*, a block of rounds, each with one slice of every entry.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Slice:
    """One slice of one target; times in ns since the load began, the others between its edges.

    What could not be read is None. p50_ns and p99_ns: response time, infinite where requests were
    not answered, nan where there were none. histogram: of the same response times, as loadgen
    writes it, '' where it is not known; recorded: how many requests these percentiles are of, also
    those without an end.
    """

    name: str
    round: int
    warmup: bool
    begin_ns: float
    from_ns: float
    to_ns: float
    replies: int
    failures: int
    due: float | None
    server_cpu_ns: float | None
    turn_replies: float | None
    turn_cpu_ns: float | None
    client_cpu_ns: float | None
    client_spin_ns: float | None
    client_delay_ns: float | None
    steal_ns: float | None
    foreign_cpu_ns: float | None
    idle_ns: float | None
    idle_cpu_ns: float | None
    p50_ns: float
    p99_ns: float
    histogram: str = ""
    recorded: int = 0

    @property
    def wall_ns(self) -> float:
        return self.to_ns - self.from_ns

    @property
    def rate_rps(self) -> float:
        return 1e9 * self.replies / self.wall_ns if self.wall_ns > 0 else 0.0

    @property
    def cpu_us(self) -> float | None:
        """Server CPU time per request; None where either is not known.

        In turns it is that of the whole turn, from rest to rest: the clock of a process that runs
        is behind by up to a tick, that of one that sleeps is exact.
        """
        if self.turn_cpu_ns is not None and self.turn_replies:
            return self.turn_cpu_ns / self.turn_replies / 1e3
        if self.server_cpu_ns is None or self.replies <= 0:
            return None
        return self.server_cpu_ns / self.replies / 1e3


@dataclass(frozen=True)
class Piece:
    """fraction: of capacity, where the rate was found by it; rate_rps: offered to each, 0 in a
    closed loop. extra_ns: what the servers that have one say their added cost is. latency: per
    entry, of all its counted slices. saturated: who did not keep up with the offered rate, and why
    not. loaded_s: the part of wall_s inside slices, settling included. waits: per request, of each
    server that counts them, from its start to its end.
    """

    arrangement: str
    number: int
    names: tuple[str, ...]
    fraction: float
    rate_rps: float
    slices: tuple[Slice, ...]
    extra_ns: Mapping[str, float]
    latency: Mapping[str, Mapping[str, float]]
    verdicts: Mapping[str, tuple[str, tuple[str, ...]]]
    wall_s: float
    loaded_s: float
    waits: Mapping[str, float] = field(default_factory=dict)

    def counted(self, name: str) -> list[Slice]:
        """The slices of one entry that are not warm-up, in order."""
        return [s for s in self.slices if s.name == name and not s.warmup]

    def idle_share(self, name: str) -> float:
        """Turns: CPU time per wall time of a server while it was not its turn; 0 if not known."""
        slices = [s for s in self.slices if s.name == name and s.idle_cpu_ns is not None]
        wall = sum(s.idle_ns or 0.0 for s in slices)
        return sum(s.idle_cpu_ns or 0.0 for s in slices) / wall if wall else 0.0
