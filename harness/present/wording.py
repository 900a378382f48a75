# SPDX-License-Identifier: MIT
"""The words for what was measured and concluded. Pure functions to plain text.

Console and report say the same thing in the same words, because both take them from here.
"""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from harness.design.experiment import Highlight
from harness.design.metrics import Metric
from harness.judge.duel import Ratio
from harness.judge.stats import Estimate
from harness.judge.summary import Contest, Group

# Beside a number: why it is doubtful. `remarks` says more.
BADGES = {"client-limited": "c", "suspect": "s"}
# Half of a ratio's interval, as a fraction of the reference: beyond it both ends are told.
WIDE = 0.3
# So many times the estimate, or a part of it so small, is too far off for a number.
FAR = 10


def duration(seconds: float) -> str:
    """ "45 s", "4 min 05 s", "1 h 30 min"."""
    whole = int(round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def quantity(value: float, unit: str) -> str:
    """A number for people: three significant digits and a fitting prefix."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "inf"
    if unit == "ns":
        for limit, factor, name in ((1e3, 1, "ns"), (1e6, 1e3, "µs"), (1e9, 1e6, "ms")):
            if value < limit * 0.9995:
                return f"{_digits(value / factor)} {name}"
        return f"{_digits(value / 1e9)} s"
    if unit == "us":
        return f"{_digits(value)} µs"
    if unit == "bytes":
        for limit, factor, name in (
            (1024, 1, "B"),
            (1 << 20, 1024, "KiB"),
            (1 << 30, 1 << 20, "MiB"),
        ):
            if value < limit:
                return f"{_digits(value / factor)} {name}"
        return f"{_digits(value / (1 << 30))} GiB"
    if value >= 999.5e3:
        return f"{_digits(value / 1e6)}M"
    if value >= 999.5:
        return f"{_digits(value / 1e3)}k"
    return _digits(value)


def _digits(value: float) -> str:
    """Three significant digits; 999.6 is 1000."""
    if value == 0:
        return "0"
    rounded = float(f"{value:.2e}")
    places = max(0, 2 - math.floor(math.log10(abs(rounded))))
    return f"{rounded:.{min(places, 4)}f}"


def heading(metric: Metric) -> str:
    """The title of a table: "response time p99, lower is better". The unit is named where the
    numbers do not carry it: `quantity` writes "250 µs" and "3.20 KiB", but "81.5k"."""
    unit = "" if metric.unit in ("ns", "us", "bytes") else f" ({metric.unit})"
    better = f", {metric.better} is better" if metric.better else ""
    return f"{metric.label}{unit}{better}"


def spread(estimate: Estimate) -> str:
    """Half the interval's width in percent: "±3%"; "±>100%" where it is more than the estimate
    itself; empty where there is no interval or no finite estimate."""
    if estimate.n < 2:
        return ""
    if math.isinf(estimate.value):
        return ""
    half = estimate.relative_half_width
    if math.isinf(half):
        return "±?"
    if half > 1:
        return "±>100%"
    return f"±{100 * half:.0f}%" if half >= 0.0095 else "±<1%"


def change(ratio: Ratio) -> str:
    """ "+3.3 ± 0.4 %", "3.21 times ± 2 %"; without an interval the estimate alone. A wide one is
    not even about its estimate: "1.79 times [0.85, 3.77]"."""
    if math.isinf(ratio.estimate):
        return "infinite"
    half = 100 * half_of(ratio)
    if half > 100 * WIDE:
        return f"{ratio.estimate:.2f} times {_ends(ratio)}"
    if ratio.estimate > 3:
        return f"{ratio.estimate:.3g} times" + (
            "" if math.isnan(half) else f" ± {half / ratio.estimate:.2g} %"
        )
    percent = 100 * (ratio.estimate - 1)
    if math.isnan(half):
        return f"{percent:+.1f} %"
    return f"{percent:+.{_places(half)}f} ± {fixed(half, half)} %"


def _ends(ratio: Ratio) -> str:
    """ "[0.85, 3.77]"; of an end more than ten times off only that: "[<0.03, >2.90]"."""
    least, most = ratio.estimate / FAR, ratio.estimate * FAR
    lo = f"<{least:.2f}" if ratio.lo < least else f"{ratio.lo:.2f}"
    hi = f">{most:.2f}" if ratio.hi > most else f"{ratio.hi:.2f}"
    return f"[{lo}, {hi}]"


def resolution(fraction: float) -> str:
    """ "± 0.35 %", "± 12 %": half of an interval; "worse than ± 1000 %"."""
    if fraction > FAR:
        return f"worse than ± {100 * FAR:.0f} %"
    return f"± {fixed(100 * fraction, 100 * fraction)} %"


def half_of(ratio: Ratio) -> float:
    """Half of the interval as a fraction of the reference's value: fits beside a difference in
    percent."""
    return (ratio.hi - ratio.lo) / 2


def _places(half: float) -> int:
    return 2 if half < 0.295 else 1 if half < 9.95 else 0


def fixed(value: float, half: float) -> str:
    """A percentage with as many places as its half width deserves."""
    return f"{value:.{_places(half)}f}"


def level(value: Any) -> str:
    """A level as a heading: 10000 as 10k, 1 as 1, but 1024 as it is."""
    if not isinstance(value, (int, float)):
        return str(value) or "–"
    for limit, name in ((1e6, "M"), (1e3, "k")):
        if value >= limit and (value >= 1e5 or float(f"{value:.3g}") == value):
            return f"{value / limit:g}{name}"
    return f"{value:g}"


def levels(contest: Contest) -> str:
    """The levels of a contest as a column heading."""
    return " ".join(level(v) for v in contest.factors.values())


def machine(host: Mapping[str, Any]) -> str:
    """ "2 CPUs (AMD EPYC …), Linux 6.1, virtual machine", from a description of a host."""
    parts = [f"{host.get('cpus_online', '?')} CPUs ({host.get('cpu', 'unknown')})"]
    parts.append(f"Linux {host.get('kernel', '?')}")
    if host.get("virtual"):
        parts.append("virtual machine")
    return ", ".join(parts)


def run_note(meta: Mapping[str, Any]) -> str:
    """Where and how a run was made, in one line."""
    placement = meta["placement"]
    where = {
        "split": "server and client on different CPUs",
        "shared": "server and client share CPUs",
    }
    parts = [machine(meta["host"]), where[placement["name"]], f"profile {meta['profile']}"]
    if placement["note"]:
        parts.append(placement["note"])
    if not meta["complete"]:
        parts.append("INCOMPLETE")
    return " · ".join(parts)


def wanted(contest: Contest, highlight: Highlight) -> bool:
    """Whether a table shows this contest: its levels may be chosen."""
    return not highlight.levels or next(iter(contest.factors.values())) in highlight.levels


def best_marks(contest: Contest) -> Mapping[str, str]:
    """Per model: "best", "tied" (not distinguishable from the best) or "worse".

    Empty where no model is worse, or the metric has no better side: nothing is to be marked then.
    """
    if contest.best is None or not contest.metric.better or not any(contest.worse.values()):
        return {}
    marks = {name: "worse" if worse else "tied" for name, worse in contest.worse.items()}
    # An infinite median may not be provably worse, but it is not a result to be marked.
    infinite = [
        n for n, g in contest.groups.items() if math.isinf(g.estimate(contest.metric.name).value)
    ]
    marks.update({name: "" for name in infinite if marks.get(name) == "tied"})
    return {**marks, contest.best: "best"}


def explanation(found: Sequence[Contest], metric: Metric) -> str:
    """What the numbers of a table are, and how much they can tell apart."""
    counts = [g.estimate(metric.name) for c in found for g in c.groups.values()]
    counts = [e for e in counts if e.n]
    low, high = min(e.n for e in counts), max(e.n for e in counts)
    n = f"n = {low}" if low == high else f"n = {low} to {high}"
    text = f"median of {n} runs"
    if high < 2:
        text += ": too few for an interval"
    else:
        sure = min(e.confidence for e in counts if e.n > 1)
        text += f" ± half of its {100 * sure:.0f} % interval"
    if metric.better and len(found[0].groups) > 1:
        if any(any(c.worse.values()) for c in found):
            text += "; * best, or not distinguishable from the best (two-way fit, Tukey, 5 %)"
        none = [levels(c) for c in found if c.worse and not any(c.worse.values())]
        if none:
            text += f"; at {', '.join(none)}: no model distinguishable from the best"
    return text


def remarks(groups: Sequence[Group]) -> list[tuple[str, str]]:
    """Everything that is not plain "ok": what, and which models at which levels."""
    found: dict[tuple[str, str], dict[str, list[str]]] = {}
    for g in groups:
        at = " ".join(level(v) for v in g.factors.values())
        for badge in g.badges:
            found.setdefault(("badge", badge), {}).setdefault(g.model, []).append(at)
        if g.status != "ok":
            found.setdefault((g.status, g.gist), {}).setdefault(g.model, []).append(at)
    lines = []
    for (status, reason), models in sorted(found.items()):
        where = "; ".join(f"{model} at {', '.join(at)}" for model, at in models.items())
        if status == "badge":
            lines.append((reason, where))
        else:
            what = f"{BADGES.get(status, '')} {status}".strip()
            lines.append((what, where if reason == status else f"{reason}: {where}"))
    return lines
