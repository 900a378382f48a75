# SPDX-License-Identifier: MIT
"""Where the sign of a comparison depends on several things at once: a heat map of the ratios to the
reference, with "cannot tell" as a colour of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from plots.data import Interval, Meeting, Point, Results, number
from plots.page import (
    EDGE,
    FAINT,
    GREY,
    INK,
    SMALL_SIZE,
    TEXT_SIZE,
    Footnote,
    Note,
    Page,
    form_of,
    text_width,
    wrap,
)
from plots.style import format_count

X = None
METRIC = "server_cpu_us_per_request"
HOW = {"together": "together", "turns": "in turns"}
# From a difference that can hardly be seen to one of a factor of two and more.
CHEAPER, DEARER = ("#DCE9F6", "#1F5FA8"), ("#FBE6CF", "#B35806")
FULL = math.log(2)
UNKNOWN, HATCH = "#E4E4E4", "#BDBDBD"
CELL, HEAD_ROW = 0.25, 0.17
NARROW = 0.36  # the least width of a cell, inches
ROOM = 0.14  # beside each word of the labels
# As few places as this, in one dimension, are better shown with their intervals: ratios.py.
LEAST_LEVELS = 4

Level = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Cell:
    """What one model came to at one level, against the reference. status: of summary.tsv."""

    ratio: Interval
    status: str

    @property
    def sign(self) -> int:
        """-1: cheaper, 1: dearer, 0: the interval holds 1, or nothing may be believed."""
        if self.status == "void" or not self.known:
            return 0
        return -1 if self.ratio.hi < 1 else 1 if self.ratio.lo > 1 else 0

    @property
    def known(self) -> bool:
        """There is a ratio with an interval."""
        values = (self.ratio.estimate, self.ratio.lo, self.ratio.hi)
        return all(math.isfinite(value) and value > 0 for value in values)


@dataclass(frozen=True)
class Table:
    """Rows: levels, in order. columns: arrangement and model."""

    rows: tuple[Level, ...]
    columns: tuple[tuple[str, str], ...]
    cells: Mapping[tuple[Level, str, str], Cell]
    factors: tuple[str, ...]  # those that have more than one level


def applies(run: Results) -> bool:
    """The run compared its models at several levels of several factors."""
    return not run.fixed and is_sign(run)


def is_sign(run: Results) -> bool:
    """Whether the comparisons of a run make a map rather than rows of intervals."""
    levels = {p.factors for p in run.points if p.metric.partition(":")[0] in HOW}
    return len(levels) >= LEAST_LEVELS and len(_varied(levels)) > 1


def draw(run: Results, figure: Figure) -> None:
    """A row for each level, a column for each model; the colour is the sign and its size."""
    table = _table(run)
    labels = [[_text(dict(row)[name]) for name in table.factors] for row in table.rows]
    heads = [_heading(run, name) for name in table.factors]
    widths = _widths(heads, labels)
    left = EDGE + sum(widths)
    several = len({how for how, _ in table.columns}) > 1
    form = form_of(figure)
    room = form.width - left - EDGE
    # In a column of print names stand upright, and numbers go without their sign of per cent.
    # Models that find no room have a map of their own below.
    most = max(1, int(room / NARROW)) if form.stacked else len(table.columns)
    maps = -(-len(table.columns) // most)
    most = -(-len(table.columns) // maps)
    column = room / most
    if form.stacked:
        names = [[f"{model}, {HOW[how]}" if several else model] for how, model in table.columns]
        upright = max(text_width(name, TEXT_SIZE) for (name,) in names) + 0.1
        head = max(upright, max(len(words) for words in heads) * HEAD_ROW + 0.06)
    else:
        split = (
            wrap(model.replace("_", "_ "), TEXT_SIZE, column - 0.08) for _, model in table.columns
        )
        names = [[line.replace("_ ", "_") for line in lines] for lines in split]
        highest = max([len(lines) for lines in names] + [len(words) for words in heads]) + several
        head = highest * HEAD_ROW + 0.06
    page = Page(
        figure,
        run,
        _title(table, run.meetings),
        points=[],
        notes=[*_notes(table, run), *(["Numbers: per cent."] if form.stacked else [])],
        rows=maps,
        exact=True,
        height=head + CELL * len(table.rows),
        labels=[],
        interval="coloured where the 95 % interval excludes 1",
        headings=False,
        left=left,
    )
    top = -0.5 - head / CELL
    for axes in page.axes:
        axes.set_xlim(-0.5, most - 0.5)
        axes.set_ylim(len(table.rows) - 0.5, top)
        axes.axis("off")
        _label_rows(page, axes, heads, labels, widths)
    for number_of, (how, model) in enumerate(table.columns):
        axes, index = page.axes[number_of // most], number_of % most
        if form.stacked:
            _upright(axes, index, names[number_of][0], f"model:{how}:{model}")
        else:
            lines = [HOW[how], *names[number_of]] if several else names[number_of]
            _head(axes, index, lines, f"model:{how}:{model}")
        for row, level in enumerate(table.rows):
            cell = table.cells.get((level, how, model))
            _draw_cell(axes, index, row, cell, f"{how}:{model}:{row}", form.stacked)


def _varied(levels: set[Level]) -> list[str]:
    seen: dict[str, set[str]] = {}
    for level in levels:
        for name, value in level:
            seen.setdefault(name, set()).add(value)
    return [name for name, values in seen.items() if len(values) > 1]


def _table(run: Results) -> Table:
    met = {(m.factors, m.arrangement): m for m in run.meetings}
    cells: dict[tuple[Level, str, str], Cell] = {}
    for p in run.points:
        how, _, metric = p.metric.partition(":")
        if metric == METRIC and how in HOW:
            cells[p.factors, how, p.model] = _cell(p, met.get((p.factors, how)))
    levels = {level for level, _, _ in cells} | {m.factors for m in run.meetings}
    order = sorted(levels, key=lambda level: [_sortable(value) for _, value in level])
    columns = [
        (how, model)
        for how in HOW
        for model in run.models
        if any((level, how, model) in cells for level in order)
    ]
    return Table(tuple(order), tuple(columns), cells, tuple(_varied(levels)))


def _cell(point: Point, meeting: Meeting | None) -> Cell:
    """Where the control was not found at its size, the interval is wider by as much as it was off,
    as in harness.judge.levels."""
    ratio = Interval(point.estimate, point.lo, point.hi)
    if point.status == "suspect" and meeting is not None:
        off = meeting.control.estimate / meeting.expected if meeting.expected > 0 else math.nan
        if math.isfinite(off) and off > 0:
            more = math.exp(abs(math.log(off)))
            ratio = replace(ratio, lo=ratio.lo / more, hi=ratio.hi * more)
    return Cell(ratio, point.status)


def _sortable(value: str) -> tuple[bool, float, str]:
    as_number = number(value)
    return (math.isnan(as_number), 0.0 if math.isnan(as_number) else as_number, value)


def _text(value: str) -> str:
    return value if math.isnan(number(value)) else format_count(number(value))


def _heading(run: Results, factor: str) -> list[str]:
    """The factor's title as the experiment has it, a word or two to a line."""
    experiment = run.meta.get("experiment")
    factors = experiment.get("factors") if isinstance(experiment, dict) else None
    told = factors.get(factor) if isinstance(factors, dict) else None
    title = str(told.get("title") or factor) if isinstance(told, dict) else factor
    return wrap(title, SMALL_SIZE, 0.85)


