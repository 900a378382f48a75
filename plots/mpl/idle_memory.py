# SPDX-License-Identifier: MIT
"""idle_memory: what a connection that says nothing holds, a bar for each model and guest, the most
frugal first."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from plots.data import Results
from plots.families import FAMILIES, ROW_IN
from plots.page import (
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
from plots.style import format_bytes

X = None
USER, KERNEL = "user_bytes_per_connection", "kernel_bytes_per_connection"
HEADINGS = {USER: "the server's own", KERNEL: "the kernel's, both ends"}
# Told apart by lightness too.
COLOURS = dict(zip(FAMILIES, ("#5B5531", "#264FA9", "#DD5107", "#179039", "#B863C8", "#E8B608")))
OTHER = "#8C8C8C"
GUEST = "guest:"
NUMBER_IN = 0.58  # the widest number at the end of a bar there
PAGE_IN = 9.0  # a column of print holds no more of bars, below each other


def applies(run: Results) -> bool:
    """The run is about memory, and has one level at which several models are compared."""
    return not run.fixed and _main(run) == USER and len(_values(run)) > 1


def draw(run: Results, figure: Figure) -> None:
    """Two columns with one order: by the sum of the two."""
    values = _values(run)
    models = sorted(values, key=lambda model: (_sum(values[model]), model))
    colours = {model: COLOURS.get(run.families.get(model, ""), OTHER) for model in models}
    legend = [f for f in FAMILIES if any(run.families.get(m) == f for m in models)]
    if any(colours[model] == OTHER for model in models):
        legend.append("other")
    height = ROW_IN * (len(models) + 0.6)
    beside = 2 * height > PAGE_IN
    page = Page(
        figure,
        run,
        run.title(USER, "What does a connection that says nothing hold?"),
        points=[p for p in run.points if p.metric == USER],
        notes=_notes(run, values),
        rows=1,
        columns=2,
        exact=True,
        beside=beside,
        height=height,
        labels=legend,
        left=max(text_width(model, SMALL_SIZE) for model in models) + 0.3,
    )
    for index, (axes, metric) in enumerate(zip(page.axes, HEADINGS)):
        one = {m: values[m][metric] for m in models if metric in values[m]}
        _frame(axes, models, one, index == 0 or (page.form.stacked and not beside))
        heading = "\n".join(wrap(HEADINGS[metric], TEXT_SIZE, _inches(axes)))
        axes.set_title(heading, size=TEXT_SIZE, loc="left", color=INK)
        _bars(axes, models, one, colours, page.form.number_size())
    page.swatches(page.axes[-1], [(name, COLOURS.get(name, OTHER)) for name in legend])


def _sum(one: Mapping[str, float]) -> float:
    """What is below nought is noise of other programs' memory, and saves nobody any."""
    return sum(max(0.0, value) for value in one.values())


def _main(run: Results) -> str:
    experiment = run.meta.get("experiment")
    return str(experiment.get("metric") or "") if isinstance(experiment, dict) else ""


def _values(run: Results) -> dict[str, dict[str, float]]:
    """Bytes by model and metric, at the level with the most connections."""
    told = [p for p in run.points if p.metric in HEADINGS and math.isfinite(p.estimate)]
    most = max((p.x(name) for p in told for name in run.factors), default=math.nan)
    found: dict[str, dict[str, float]] = {}
    for p in told:
        if not run.factors or any(p.x(name) == most for name in run.factors):
            found.setdefault(p.model, {})[p.metric] = p.estimate
    return {model: one for model, one in found.items() if USER in one}


def _inches(axes: Axes) -> float:
    return float(axes.get_position().width * axes.figure.get_figwidth())


def _frame(axes: Axes, models: Sequence[str], values: Mapping[str, float], names: bool) -> None:
    positive = [v for v in values.values() if v > 0] or [1.0]
    low = 2.0 ** math.floor(math.log2(min(positive)) - 0.5)
    high = 2.0 ** math.ceil(math.log2(max(positive)))
    axes.set_xscale("log", base=2)
    # Room for the number at the end of the longest bar.
    wide = _inches(axes)
    beyond = NUMBER_IN / max(wide - NUMBER_IN, 0.1) if form_of(axes.figure).stacked else 0.3
    axes.set_xlim(low, high * (high / low) ** beyond)
    step = max(
        1, math.ceil(math.log2(high / low) / min(5, max(1, int(wide / (1 + beyond) / 0.35))))
    )
    places = [2.0**e for e in range(round(math.log2(low)), round(math.log2(high)) + 1)]
    places = [place for place in places if round(math.log2(place)) % step == 0]
    axes.xaxis.set_major_locator(FixedLocator(places))
    axes.xaxis.set_major_formatter(FixedFormatter([format_bytes(place) for place in places]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_ylim(len(models) - 0.3, -0.7)
    axes.yaxis.set_major_locator(FixedLocator(range(len(models))))
    axes.yaxis.set_major_formatter(FixedFormatter(list(models) if names else []))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.tick_params(axis="y", length=0, labelsize=SMALL_SIZE, labelleft=names)
    axes.tick_params(axis="x", labelsize=SMALL_SIZE)
    axes.spines["left"].set_visible(False)


def _bars(
    axes: Axes,
    models: Sequence[str],
    values: Mapping[str, float],
    colours: Mapping[str, str],
    size: float,
) -> None:
    """The number at the end of each; what is not above nought has a number and no bar."""
    low = axes.get_xlim()[0]
    for place, model in enumerate(models):
        value = values.get(model)
        end = low
        if value is not None and value > low:
            end = value
            axes.barh(
                place, value - low, 0.72, left=low, color=colours[model], linewidth=0
            ).patches[0].set_gid(f"bar:{model}")
        said = "–" if value is None else format_bytes(value) if value > 0 else "noise"
        axes.annotate(
            said,
            (end, place),
            xytext=(2.5, 0),
            textcoords="offset points",
            size=size,
            va="center_baseline",
            color=INK if value is not None else GREY,
        ).set_gid(f"total:{model}")


def _notes(run: Results, told: Mapping[str, object]) -> list[Note]:
    """Which scale, and what is missing with the reason."""
    notes: list[Note] = [
        "Bytes per connection on a logarithmic scale; sorted by the sum of the two columns."
    ]
    missing: dict[str, list[str]] = {}
    for p in run.points:
        if p.model not in told and p.reason:
            names = missing.setdefault(p.reason, [])
            if p.model not in names:
                names.append(p.model)
    if missing:
        said = "; ".join(f"{', '.join(names)} ({why})" for why, names in missing.items())
        few = ", ".join(name for names in missing.values() for name in names)
        notes.append(Footnote(f"not measured: {few}", f"Not measured: {said}."))
    return notes
