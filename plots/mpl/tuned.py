# SPDX-License-Identifier: MIT
"""How each design does with more or fewer workers: one curve for each, its best setting named."""

import math
import re
from dataclasses import replace

from matplotlib.figure import Figure

from plots.data import Point, Results
from plots.panel import draw_panels, usable
from plots.scale import Axis, Panel
from plots.style import format_count, format_ns, format_us

X = None
WORKERS = "workers"
AXIS = Axis(WORKERS, "workers (-w)", format_count)
PANELS = [
    Panel("throughput_rps", "throughput (requests/s)", format_count, "zero"),
    Panel("server_cpu_us_per_request", "server CPU per request", format_us, "zero"),
    Panel("p99_ns", "p99 response time", format_ns, "log"),
]
# Designs, and settings of each: with fewer there is nothing to be tuned, or to be compared.
LEAST_DESIGNS, LEAST_SETTINGS = 2, 3
_SETTING = re.compile(r"(\S+) -w (\d+)")


def applies(run: Results) -> bool:
    """Several models of the run are each measured with several numbers of workers."""
    settings = _settings(run)
    designs = [design for design, _ in settings.values()]
    tuned = {design for design in designs if designs.count(design) >= LEAST_SETTINGS}
    return not run.fixed and len(tuned) >= LEAST_DESIGNS


def draw(run: Results, figure: Figure) -> None:
    """Rate, cost and tail against the number of workers, at the highest level."""
    by_workers, at = _by_workers(run)
    panels = usable(PANELS, by_workers, AXIS)
    title = _title(by_workers, at)
    draw_panels(figure, by_workers, title, AXIS, panels, height=3.3, shared_y=False, leaders=False)


def _settings(run: Results) -> dict[str, tuple[str, int]]:
    """Design and number of workers of each model that is named with them."""
    found = {name: _SETTING.fullmatch(name) for name in run.models}
    return {name: (m.group(1), int(m.group(2))) for name, m in found.items() if m}


def _by_workers(run: Results) -> tuple[Results, str]:
    """The run at its highest level as one of designs against workers, and that level in words."""
    settings = _settings(run)
    levels = sorted({p.factors for p in run.points}, key=lambda at: [_number(v) for _, v in at])
    points = tuple(
        _moved(p, *settings[p.model])
        for p in run.points
        if p.factors == levels[-1] and p.model in settings
    )
    designs = dict.fromkeys(design for design, _ in settings.values())
    meta = {**run.meta, "models": {name: {"name": name} for name in designs}, "plan": []}
    words = ", ".join(f"{format_count(_number(v))} {name}" for name, v in levels[-1])
    return replace(run, points=points, factors=(WORKERS,), meta=meta, titles={}), words


def _moved(point: Point, design: str, workers: int) -> Point:
    return replace(point, model=design, factors=((WORKERS, str(workers)),))


def _title(run: Results, at: str) -> str:
    """What each design is best with, by the median of its replicates."""
    best: dict[str, Point] = {}
    for p in run.points:
        if p.metric == PANELS[0].metric and math.isfinite(p.estimate):
            if p.model not in best or p.estimate > best[p.model].estimate:
                best[p.model] = p
    if not best:
        return "How many workers does each design need?"
    told = ", ".join(
        f"{p.level(WORKERS)}\N{NO-BREAK SPACE}in\N{NO-BREAK SPACE}{name}"
        for name, p in best.items()
    )
    return f"Most requests, at {at}, with so many workers: {told}"


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
