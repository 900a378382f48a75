# SPDX-License-Identifier: MIT
"""The page every figure shares: title, provenance, panels, label column, notes, and the keys of
the footnotes.

Sizes are inches at 100 px each, so that a figure 9 in wide reads at the width of a README. The
layout is computed, not fitted by trial: texts are measured and wrapped, labels are spread until
none overlaps, and the page grows with the number of models and notes.

A page has a form. SCREEN is as wide as a README. COLUMN is as wide as a column of a printed page:
panels stand one below the other, and the names of the curves below them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.ft2font import LOAD_NO_HINTING, FT2Font
from matplotlib.lines import Line2D

from plots.data import Point, Results, replicates
from plots.style import ModelStyle, styles

WIDTH = 9.0
EDGE = 0.14
LEFT = 0.74
LEADER = 0.34
SWATCH = 0.34
ROW = 0.165
LEAST_HEIGHT = 1.1
HALF_NUMBER = 0.26  # beside the last panel, for a number at the end of its x axis
XLABEL = 0.5  # below a panel, for its numbers and their name
TITLE_SIZE, LINES_SIZE, TEXT_SIZE, SMALL_SIZE, NUMBER_SIZE = 13.0, 10.5, 8.5, 8.0, 6.5
INK, GREY, FAINT = "#1F1F1F", "#5F5F5F", "#E3E3E3"
# Beside the figures of a run: what their marks stand for, point by point.
NOTES_FILE = "notes.md"


@dataclass(frozen=True)
class Form:
    """How wide a page is. It is laid out `width` inches wide, with the text sizes above, and comes
    out `scale` times as large. stacked: panels and labels go below each other, not beside; a panel
    of curves is then `tallest` inches high at most, and all of them together `panels` inches, as
    long as they are not lower than LEAST_HEIGHT. suffix: of the file's name."""

    width: float
    scale: float = 1.0
    stacked: bool = False
    tallest: float = math.inf
    panels: float = math.inf
    suffix: str = ""

    def number_size(self) -> float:
        """Of the numbers at the ends of bars: the smallest text of a page, in points."""
        return SMALL_SIZE if self.stacked else NUMBER_SIZE


SCREEN = Form(WIDTH)
# 85 mm; SMALL_SIZE, the smallest text there is in it, comes out at 6 points.
COLUMN = Form(85 / 25.4 / 0.75, 0.75, stacked=True, tallest=1.8, panels=9.5, suffix="-column")
FORMS = {"screen": SCREEN, "column": COLUMN}

RC: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": TEXT_SIZE,
    "text.color": INK,
    "text.parse_math": False,  # names and reasons are shown as they are
    "axes.edgecolor": "#8A8A8A",
    "axes.labelcolor": INK,
    "axes.labelsize": TEXT_SIZE,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.xmargin": 0.0,
    "xtick.color": "#8A8A8A",
    "ytick.color": "#8A8A8A",
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": SMALL_SIZE,
    "ytick.labelsize": SMALL_SIZE,
    "svg.hashsalt": "tenk",
    "path.simplify": False,
}


@lru_cache(maxsize=None)
def _font(bold: bool) -> FT2Font:
    """The figures' font at 100 points. Our own copy: matplotlib resizes those it hands out."""
    weight = "bold" if bold else "normal"
    font = FT2Font(findfont(FontProperties(family="DejaVu Sans", weight=weight)))
    font.set_size(100, 72)
    return font


def text_width(text: str, size: float, bold: bool = False) -> float:
    """Width in inches of one line of text set in the figures' font."""
    font = _font(bold)
    font.set_text(text, 0.0, flags=LOAD_NO_HINTING)
    return float(font.get_width_height()[0]) / 64 * size / 100 / 72


