# SPDX-License-Identifier: MIT
"""How an evidence run is told: a table in Markdown, a sentence above it, and tenk.evidence/1."""
from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from harness.design.duel import ALONE, TOGETHER, TURNS
from harness.design.evidence import ACCURACY, HONESTY, POWER, Evidence, Profile
from harness.judge import evidence as judge
from harness.judge.evidence import Row
from harness.present.wording import change

SCHEMA = "tenk.evidence/1"
ARRANGED = {ALONE: "one after the other"}

Column = tuple[str, Callable[[Row], str]]


def sentence(asked: Evidence, rows: Sequence[Row]) -> str:
    """What came out, in one or two sentences."""
    known = [row for row in rows if row.duels]
    if not known:
        return "No duel ended with an interval: nothing can be said."
    total = sum(row.duels for row in known)
    if asked.asks == HONESTY:
        wrong = sum(row.different for row in known)
        return (
            f"{wrong} of {total} duels between equal servers called them different"
            f" ({_percent(wrong, total)}; a sound 95 % interval does in 5 %);"
            f" {sum(row.different99 for row in known)} did by the 99 % interval."
        )
    if asked.asks == ACCURACY:
        right = sum(row.covers for row in known)
        return (
            f"In {right} of {total} duels the interval held the known cost"
            f" ({_percent(right, total)}; a sound 95 % interval does in 95 %)."
        )
    if asked.asks == POWER:
        # Two of two is no proof: the interval of the share counts.
        seen = [row for row in known if judge.share_interval(row.found, row.duels)[0] > 0.5]
        least = min(seen, key=lambda r: (r.series.share, r.seconds), default=None)
        if least is None:
            return "No cost was surely found more often than not: more duels would tell."
        return (
            f"The smallest cost that is surely found more often than not is"
            f" {100 * least.series.share:g} %, in {least.seconds:g} s:"
            f" by {least.found} of {least.duels} duels."
        )
    times: dict[str, list[float]] = {}
    for row in known:
        wider = _alone(row, rows)
        if wider is not None:
            times.setdefault(row.series.arrangement, []).append(wider)
    if not times:
        return "How much narrower the intervals are than one after the other was not measured."
    return (
        "In the same seconds, the interval of one after the other is wider: "
        + "; ".join(f"{min(t):.3g} to {max(t):.3g} times that of {n}" for n, t in times.items())
        + "."
    )


