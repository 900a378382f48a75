# SPDX-License-Identifier: MIT
"""Busy, idle, load: three experiments at a glance, for the README."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from plots.curves import draw_curves
from plots import emphasis
from plots.data import DataError, Point, Results, companions, load_run
from plots.emphasis import emphasised, quieten
from plots.load import AXIS as OFFERED
from plots.page import Ending, Page
from plots.panel import CONNECTIONS
from plots.scale import Axis, Panel, scale_of
from plots.style import format_count, format_ns, styles

X = CONNECTIONS.factor
PER_CPU = Panel("requests_per_cpu_second", "requests per CPU second", format_count, "log")
RATE = Panel("throughput_rps", "throughput (requests/s)", format_count, "log")
TAIL = Panel("p99_ns", "p99 response time", format_ns, "log")
# Runs from before the metric was introduced have the rate alone.
COST = (PER_CPU, RATE)
IDLE = Axis("idle", "idle connections beside 100 busy", format_count, "linear")


@dataclass(frozen=True)
class Part:
    """One of the three: which experiment, what is drawn of it, and what its title says."""

    experiment: str
    heading: str
    axis: Axis
    panels: Sequence[Panel]  # the first that the run has values for
    key: str  # of the run's titles


PARTS = (
    Part("c10k", "busy", Axis(X, "busy connections"), COST, "server_cpu_us_per_request"),
    Part("idle", "idle", IDLE, COST, "slope:server_cpu_us_per_request"),
    Part("load_latency", "load", OFFERED, (TAIL,), "kept"),
)


def applies(run: Results) -> bool:
    """The run varies the number of connections and measured what the first panel shows."""
    return not run.fixed and _panel(PARTS[0], run) is not None


def draw(run: Results, figure: Figure) -> None:
    """A panel for each experiment that the same `tenk run` measured; this one's at least."""
    runs = {run.experiment: run, **_others(run)}
    parts = [(PARTS[0], run), *((p, runs[p.experiment]) for p in PARTS[1:] if p.experiment in runs)]
    drawn = [(part, one, panel) for part, one in parts if (panel := _panel(part, one)) is not None]
    all_series = [one.series(panel.metric, part.axis.factor) for part, one, panel in drawn]
    points = [p for series in all_series for line in series.values() for p in line]
    models = list(dict.fromkeys(name for _, one, _ in drawn for name in one.models))
    loud = frozenset().union(*(emphasised(one) for _, one, _ in drawn))
    look = quieten(styles(models), loud)
    page = Page(
        figure,
        run,
        _title(drawn),
        points=points,
        notes=[*_notes(points), *emphasis.note(look)],
        columns=len(drawn),
        height=2.9,
        shared_y=False,
        same_x=False,
        labels=[style.label for style in look.values() if not style.quiet],
        look=look,
    )
    for axes, (part, _, panel), series in zip(page.axes, drawn, all_series):
        shown = {name: line for name, line in series.items() if _measured(line)}
        own = [p for line in shown.values() for p in line]
        headed = Panel(panel.metric, f"{part.heading}: {panel.heading}", panel.format, panel.scale)
        draw_curves([axes], part.axis, [headed], [shown], look, scale_of(panel, own))
    told = [model for model in models if not look[model].quiet]
    page.label(page.axes[-1], _endings(told, all_series), leaders=False)


def _panel(part: Part, run: Results) -> Panel | None:
    return next((p for p in part.panels if run.has(part.axis.factor, p.metric)), None)


def _others(run: Results) -> dict[str, Results]:
    found = {}
    for name, path in companions(run).items():
        try:
            found[name] = load_run(path)
        except DataError:
            continue  # its own figures will say so
    return found


def _measured(line: Sequence[Point]) -> bool:
    return any(p.n and not p.missing for p in line)


def _title(drawn: Sequence[tuple[Part, Results, Panel]]) -> str:
    """A line for each panel that has a finding."""
    found = [
        f"{p.heading.capitalize()}: {one.titles[p.key]}"
        for p, one, _ in drawn
        if p.key in one.titles
    ]
    return "\n".join(found) or "I/O models with busy connections, with idle ones, and under load"


def _notes(points: Sequence[Point]) -> list[str]:
    """The marks alone: where and why is under the figures of each experiment."""
    marks = {
        "○ in doubt": any(p.status in ("client-limited", "suspect") for p in points),
        "× not supported": any(p.status == "unsupported" for p in points),
        "! failed": any(p.status == "failed" for p in points),
        "? void": any(p.status == "void" for p in points),
        "↑ infinite": any(p.estimate == float("inf") for p in points),
    }
    told = [mark for mark, there in marks.items() if there]
    return [" · ".join([*told, "why: see the figures of each experiment"])] if told else []


def _endings(
    models: Sequence[str], all_series: Sequence[Mapping[str, list[Point]]]
) -> list[Ending]:
    """The legend, best in the first panel first (by the last level it reached), others after."""
    first = all_series[0]

    def last(model: str) -> float:
        values = [p.estimate for p in first.get(model, []) if p.n and not p.missing]
        return values[-1] if values else 0.0

    ranked = sorted(models, key=lambda model: -last(model))
    return [Ending(model, (0.0, 0.0)) for model in ranked]
