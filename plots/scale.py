# SPDX-License-Identifier: MIT
"""Axes and their scales: what a panel shows, which range it needs, and round numbers for its
ticks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from plots.data import Point
from plots.style import format_level

WIDE = 50  # an "auto" x axis is logarithmic when its levels span more than this ratio

Format = Callable[[float], str]
Series = Mapping[str, Sequence[Point]]


@dataclass(frozen=True)
class Panel:
    """One metric: heading with the unit, how its numbers are written, which y axis it wants.

    scale is "log", "zero" (linear from nought) or "auto": logarithmic when the largest value is
    more than 30 times the smallest.
    """

    metric: str
    heading: str
    format: Format
    scale: str = "auto"
    base: int = 10


@dataclass(frozen=True)
class Axis:
    """The factor on the x axis; scale as in Panel.

    `places` are the ticks, where they are not the levels or round numbers; with levels too dense
    to mark each, only every `every`-th point carries a marker, for telling the curves apart. apart:
    the models stand side by side at each level, their intervals as bars: bands between levels that
    nothing lies between would cover each other.
    """

    factor: str
    label: str
    format: Format = format_level
    scale: str = "log"
    places: tuple[float, ...] = ()
    every: int = 1
    apart: bool = False


@dataclass(frozen=True)
class Scale:
    """A y axis: the range of the data and how it is mapped."""

    low: float
    high: float
    log: bool
    base: int

    def map(self, value: float) -> float:
        return math.log(value) if self.log else value

    def back(self, place: float) -> float:
        return math.exp(place) if self.log else place


def scale_of(panel: Panel, points: Sequence[Point]) -> Scale:
    """The scale that holds every finite value and interval end of `points`."""
    values = [v for p in points for v in (p.estimate, p.lo, p.hi) if math.isfinite(v)]
    positive = [v for v in values if v > 0]
    centre = [p.estimate for p in points if math.isfinite(p.estimate) and p.estimate > 0]
    log = panel.scale == "log" or (
        panel.scale == "auto" and bool(centre) and max(centre) > 30 * min(centre)
    )
    if not positive:
        return Scale(1.0, 10.0, True, panel.base) if log else Scale(0.0, 1.0, False, panel.base)
    if log:
        low, high = min(positive), max(positive)
        low = max(low, min(centre) / 10 if centre else low)  # a band near nought is cut, not obeyed
        if high < low * 2:
            low, high = low / 1.6, high * 1.6
        return Scale(low, high, True, panel.base)
    return Scale(min(0.0, min(values)), max(values), False, panel.base)


def ticks(low: float, high: float, log: bool, base: int = 10, most: int = 7) -> list[float]:
    """Round numbers within low..high, few enough to label each."""
    if not log:
        span = (high - low) or 1.0
        step = 10 ** math.floor(math.log10(span))
        for factor in (0.1, 0.2, 0.25, 0.5, 1.0, 2.0):
            if span / (step * factor) <= most - 1:
                step *= factor
                break
        first = math.ceil(low / step - 1e-9)
        return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]
    if base == 2:
        first, last = math.ceil(math.log2(low) - 1e-9), math.floor(math.log2(high) + 1e-9)
        step_2 = next(s for s in range(1, 99) if (last - first) // s < most)
        anchor = -(-first // step_2) * step_2
        return [2.0**i for i in range(anchor, last + 1, step_2)] or [2.0**first]
    first, last = math.floor(math.log10(low) - 1e-9), math.ceil(math.log10(high) + 1e-9)
    for mantissas in ((1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 5), (1, 3), (1,)):
        found = [m * 10.0**e for e in range(first, last + 1) for m in mantissas]
        found = [v for v in found if low * 0.999 <= v <= high * 1.001]
        if len(found) <= most:
            break
    return found[:: max(1, -(-len(found) // most))]