def table(asked: Evidence, rows: Sequence[Row]) -> str:
    """A Markdown table, one line for each series and length of a duel."""
    columns = [*_level(rows), *_answer(asked, rows)]
    lines = [[heading for heading, _ in columns], ["---"] * len(columns)]
    lines += [[say(row) for _, say in columns] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def page(asked: Evidence, profile: Profile, rows: Sequence[Row], notes: Sequence[str]) -> str:
    """summary.md: the question, the sentence, the table and its notes."""
    parts = [f"### {asked.title}", asked.question, sentence(asked, rows), table(asked, rows)]
    parts += [f"- {note}" for note in [*_legend(asked, rows), *notes]]
    body = "\n\n".join(parts[:4]) + "\n" + "\n".join(parts[4:]) + "\n"
    chosen = [f"{key}={','.join(map(str, some))}" for key, some in profile.only.items()]
    which = f"{profile.name}, only {' '.join(chosen)}" if chosen else profile.name
    return f"<!-- {asked.name}, profile {which} -->\n{body}"


def document(
    asked: Evidence,
    profile: Profile,
    rows: Sequence[Row],
    runs: Mapping[str, Any],
) -> dict[str, Any]:
    """tenk.evidence/1, without what the store adds (host, git, time). Not-a-number is null."""
    return {
        "schema": SCHEMA,
        "name": asked.name,
        "asks": asked.asks,
        "question": asked.question,
        "source": asked.source,
        "reference": asked.reference,
        "profile": {**asdict(profile)},
        "answer": sentence(asked, rows),
        "chance": chance(asked, rows),
        "rows": [_record(asked, row, rows) for row in rows],
        **runs,
    }


# --- columns --------------------------------------------------------------------------------------


def _level(rows: Sequence[Row]) -> list[Column]:
    columns: list[Column] = [("connections", lambda r: f"{r.series.connections:,}")]
    if len({row.series.arrangement for row in rows}) > 1:
        columns.append(
            ("arrangement", lambda r: ARRANGED.get(r.series.arrangement, r.series.arrangement))
        )
    if any(row.series.arrangement == TOGETHER for row in rows):
        columns.append(("load", _load))
    columns.append(("neighbour", lambda r: r.series.neighbour))
    columns.append(("others busy", lambda r: _cpus(r.foreign)))
    if any(row.series.share for row in rows):
        columns.append(("cost", lambda r: f"{100 * r.series.share:g} %"))
    columns.append(("seconds", lambda r: f"{r.seconds:g}"))
    columns.append(
        ("duels", lambda r: f"{r.duels}" + (f" of {r.duels + r.blank}" if r.blank else ""))
    )
    return columns


def _answer(asked: Evidence, rows: Sequence[Row]) -> list[Column]:
    width: Column = ("± of a duel", lambda r: _width(r.half_width))
    average: Column = ("all runs", lambda r: "–" if r.average is None else change(r.average))
    verdict: Column = ("verdict", lambda r: judge.outcome(asked.asks, r, len(rows)) or "–")
    size: Column = ("found / known", _size)
    if asked.asks == HONESTY:
        return [
            ("different", lambda r: str(r.different)),
            ("by 99 %", lambda r: str(r.different99)),
            ("allowed", lambda r: str(judge.allowed(r.duels))),
            width,
            average,
            verdict,
        ]
    if asked.asks == ACCURACY:
        known: Column = ("known", lambda r: f"{100 * (r.known - 1):+.2f} %")
        covered: Column = ("interval holds it", lambda r: f"{r.covers} of {r.duels}")
        waits: list[Column] = [
            ("waits", lambda r: "–" if r.waits is None else change(r.waits)),
        ]
        seen = any(row.waits is not None for row in rows)
        return [known, average, size, *(waits if seen else []), covered, width, verdict]
    if asked.asks == POWER:
        return [("found", _found), width, average, size]
    return [
        width,
        ("target", lambda r: _width(judge.target(asked, r) or math.nan)),
        ("one after the other is wider", lambda r: _times(_alone(r, rows))),
    ]


def _legend(asked: Evidence, rows: Sequence[Row]) -> list[str]:
    said = [
        "others busy: CPUs that other programs kept busy, the neighbour included, by the median"
        " slice; ± of a duel: half of its 95 % interval, the median over duels."
    ]
    if len({row.seconds for row in rows}) > 1:
        said.append(
            "Duels of one length share no run. Those of different lengths are cut from the same"
            " runs, so the lengths are not independent of each other."
        )
    if asked.asks in (HONESTY, ACCURACY):
        said.append(
            "verdict: met, no more duels are wrong than one in twenty; within chance, more are, as"
            " a sound method does now and then; missed, so many have a probability below"
            f" {judge.DOUBT:g} in the whole table."
        )
    said += chance(asked, rows)
    if any(row.series.share for row in rows):
        said.append(
            "known: what the servers measured their added cost to be, over what a request cost the"
            " reference; found / known: of all runs of the line, 1 is right."
        )
    if asked.asks == ACCURACY and any(row.waits is not None for row in rows):
        said.append(
            "waits: how many more waiting calls than the reference the dearer one makes for a"
            " request; fewer, where it finds more requests ready at a time, and then a part of the"
            " added cost is saved there."
        )
    each = {row.series: row for row in rows}  # lengths of one series share its runs
    starved = sum(row.starved for row in each.values())
    if starved:
        runs = sum(row.runs for row in each.values())
        said.append(f"{starved} of {runs} runs were left out because one side did not keep up.")
    return said


def chance(asked: Evidence, rows: Sequence[Row]) -> list[str]:
    """What chance would make of the whole table, and of its worst line."""
    said = []
    if asked.asks == HONESTY:
        said.append(_joint("by 95 %", [(r.different, r.duels) for r in judge.independent(rows)]))
        counts = [(r.different99, r.duels) for r in judge.independent(rows)]
        said.append(_joint("by 99 %", counts, 0.01))
    if asked.asks == ACCURACY:
        counts = [(r.duels - r.covers, r.duels) for r in judge.independent(rows)]
        said.append(_joint("by 95 %", counts))
    return [text for text in said if text]


def _joint(what: str, counts: Sequence[tuple[int, int]], share: float = 0.05) -> str:
    found = judge.joint(counts, share)
    if found is None:
        return ""
    return (
        f"All lines together, {what}: {found.wrong} of {found.duels} wrong, where a sound method"
        f" has {found.share * found.duels:.3g}, and so many or more with probability"
        f" {found.chance:.2g}. The worst line has {found.worst} of {found.worst_of}; some line of"
        f" such a table has as many or more with probability {found.worst_chance:.2g}."
    )


def _load(row: Row) -> str:
    if row.series.arrangement != TOGETHER or not row.series.fraction:
        return "closed"
    return f"{100 * row.series.fraction:.0f} %"


def _found(row: Row) -> str:
    if not row.duels:
        return "–"
    lo, hi = judge.share_interval(row.found, row.duels)
    return f"{row.found} of {row.duels} ({100 * lo:.0f} to {100 * hi:.0f} %)"


def _size(row: Row) -> str:
    found = judge.size_found(row)
    return "–" if found is None else f"{found[0]:.2f} ({found[1]:.2f} to {found[2]:.2f})"


def _alone(row: Row, rows: Sequence[Row]) -> float | None:
    pairs = (TOGETHER, TURNS)
    return judge.times_alone(row, rows) if row.series.arrangement in pairs else None


def _times(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g} times"


def _width(value: float) -> str:
    return f"{100 * value:.2g} %" if math.isfinite(value) else "–"


def _cpus(value: float | None) -> str:
    return "?" if value is None else f"{value:.2f}"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.3g} %"


# --- JSON -----------------------------------------------------------------------------------------


def _record(asked: Evidence, row: Row, rows: Sequence[Row]) -> dict[str, Any]:
    average = row.average
    size = judge.size_found(row)
    return {
        **asdict(row.series),
        "seconds": row.seconds,
        "duels": row.duels,
        "blank": row.blank,
        "different": row.different,
        "different_99": row.different99,
        "found": row.found,
        "covers": row.covers,
        "half_width": _number(row.half_width),
        "known": _number(row.known),
        "average": (
            None
            if average is None
            else {"estimate": average.estimate, "lo": average.lo, "hi": average.hi}
        ),
        "waits": (
            None
            if row.waits is None
            else {key: _number(getattr(row.waits, key)) for key in ("estimate", "lo", "hi")}
        ),
        "found_of_known": None if size is None else size[0],
        "one_after_the_other_wider": _alone(row, rows),
        "target_half_width": judge.target(asked, row),
        "outcome": judge.outcome(asked.asks, row, len(rows)) or None,
        "runs": row.runs,
        "starved": row.starved,
        "foreign_cpus": row.foreign,
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