def _widths(heads: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]) -> list[float]:
    """Of the columns of words to the left of the cells, in inches."""
    found = []
    for index, head in enumerate(heads):
        words = [text_width(line, SMALL_SIZE) for line in head]
        words += [text_width(row[index], TEXT_SIZE) for row in labels]
        found.append(max(words) + ROOM)
    return found


def _head(axes: Axes, column: int, lines: Sequence[str], gid: str) -> None:
    for index, line in enumerate(lines):
        above = (len(lines) - index - 0.5) * HEAD_ROW / CELL
        text = axes.text(column, -0.5 - above, line, size=TEXT_SIZE, color=INK)
        text.set(ha="center", va="center_baseline")
        text.set_gid(gid)


def _upright(axes: Axes, column: int, name: str, gid: str) -> None:
    text = axes.text(column, -0.5 - 0.06 / CELL, name, size=TEXT_SIZE, color=INK, rotation=90)
    text.set(ha="center", va="bottom")
    text.set_gid(gid)


def _draw_cell(axes: Axes, column: int, row: int, cell: Cell | None, gid: str, short: bool) -> None:
    box = Rectangle((column - 0.5, row - 0.5), 1, 1, linewidth=1.2, edgecolor="white")
    colour, words, ink = "white", "n/a", GREY
    if cell is not None and (cell.status == "void" or not cell.known):
        colour, words = UNKNOWN, "void" if cell.status == "void" else "?"
    elif cell is not None:
        words, ink = _percent(cell.ratio.estimate), INK
        words = words.removesuffix(" %") if short else words
        colour = UNKNOWN
        if cell.sign:
            share = min(1.0, abs(math.log(cell.ratio.estimate)) / FULL)
            colour = _blend(CHEAPER if cell.sign < 0 else DEARER, share)
            ink = "white" if share > 0.55 else INK
        else:
            box.set(hatch="/////", edgecolor=HATCH, linewidth=0.0)
            ink = GREY
    box.set_facecolor(colour)
    box.set_gid(f"cell:{gid}:{cell.sign if cell is not None else 'none'}")
    axes.add_patch(box)
    size = SMALL_SIZE if short else TEXT_SIZE
    text = axes.text(column, row, words, size=size, color=ink, zorder=3)
    text.set(ha="center", va="center_baseline")
    if colour == UNKNOWN:
        text.set_bbox({"facecolor": UNKNOWN, "edgecolor": "none", "pad": 1.0})
    text.set_gid(f"ratio:{gid}")


