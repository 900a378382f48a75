# SPDX-License-Identifier: MIT
"""The table of docs/models.md: what each model costs and holds, from a run. Pure, to Markdown."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.design.duel import TOGETHER
from harness.design.experiment import Experiment
from harness.design.metrics import METRICS
from harness.judge.levels import Arrangement, LevelDuel
from harness.judge.summary import Group
from harness.present import wording
from harness.store import level_text

CPU = "server_cpu_us_per_request"
MEMORY = ("user_bytes_per_connection", "kernel_bytes_per_connection")
HEADINGS = ("model", "family", "CPU per request", "against {}", "user memory", "kernel memory")


def table(
    experiment: Experiment,
    groups: Sequence[Group],
    duels: Sequence[LevelDuel],
    families: Mapping[str, str],
) -> list[str]:
    """Lines of Markdown: a row for each model of `families`, in that order.

    The ratio is that of the first level at which the models met together, and CPU time is of the
    same level; memory is of the level with most connections that the model serves.
    """
    met = next(((d, a) for d in duels for a in d.arrangements if a.name == TOGETHER), None)
    reference = met[0].reference if met else experiment.reference
    headings = [heading.format(reference) for heading in HEADINGS]
    lines = [f"| {' | '.join(headings)} |", "|---|---|---:|---:|---:|---:|"]
    for model, family in families.items():
        own = [g for g in groups if g.model == model]
        cells = [_cost(own, met), _ratio(model, met), *(_memory(own, m) for m in MEMORY)]
        if not any(c.usable for g in own for c in g.cells):
            cells = [_reason(own), "", "", ""]
        lines.append(f"| `{model}` | {family} | {' | '.join(cells)} |")
    return lines


def notes(
    experiment: Experiment,
    meta: Mapping[str, Any],
    duels: Sequence[LevelDuel],
    groups: Sequence[Group],
) -> list[str]:
    """What the numbers are, in sentences; a line each."""
    load = experiment.base
    said = [
        f"{wording.run_note(meta)}; commit {meta['git']['commit']}, {str(meta['started'])[:10]}.",
        f"CPU time is of the server, at {load.offered_rps:g} requests/s over {load.connections}"
        " connections; the median over replicates.",
        "Memory is per connection, with most connections idle, at the highest number that was"
        " measured (in brackets where it is not the same for all); kernel memory is of both ends.",
    ]
    met = next(((d, a) for d in duels for a in d.arrangements if a.name == TOGETHER), None)
    if met is not None:
        said.append(_controls(*met))
        gone = [f"`{name}` ({why})" for name, why in met[0].left_out.items()]
        if gone:
            said.append(f"Not compared: {'; '.join(gone)}.")
    return said + _doubts(groups)


def _doubts(groups: Sequence[Group]) -> list[str]:
    """For each status that is in doubt, who has it at some level, and what its cells say."""
    said = []
    for status in sorted({g.status for g in groups} & _DOUBTS):
        found = [g for g in groups if g.status == status]
        models = dict.fromkeys(f"`{g.model}`" for g in found)
        cells = [c for g in found for c in g.cells if c.status == status]
        reasons = sorted({word for c in cells for word in c.gist.split(", ") if word != status})
        why = f" ({', '.join(reasons)})" if reasons else ""
        said.append(f"At some level {status}{why}: {', '.join(models)}.")
    return said


_DOUBTS = {"suspect", "void", "failed", "client-limited"}


def _controls(level: LevelDuel, one: Arrangement) -> str:
    twin, control = one.twin.get(CPU), one.control.get(CPU)
    parts = ["The ratio is from runs at the same time on the same CPUs, with its 95 % interval"]
    if twin is not None:
        parts.append(f"{level.reference} against itself {wording.change(twin)}")
    if control is not None:
        known = 100 * (one.expected - 1)
        parts.append(f"a known cost of {known:.1f} % found as {wording.change(control)}")
    text = "; ".join(parts)
    return f"{text}{'; VOID' if one.void(CPU) else ''}."


def _cost(own: Sequence[Group], met: tuple[LevelDuel, Arrangement] | None) -> str:
    found = [g for g in own if met is None or met[0].at(g.factors)]
    return next((text for g in found if (text := _value(g, CPU))), "–")


def _ratio(model: str, met: tuple[LevelDuel, Arrangement] | None) -> str:
    if met is None:
        return "–"
    if model == met[0].reference:
        return "1"
    ratio = met[1].ratio(model, CPU)
    return "–" if ratio is None else wording.change(ratio)


def _memory(own: Sequence[Group], metric: str) -> str:
    """At the level with most connections; which one, where it is not the usual."""
    ordered = sorted(own, key=lambda g: float(g.factors.get("idle", 0)))
    for g in reversed(ordered):
        text = _value(g, metric)
        if text:
            usual = g is ordered[-1]
            return text if usual else f"{text} ({level_text(g.factors.get('idle', 0))} idle)"
    return "–"


def _value(group: Group, metric: str) -> str:
    estimate = group.estimate(metric)
    if not estimate.n:
        return ""
    # Memory of the whole machine, before and after: others may have given back more.
    return (
        wording.quantity(estimate.value, METRICS[metric].unit) if estimate.value > 0 else "not seen"
    )


def _reason(own: Sequence[Group]) -> str:
    return own[0].why.replace("|", "\\|") if own else "not measured"