def wrap(text: str, size: float, width: float, bold: bool = False) -> list[str]:
    """Break `text` at spaces into lines at most `width` inches wide."""
    lines: list[str] = []
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, size, bold) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions nearest to `wanted` (descending) that keep `gap` and stay within low..high.

    The least-squares solution by pooling adjacent violators; where gap × count exceeds the room,
    the gap yields, never the order.
    """
    if not wanted:
        return []
    gap = min(gap, (high - low) / max(1, len(wanted) - 1))
    pools: list[list[float]] = []  # mean of wanted + i·gap, and how many labels the pool holds
    for index, place in enumerate(wanted):
        pools.append([min(max(place, low), high) + index * gap, 1.0])
        while len(pools) > 1 and pools[-2][0] < pools[-1][0]:
            mean, count = pools.pop()
            before = pools[-1]
            before[0] = (before[0] * before[1] + mean * count) / (before[1] + count)
            before[1] += count
    flat = [mean for mean, count in pools for _ in range(int(count))]
    last = len(flat) - 1
    return [min(max(mean, low + last * gap), high) - index * gap for index, mean in enumerate(flat)]


@dataclass(frozen=True)
class Footnote:
    """What stands on the page beside a figure, and the few words of it that stand in the figure."""

    key: str
    text: str


Note = str | Footnote


class Sheet(Figure):  # type: ignore[misc]
    """A figure that knows its form, and what belongs beside it."""

    form = SCREEN
    title = ""
    notes: tuple[str, ...] = ()
    footnotes: tuple[Footnote, ...] = ()


def name_x_once(figure: Figure) -> None:
    """Of panels that stand below each other only the last says what its x axis is, where it is the
    same for all."""
    for above, below in zip(figure.axes, figure.axes[1:]):
        higher = above.get_position().y0 > below.get_position().y0
        if higher and above.get_xlabel() == below.get_xlabel():
            above.set_xlabel("")


def form_of(figure: Figure) -> Form:
    """The form that a figure is to be drawn in."""
    return figure.form if isinstance(figure, Sheet) else SCREEN


@dataclass(frozen=True)
class Ending:
    """Where a model's curve ends: None if it has none, or stops short of the right edge."""

    model: str
    place: tuple[float, float] | None
    remark: str = ""


