# SPDX-License-Identifier: MIT
"""How a model looks, everywhere: one colour, dash and marker per model, for both plotters.

plots/models.tsv (`name label colour dash marker`) fixes the looks of the models it lists, families
sharing a hue. A model it does not list gets a look computed from its name, so that a new model
stays one new file. Two models never get one colour: see `styles`.

A dash is written the way gnuplot takes it: "solid", or characters of which "." is a dot, "-" a
dash, "_" a long dash and " " more room.
"""

from __future__ import annotations

import colorsys
import csv
import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path

MODELS_TSV = Path(__file__).with_name("models.tsv")

# Each at least 0.05 from the others and from models.tsv in OKLab, under the three dichromacies
# too (simulated as in Machado, Oliveira, Fernandes 2009); tests/test_plots.py measures it.
SPARE_COLOURS = (
    "#853867",
    "#9E2418",
    "#BBAAC3",
    "#1A3742",
    "#7290FA",
    "#AB8ABB",
    "#5F2F73",
    "#334F42",
    "#635DAB",
    "#91574D",
    "#2B728C",
    "#B59432",
)
SPARE_DASHES = ("solid", "-", ".", "-.", "_.", "-..", "_-")

# Marker names, for matplotlib and for gnuplot's cairo terminals (point types).
MARKERS: dict[str, tuple[str, int]] = {
    "circle": ("o", 7),
    "square": ("s", 5),
    "diamond": ("D", 13),
    "up": ("^", 9),
    "down": ("v", 11),
    "pentagon": ("p", 15),
}
_STROKES = {".": (1.2, 1.6), "-": (4.0, 1.8), "_": (8.0, 1.8)}


@dataclass(frozen=True)
class ModelStyle:
    """The look of one model; `marker` is a key of MARKERS. quiet: a thin line and nothing else."""

    name: str
    label: str
    colour: str
    dash: str
    marker: str
    quiet: bool = False

    @property
    def mpl_dash(self) -> str | tuple[float, tuple[float, ...]]:
        """The dash as matplotlib's linestyle."""
        strokes: list[float] = []
        for character in self.dash if self.dash != "solid" else "":
            if character in _STROKES:
                strokes += _STROKES[character]
            elif strokes:
                strokes[-1] += 2.0
        return (0.0, tuple(strokes)) if strokes else "solid"

    @property
    def mpl_marker(self) -> str:
        return MARKERS[self.marker][0]

    @property
    def gnuplot_point(self) -> int:
        return MARKERS[self.marker][1]


def listed_styles(path: Path = MODELS_TSV) -> dict[str, ModelStyle]:
    """The looks models.tsv fixes; the marker column may be missing."""
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    return {
        row["name"]: ModelStyle(
            row["name"],
            row["label"] or row["name"],
            row["colour"],
            row["dash"],
            row["marker"] if row.get("marker") in MARKERS else derived_style(row["name"]).marker,
        )
        for row in rows
    }


def derived_style(name: str) -> ModelStyle:
    """The look that a model gets which is not listed, as long as no other has its colour."""
    digest, colour = divmod(_digest(name), len(SPARE_COLOURS))
    digest, dash = divmod(digest, len(SPARE_DASHES))
    marker = list(MARKERS)[digest % len(MARKERS)]
    return ModelStyle(name, name, SPARE_COLOURS[colour], SPARE_DASHES[dash], marker)


def styles(models: Iterable[str]) -> dict[str, ModelStyle]:
    """The look of each of `models`, no two with one colour.

    Where two names that are not listed want the same spare colour, one of them takes the next that
    is free: list a model to settle its colour for good.
    """
    listed = listed_styles()
    names = list(dict.fromkeys(models))
    taken = {look.colour.upper() for look in listed.values()}
    found = {name: listed[name] for name in names if name in listed}
    # In an order of the names themselves, so that it does not matter who is named first.
    for name in sorted((n for n in names if n not in listed), key=_digest):
        look = derived_style(name)
        wanted = SPARE_COLOURS.index(look.colour)
        offered = (*SPARE_COLOURS[wanted:], *SPARE_COLOURS[:wanted])
        colour = next(c for c in chain(offered, _more_colours()) if c.upper() not in taken)
        taken.add(colour.upper())
        found[name] = replace(look, colour=colour)
    return {name: found[name] for name in names}


def _digest(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


def _more_colours() -> Iterator[str]:
    """Colours without end, for when the spare ones are used up: hues by the golden angle, which
    never meet, at three lightnesses. Beyond thirty models it is dash and marker that tell."""
    for index in count():
        red, green, blue = colorsys.hls_to_rgb(
            index * 0.381966 % 1.0, (0.42, 0.3, 0.58)[index % 3], 0.45
        )
        yield f"#{round(255 * red):02X}{round(255 * green):02X}{round(255 * blue):02X}"


# --- numbers as readers write them ---------------------------------------------------------------

NARROW_SPACE = "\N{NARROW NO-BREAK SPACE}"


def _trim(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 999.5 else f"{value:.0f}"


def format_count(value: float) -> str:
    """12000 as "12k", 1500000 as "1.5M"."""
    for limit, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{_trim(value / limit)}{suffix}"
    return _trim(value)


def format_level(value: float) -> str:
    """A level of a factor likewise, but 1024 as it is."""
    return format_count(value) if float(f"{value:.3g}") == value or value >= 1e5 else f"{value:g}"


def format_ns(value: float) -> str:
    """Nanoseconds in the unit that keeps the number short: "250 µs", "1.5 s"."""
    if not value:
        return "0"
    for limit, unit in ((1e9, "s"), (1e6, "ms"), (1e3, "µs")):
        if abs(value) >= limit * 0.9999:
            return f"{_trim(value / limit)}{NARROW_SPACE}{unit}"
    return f"{_trim(value)}{NARROW_SPACE}ns"


def format_us(value: float) -> str:
    """Microseconds likewise."""
    return format_ns(value * 1e3)


def format_bytes(value: float) -> str:
    """Bytes with binary prefixes: "256 B", "4 KiB"."""
    if not value:
        return "0"
    for power, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if abs(value) >= 2**power:
            return f"{_trim(value / 2**power)}{NARROW_SPACE}{unit}"
    return f"{_trim(value)}{NARROW_SPACE}B"


def format_inverse(inverse: float) -> str:
    """1/(1-percentile) as the percentile: 1000 as "99.9 %"."""
    if inverse <= 1:
        return "0" + NARROW_SPACE + "%"
    decimals = max(0, round(math.log10(inverse)) - 2)
    return f"{100 * (1 - 1 / inverse):.{decimals}f}{NARROW_SPACE}%"
