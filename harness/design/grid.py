# SPDX-License-Identifier: MIT
"""Offered rates for a latency-against-load curve: absolute, shared by all models, dense at the
knee.

All rates come from one geometric grid, so that two models can be compared at the same offered rate.
Each model uses the part of the grid that says something about it: widely spaced where it is far
from saturated, every point near its capacity, and at least one point past it.
"""
from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KNEE_FROM = 0.45  # of capacity: below, latency hardly depends on load (M/M/1 at 0.45: 1.8 times)
MAX_POINTS = 1000
PAST = 1.1  # of capacity: a rate above this is certainly past it


@dataclass(frozen=True)
class Grid:
    """start, stop in requests per second; per_octave points per doubling; below the knee only every
    stride-th point; pilot_s = length of the closed-loop run that estimates a model's capacity."""

    start: float
    stop: float
    per_octave: int
    stride: int
    pilot_s: float

    @staticmethod
    def parse(table: Mapping[str, Any]) -> "Grid":
        """Raises ValueError, KeyError or TypeError for what is not a grid."""
        grid = Grid(
            float(table["start"]),
            float(table["stop"]),
            int(table["per_octave"]),
            int(table["stride"]),
            float(table["pilot_s"]),
        )
        unknown = set(table) - {"start", "stop", "per_octave", "stride", "pilot_s"}
        if unknown:
            raise ValueError(f"unknown name in grid: {', '.join(sorted(unknown))}")
        if not (0 < grid.start < grid.stop < math.inf and grid.per_octave > 0 and grid.stride > 0):
            raise ValueError("grid needs 0 < start < stop, per_octave > 0, stride > 0")
        if math.log2(grid.stop / grid.start) * grid.per_octave > MAX_POINTS:
            raise ValueError(f"grid has more than {MAX_POINTS} points")
        if not 0 < grid.pilot_s <= 60:
            raise ValueError("grid needs pilot_s in (0, 60]")
        return grid

    def points(self) -> list[float]:
        """All rates, rounded to two significant digits, ascending."""
        count = int(math.floor(math.log2(self.stop / self.start) * self.per_octave + 1e-9)) + 1
        rates = {_round2(self.start * 2 ** (k / self.per_octave)) for k in range(count)}
        return sorted(rates)

    def levels(self, capacity_rps: float) -> list[float]:
        """The rates for a model of that capacity (requests per second, closed loop)."""
        chosen: list[float] = []
        for index, rate in enumerate(self.points()):
            if rate >= KNEE_FROM * capacity_rps or index % self.stride == 0:
                chosen.append(rate)
            if rate > PAST * capacity_rps:
                break
        return chosen


def _round2(rate: float) -> float:
    step = 10.0 ** (math.floor(math.log10(rate)) - 1)
    return round(round(rate / step) * step, 6)
