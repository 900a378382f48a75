# SPDX-License-Identifier: MIT
"""Models in the order of their families, one below the other: what a figure of bars or dots has on
its y axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from plots.data import Results
from plots.page import GREY, SMALL_SIZE, TEXT_SIZE, text_width

# As the harness lists them; others come after these.
FAMILIES = ("blocking", "readiness", "completion", "hybrid", "coroutine", "library")
# Between two families, in rows.
GAP = 1.0
ROW_IN = 0.17


@dataclass(frozen=True)
class Rows:
    """places: of each model, downwards from 0. headings: family and where its name stands."""

    places: dict[str, float]
    headings: tuple[tuple[str, float], ...]

    @property
    def count(self) -> float:
        """The room all rows take, in rows."""
        return max(self.places.values(), default=0.0) + 1.0

    @property
    def height(self) -> float:
        """The same in inches."""
        return ROW_IN * (self.count + 0.6)

    @property
    def left(self) -> float:
        """Room for the names, in inches."""
        names = max((text_width(name, SMALL_SIZE) for name in self.places), default=0.0)
        return names + 0.34


def grouped(run: Results, models: Sequence[str]) -> list[tuple[str, list[str]]]:
    """The models of each family, both in their order."""
    rank = {family: n for n, family in enumerate(FAMILIES)}
    found: dict[str, list[str]] = {}
    for model in models:
        found.setdefault(run.families.get(model, ""), []).append(model)
    return sorted(found.items(), key=lambda item: (rank.get(item[0], len(rank)), item[0]))


def rows(run: Results, models: Sequence[str]) -> Rows:
    """One row for each model, families apart, each below its name."""
    places: dict[str, float] = {}
    headings = []
    at = 0.0
    for family, members in grouped(run, models):
        headings.append((family or "other", at))
        at += 1.0
        for model in members:
            places[model] = at
            at += 1.0
        at += GAP - 0.6
    return Rows(places, tuple(headings))


def frame(axes: Axes, found: Rows, names: bool) -> None:
    """Set up the y axis; names: whether they are written."""
    axes.set_ylim(found.count - 0.3, -0.6)
    axes.yaxis.set_major_locator(FixedLocator(list(found.places.values())))
    axes.yaxis.set_major_formatter(FixedFormatter(list(found.places) if names else []))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.tick_params(axis="y", length=0, labelsize=SMALL_SIZE)
    axes.spines["left"].set_visible(False)
    if not names:
        axes.tick_params(labelleft=False)
        return
    for family, place in found.headings:
        artist = axes.text(
            -0.012,
            place,
            family,
            transform=axes.get_yaxis_transform(),
            ha="right",
            va="center_baseline",
            size=TEXT_SIZE,
            color=GREY,
            style="italic",
        )
        artist.set_gid(f"family:{family}")