@dataclass(frozen=True)
class _Legend:
    """Names below the panels. places: of each in inches, from the upper left corner, down the first
    column and then down the next."""

    places: tuple[tuple[float, float], ...]
    height: float

    @staticmethod
    def of(texts: Sequence[str], room: float) -> _Legend:
        """As many columns as `room` inches hold."""
        if not texts:
            return _Legend((), 0.0)
        width = SWATCH + 0.08 + max(text_width(text, TEXT_SIZE) for text in texts) + 0.14
        columns = max(1, min(len(texts), int((room + 0.14) / width)))
        rows = -(-len(texts) // columns)
        places = tuple((i // rows * width, i % rows * ROW) for i in range(len(texts)))
        return _Legend(places, rows * ROW + 0.08)


class Page:
    """A laid-out figure; `axes` are its panels in reading order."""

    def __init__(
        self,
        figure: Figure,
        run: Results,
        title: str,
        *,
        points: Sequence[Point],
        notes: Sequence[Note],
        rows: int = 1,
        columns: int = 1,
        panels: int | None = None,
        height: float = 3.9,
        exact: bool = False,
        beside: bool = False,
        same_x: bool = True,
        shared_y: bool = True,
        headings: bool = True,
        labels: Sequence[str] | None = None,
        interval: str | None = None,
        look: Mapping[str, ModelStyle] | None = None,
        left: float = LEFT,
        right: float | None = None,
    ) -> None:
        """`notes` stand below the panels; of those that are footnotes the keys do, on one line, and
        the rest is for NOTES_FILE (plots.draw writes it). `height` is a panel's least height, and
        `exact` says that it holds rows and is no matter of taste; `panels` how many there are,
        where they do not fill rows and columns. beside: panels share the names of their rows, so
        that they stay side by side in every form; same_x: all have one name on the x axis, which
        those that stand below each other need only once.
        `labels` the texts the label column must hold;
        `look` the styles of the curves, where these are not the run's models; `left` the room in
        inches for what stands on the y axis; `right` that beside each panel, where the caller puts
        the names there."""
        self.figure, self.run, self.form = figure, run, form_of(figure)
        stacked, page_width = self.form.stacked, self.form.width
        if stacked and not beside:
            rows, columns = panels or rows * columns, 1
        gap_y = (0.3 if stacked and same_x else XLABEL) + (0.28 if headings else 0.1)
        if not exact:
            share = (self.form.panels - (rows - 1) * gap_y) / rows
            height = min(height, max(LEAST_HEIGHT, min(self.form.tallest, share)))
        self._told = 0  # entries of the legend that are drawn
        self.styles: Mapping[str, ModelStyle] = styles(run.models) if look is None else look
        texts = labels if labels is not None else [s.label for s in self.styles.values()]
        column = max((text_width(text, TEXT_SIZE) for text in texts), default=0.0)
        self.column = LEADER + SWATCH + 0.08 + max(column, 0.9) + EDGE if texts else EDGE
        self.column = self.column if right is None else right
        body = page_width - 2 * EDGE
        # Where no room is beside the panels, the labels stand below them.
        self._legend = _Legend.of(texts if stacked and right is None else (), body)
        if stacked and right is None:
            self.column = EDGE if exact else HALF_NUMBER
        several = "\n" in title  # several findings: each begins a line, and they are set smaller
        title_size, title_row = (LINES_SIZE, 0.2) if several or stacked else (TITLE_SIZE, 0.24)
        title_lines = [
            line
            for part in title.split("\n")
            for line in _hanging(part, body, title_size, bold=True, indent=several)
        ]
        origin_lines = _within(wrap(provenance(run, points, interval), SMALL_SIZE, body), body)
        footnotes = [note for note in notes if isinstance(note, Footnote)]
        plain = [note for note in notes if isinstance(note, str)]
        note_lines = [line for note in plain for line in _hanging(note, body)]
        keys = list(dict.fromkeys(footnote.key for footnote in footnotes))
        key_lines = wrap(" · ".join([*keys, f"which and why: {NOTES_FILE}"]), SMALL_SIZE, body)
        key_lines = key_lines if keys else []
        below = len(note_lines) + len(key_lines)
        if isinstance(figure, Sheet):
            figure.title, figure.notes, figure.footnotes = title, tuple(plain), tuple(footnotes)

        head = EDGE + title_row * len(title_lines) + 0.16 * len(origin_lines) + 0.12
        if not stacked:
            least = (len(texts) + 2) * ROW
            height = max(height, (least - (rows - 1) * gap_y) / rows)
        foot = XLABEL + (0.16 * below + 0.1 if below else 0.0) + EDGE * 0.6 + self._legend.height
        top = head + (0.26 if headings else 0.06)
        total = top + rows * height + (rows - 1) * gap_y + foot
        figure.set_size_inches(page_width, total)
        self.total = total

        gap_x = (0.26 if shared_y else LEFT) + (right or 0.0)
        width = (page_width - left - self.column - (columns - 1) * gap_x) / columns
        self.axes: list[Axes] = []
        for index in range(rows * columns):
            row, col = divmod(index, columns)
            x = left + col * (width + gap_x)
            bottom = total - top - (row + 1) * height - row * gap_y
            self.axes.append(
                figure.add_axes(
                    (x / page_width, bottom / total, width / page_width, height / total),
                    label=f"p{index}",
                )
            )
        self.body_top = total - top
        self.body_bottom = total - top - rows * height - (rows - 1) * gap_y

        y = total - EDGE
        for line in title_lines:
            self._text(EDGE, y, line, title_size, INK, "title", weight="bold")
            y -= title_row
        for line in origin_lines:
            self._text(EDGE, y, line, SMALL_SIZE, GREY, "origin")
            y -= 0.16
        y = EDGE * 0.6 + 0.16 * below
        for kind, lines in (("note", note_lines), ("key", key_lines)):
            for line in lines:
                self._text(EDGE, y, line, SMALL_SIZE, GREY, kind)
                y -= 0.16

    def _text(
        self, x: float, y: float, text: str, size: float, colour: str, gid: str, **more: Any
    ) -> None:
        artist = self.figure.text(
            x / self.form.width,
            y / self.total,
            text,
            size=size,
            color=colour,
            va="top",
            ha="left",
            **more,
        )
        artist.set_gid(gid)

    def label(self, axes: Axes, endings: Sequence[Ending], leaders: bool = True) -> None:
        """Name every model in the right-hand column, in the order in which the curves end.

        Curves that reach the right edge come first, each joined to its label by a leader (or, with
        leaders=False, in the order given); those that stop short follow below, with the remark.
        On a page without such a column they are named below the panels, in the same order.
        """
        box = axes.get_position()
        edge_x = box.x1 * self.form.width if leaders else self.form.width - self.column
        reach = [ending for ending in endings if ending.place is not None]
        rest = [ending for ending in endings if ending.place is None]
        inches = self.figure.dpi
        spots = {
            e.model: axes.transData.transform(e.place) / inches
            for e in reach
            if e.place is not None
        }
        if leaders:
            reach.sort(key=lambda ending: -float(spots[ending.model][1]))
        if self._legend.places:
            for ending, (x, y) in zip([*reach, *rest], self._spots()):
                self._entry(ending, x, y)
            return
        low, high = (
            (self.body_bottom, self.body_top)
            if not leaders
            else (
                min(box.y0 * self.total, self.body_bottom),
                max(box.y1 * self.total, self.body_top),
            )
        )
        low, high = low + ROW / 2, high - ROW / 2
        if leaders:
            wanted = [float(spots[ending.model][1]) for ending in reach]
        else:
            wanted = [high - index * ROW * 1.15 for index in range(len(reach))]
        if rest:
            floor = wanted[-1] if wanted else high + ROW * 2
            below = floor - ROW * 2
            if leaders:
                below = min(below, low + (len(rest) - 1) * ROW)
            # An empty row keeps the two groups apart.
            wanted += [below + ROW, *(below - index * ROW for index in range(len(rest)))]
        places = spread(wanted, ROW, low, high)
        if rest:
            del places[len(reach)]
        for ending, y in zip([*reach, *rest], places):
            look = self.styles[ending.model]
            if leaders and ending.place is not None:
                x0, y0 = (float(value) for value in spots[ending.model])
                self._line(
                    [x0, max(edge_x, x0) + 0.04, edge_x + LEADER - 0.05],
                    [y0, y0, y],
                    look,
                    linewidth=0.6,
                    alpha=0.75,
                    gid=f"leader:{ending.model}",
                )
            self._entry(ending, edge_x + (LEADER if leaders else 0.2), y)

    def _spots(self) -> list[tuple[float, float]]:
        """Where the entries of the legend begin, in inches from the lower left corner."""
        top = self.body_bottom - XLABEL - ROW / 2
        return [(EDGE + x, top - y) for x, y in self._legend.places]

    def _entry(self, ending: Ending, x: float, y: float) -> None:
        """A piece of the curve, and its name."""
        look = self.styles[ending.model]
        self._line(
            [x, x + SWATCH / 2, x + SWATCH],
            [y, y, y],
            look,
            linewidth=1.6,
            linestyle=look.mpl_dash,
            marker=look.mpl_marker,
            markevery=[1],
            markersize=4.2,
            gid=f"swatch:{ending.model}",
        )
        text = look.label + (f" {ending.remark}" if ending.remark else "")
        artist = self.figure.text(
            (x + SWATCH + 0.08) / self.form.width,
            y / self.total,
            text,
            size=TEXT_SIZE,
            color=INK if ending.place is not None else GREY,
            va="center_baseline",
            ha="left",
        )
        artist.set_gid(f"label:{ending.model}")

    def swatches(self, axes: Axes, entries: Sequence[tuple[str, str]]) -> None:
        """A key to the right of these axes: a name for each colour, from the top down. On a page
        without room there, below all panels, after the keys before it."""
        box = axes.get_position()
        x, y = box.x1 * self.form.width + 0.22, box.y1 * self.total - ROW
        spots = [(x, y - index * ROW) for index in range(len(entries))]
        if self._legend.places:
            spots = self._spots()[self._told :]
            self._told += len(entries)
        width = self.form.width
        for (name, colour), (x, y) in zip(entries, spots):
            swatch = Line2D(
                [x / width, (x + SWATCH * 0.6) / width],
                [y / self.total] * 2,
                transform=self.figure.transFigure,
                color=colour,
                linewidth=6,
                solid_capstyle="butt",
            )
            self.figure.add_artist(swatch)
            self.figure.text(
                (x + SWATCH * 0.6 + 0.08) / width,
                y / self.total,
                name,
                size=SMALL_SIZE,
                va="center_baseline",
                color=INK,
            )

    def _line(self, x: Sequence[float], y: Sequence[float], look: ModelStyle, **more: Any) -> None:
        line = Line2D(
            [value / self.form.width for value in x],
            [value / self.total for value in y],
            transform=self.figure.transFigure,
            color=look.colour,
            solid_capstyle="butt",
            **more,
        )
        self.figure.add_artist(line)


def _hanging(
    note: str, width: float, size: float = SMALL_SIZE, bold: bool = False, indent: bool = True
) -> list[str]:
    """Wrap a note, continuation lines indented under its first word."""
    if not indent:
        return wrap(note, size, width, bold)
    hang = "     "
    lines = wrap(note, size, width - max(0.18, text_width(hang, size, bold)), bold)
    return lines[:1] + [hang + line for line in lines[1:]]


def _within(lines: Sequence[str], width: float) -> list[str]:
    """Lines that are too wide are broken where they should not be."""
    return [
        part
        for line in lines
        for part in (
            [line]
            if text_width(line, SMALL_SIZE) <= width
            else wrap(line.replace("\N{NO-BREAK SPACE}", " "), SMALL_SIZE, width)
        )
    ]


def provenance(run: Results, points: Sequence[Point], interval: str | None) -> str:
    """Machine, placement, replicates, kind of interval, commit: what a number must not lack."""
    least, most = replicates(points)
    parts = [_machine(run.meta.get("host")), _placement(run)]
    parts += [f"{name} {level}" for name, level in run.fixed]
    if most:
        count = f"{most}" if least == most else f"{least}–{most}"
        parts.append(f"{count} replicate{'s' if most > 1 else ''} each")
    parts.append(interval if interval is not None else interval_of(run, points))
    parts.append(_commit(run.meta.get("git")))
    parts.append(str(run.meta.get("started") or "")[:10])
    if not run.complete:
        parts.append("run not complete")
    # Lines break between the parts, not within them.
    return " · ".join(part.replace(" ", "\N{NO-BREAK SPACE}") for part in parts if part)


def interval_of(run: Results, points: Sequence[Point]) -> str:
    """What the bands are. Below five replicates the bootstrap cannot leave the observed range.

    An interval made of n observed values covers the median with at most 1 - 2**(1-n).
    """
    if not run.summarised:
        return "medians of the replicates, no interval (run not summarised)"
    counts = {p.n for p in points if p.spread}
    several = min((n for n in counts if n >= 3), default=0)
    parts = ["median"]
    if several >= 5:
        parts.append(
            f"band: {min(95, round(100 * (1 - 2.0 ** (1 - several))))} % bootstrap interval"
        )
    elif several:
        parts.append(f"band: range ({round(100 * (1 - 2.0 ** (1 - several)))} % interval)")
    if 2 in counts:
        parts.append("bar: range of 2 replicates")
    return "; ".join(parts) if len(parts) > 1 else "no interval"


def _machine(host: object) -> str:
    if not isinstance(host, Mapping):
        return ""
    cpu, count, kernel = (host.get(key) for key in ("cpu", "cpus_online", "kernel"))
    told = (
        str(cpu or host.get("machine") or ""),
        f"{count} CPUs" if count else "",
        f"Linux {kernel}" if kernel else "",
    )
    return ", ".join(part for part in told if part)


def _placement(run: Results) -> str:
    placement = run.meta.get("placement")
    name = str(placement.get("name", "")) if isinstance(placement, Mapping) else ""
    levels = run.levels("placement")
    if levels:  # of a run that varies it, each level says it for itself
        name = levels[0] if len(levels) == 1 and "placement" not in dict(run.fixed) else ""
    meaning = {
        "split": "server and client on different CPUs",
        "shared": "server and client share the CPUs",
    }
    return meaning.get(name, f"placement {name}" if name else "")


def _commit(git: object) -> str:
    if not isinstance(git, Mapping) or not git.get("commit"):
        return ""
    return f"commit {git['commit']}{' with local changes' if git.get('dirty') else ''}"
