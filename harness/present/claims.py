# SPDX-License-Identifier: MIT
"""The claims of an experiment in words: each verdict as a sentence, and as rows of a table.

Pure functions.
"""
from __future__ import annotations

import math
import re
from collections.abc import Sequence

from harness.design.experiment import Claim
from harness.judge.claims import SUPPORTED, UNDECIDED, Numbers, Verdict
from harness.present import wording
from harness.present.levels import HOW

PREFIXED = ("ns", "us", "bytes")  # units that wording.quantity writes itself
HEADING = ("| part | verdict | found | bound | how |", "|---|---|---|---|---|")

_MODEL = re.compile(r"\(([^,()]+)")  # the first word of an operand, "p50_ns(thread, connections=4)"


def amount(value: float, unit: str) -> str:
    """ "2.31", "8.20 ns", "0.98 calls": a number of a verdict with its unit."""
    if unit == "ratio":
        return f"-{wording.quantity(-value, '')}" if value < 0 else wording.quantity(value, "")
    told = f"-{wording.quantity(-value, unit)}" if value < 0 else wording.quantity(value, unit)
    return told if unit in PREFIXED else f"{told} {unit}"


def number(one: Numbers) -> str:
    """ "2.31 [2.20, 2.43] times", "8.20 ns [7.90 ns, 8.51 ns]", "0.98 [0.97, 0.99] calls"."""
    after = "times" if one.unit == "ratio" else one.unit
    unit = one.unit if one.unit in PREFIXED else "ratio"
    interval = ", ".join(amount(end, unit) for end in (one.lo, one.hi))
    told = amount(one.estimate, unit) + ("" if math.isnan(one.lo) else f" [{interval}]")
    return told if unit == one.unit != "ratio" else f"{told} {after}"


def bounds(one: Numbers) -> str:
    """What it is held against: "above 1.05", "from 0.95 to 1.05"."""
    low, high = (amount(bound, one.unit) for bound in (one.low, one.high))
    if math.isnan(one.high):
        return "" if math.isnan(one.low) else f"above {low}"
    return f"below {high}" if math.isnan(one.low) else f"from {low} to {high}"


def sentences(claims: Sequence[Claim], verdicts: Sequence[Verdict]) -> list[str]:
    """What came of each claim, those that were decided first; and each control that failed.

    A claim for which the run lacks the models or the levels is left out.
    """
    told = [
        (verdict.outcome == UNDECIDED, _sentence(verdict))
        for claim, verdict in zip(claims, verdicts, strict=True)
        if not verdict.absent and not claim.control
    ]
    failed = [
        f"The measurement does not show what it must: {verdict.text}"
        for claim, verdict in zip(claims, verdicts, strict=True)
        if claim.control and not verdict.absent and verdict.outcome != SUPPORTED
    ]
    return [*failed, *(text for _, text in sorted(told, key=lambda one: one[0]))]


def _sentence(verdict: Verdict) -> str:
    """ "A reply of two writes waits (supported: 41.2 ms [40.9 ms, 41.6 ms])." """
    text = verdict.text.rstrip(".")
    if not verdict.numbers:
        return f"{text} ({verdict.outcome})."
    told = _span(verdict.numbers) if len(verdict.numbers) > 1 else number(verdict.numbers[0])
    held = bounds(verdict.numbers[0]) if verdict.outcome == UNDECIDED else ""
    return f"{text} ({verdict.outcome}: {told}{f', where {held} is claimed' if held else ''})."


def _span(found: Sequence[Numbers]) -> str:
    """Of several numbers, one for each model, the least and the greatest."""
    least, most = (pick(found, key=lambda one: one.estimate) for pick in (min, max))
    return f"{number(least)} to {number(most)}"


def rows_of(verdict: Verdict, prefix: str = "") -> list[str]:
    """Its rows under HEADING: one for each number, or what is said in place of one."""
    said = [(_of_model(n, verdict) + number(n), bounds(n), _how(n)) for n in verdict.numbers] or [
        (verdict.detail, "", "")
    ]
    first, *others = [tuple(map(cell, row)) for row in said]
    rows = [f"| {prefix}{cell(verdict.text)} | {verdict.outcome} | {' | '.join(first)} |"]
    return [*rows, *(f"| | | {' | '.join(row)} |" for row in others)]


def _of_model(one: Numbers, verdict: Verdict) -> str:
    """ "thread: ", where the numbers of a verdict are those of several models."""
    models = [_MODEL.search(n.what) for n in verdict.numbers]
    if len({found.group(1) for found in models if found}) < 2:
        return ""
    own = _MODEL.search(one.what)
    return f"{own.group(1)}: " if own else ""


def _how(one: Numbers) -> str:
    bent = ", not along a straight line" if one.bent else ""
    return f"{HOW.get(one.basis, one.basis)}, n = {one.n}{bent}"


def cell(text: str) -> str:
    """For a table of Markdown, or a link: on one line, without a bar."""
    return " ".join(text.split()).replace("|", "\\|").replace("_", "\\_").replace("*", "\\*")