def _percent(ratio: float) -> str:
    """Against the reference; beyond twice as much, as a factor."""
    if ratio >= 2:
        return f"×{ratio:.2g}"
    if abs(ratio - 1) < 0.1:
        return f"{100 * (ratio - 1):+.1f} %".replace("-", "−")
    return f"{100 * (ratio - 1):+.0f} %".replace("-", "−")


def _blend(ends: tuple[str, str], share: float) -> str:
    low, high = (to_rgb(colour) for colour in ends)
    mixed = (round(255 * (a + (b - a) * share)) for a, b in zip(low, high))
    return "#" + "".join(f"{value:02X}" for value in mixed)


def _label_rows(
    page: Page,
    axes: Axes,
    heads: Sequence[Sequence[str]],
    labels: Sequence[Sequence[str]],
    widths: Sequence[float],
) -> None:
    """The levels beside their rows, each told where it changes; a line where the first one does."""
    box = axes.get_position()
    bottom = box.y0 * page.total
    x = EDGE
    for index, (head, width) in enumerate(zip(heads, widths)):
        for line, text in enumerate(head):
            y = bottom + len(labels) * CELL + (len(head) - line - 0.5) * HEAD_ROW
            _word(page, x, y, text, SMALL_SIZE, GREY, f"factor:{index}:{line}")
        for row, words in enumerate(labels):
            if row and words[: index + 1] == labels[row - 1][: index + 1]:
                continue
            y = bottom + (len(labels) - row - 0.5) * CELL
            _word(page, x, y, words[index], TEXT_SIZE, INK, f"level:{index}:{row}")
        x += width
    for row in range(1, len(labels)):
        if labels[row][0] != labels[row - 1][0]:
            axes.axhline(row - 0.5, color=INK, linewidth=0.7, zorder=4)
        elif labels[row][:2] != labels[row - 1][:2]:
            axes.axhline(row - 0.5, color=FAINT, linewidth=0.7, zorder=4)


def _word(page: Page, x: float, y: float, text: str, size: float, colour: str, gid: str) -> None:
    artist = page.figure.text(x / page.form.width, y / page.total, text, size=size, color=colour)
    artist.set(ha="left", va="center_baseline")
    artist.set_gid(gid)


def _title(table: Table, meetings: Sequence[Meeting]) -> str:
    reference = " or ".join(dict.fromkeys(m.reference for m in meetings)) or "the reference"
    signs = [cell.sign for cell in table.cells.values()]
    return (
        f"Against {reference} a request is cheaper in {signs.count(-1)} of {len(signs)} places,"
        f" dearer in {signs.count(1)}; in {signs.count(0)} it cannot be told"
    )


def _notes(table: Table, run: Results) -> list[Note]:
    count = len(table.cells)
    told: list[Note] = [
        "Server CPU time per request against the reference: blue is cheaper, orange dearer, the"
        " deepest colour half and twice as much. Grey and hatched: cannot tell.",
        Footnote(
            "95 % each",
            "Grey and hatched: the interval holds 1, so the sign cannot be told; the number there"
            " is an estimate and no finding.",
        ),
        Footnote(
            "95 % each",
            f"Each interval is of 95 % by itself: of {count} places about"
            f" {max(1, round(count / 20))} would be coloured if nothing differed at all."
            " Look for whole rows and columns.",
        ),
    ]
    void = [key for key, cell in table.cells.items() if cell.status == "void"]
    if void:
        told.append("void: the reference differed from itself there, so nothing may be believed.")
    if any(cell.status == "suspect" for cell in table.cells.values()):
        text = "Where the known cost of the control was missed, the interval is wider by as much."
        told.append(Footnote("some widened", text))
    known = [key for key in table.cells if table.cells[key].known]
    if len(known) < len(table.cells):
        told.append(Footnote("? too few runs", "?: too few runs counted for an interval."))
    gone = {name for meeting in run.meetings for name in meeting.left_out}
    if gone:
        text = f"n/a: left out at that level ({', '.join(sorted(gone))})."
        told.append(Footnote("n/a: left out", text))
    elif len(table.cells) < len(table.rows) * len(table.columns):
        told.append("n/a: no run counted.")
    return told
