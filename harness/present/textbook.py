# SPDX-License-Identifier: MIT
"""Claims of the textbooks in words: the table after a run, and the page of all claims.

Pure functions.
"""
from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.design.experiment import Experiment
from harness.judge.claims import REFUTED, SUPPORTED, UNDECIDED, Numbers, Verdict
from harness.judge.levels import LevelDuel
from harness.judge.standings import CPU
from harness.judge.textbook import DEPENDS, OUTCOMES, Settled
from harness.present import wording
from harness.present.levels import HOW

WORDS = {SUPPORTED: "Right.", REFUTED: "Wrong.", DEPENDS: "It depends.", UNDECIDED: "Open."}


def amount(value: float, unit: str) -> str:
    """ "2.31", "8.20 ns", "0.98 calls": a number of a verdict with its unit."""
    if unit == "ratio":
        return wording.quantity(value, "")
    number = f"-{wording.quantity(-value, unit)}" if value < 0 else wording.quantity(value, unit)
    return number if unit in ("ns", "us", "bytes") else f"{number} {unit}"


def number(one: Numbers) -> str:
    """ "2.31 [2.20, 2.43] times", "8.20 ns [7.90 ns, 8.51 ns]"."""
    times = " times" if one.unit == "ratio" else ""
    ends = [amount(end, one.unit) for end in (one.lo, one.hi)]
    interval = "" if math.isnan(one.lo) else f" [{', '.join(ends)}]"
    return f"{amount(one.estimate, one.unit)}{interval}{times}"


def bounds(one: Numbers) -> str:
    """What it is held against: "above 1.05", "from 0.95 to 1.05"."""
    low, high = (amount(bound, one.unit) for bound in (one.low, one.high))
    if math.isnan(one.high):
        return "" if math.isnan(one.low) else f"above {low}"
    return f"below {high}" if math.isnan(one.low) else f"from {low} to {high}"


def behind(settled: Settled) -> str:
    """The number behind a verdict, in a few words: of the first part that has the verdict, or how
    many parts are what."""
    if settled.outcome == UNDECIDED:
        missing = settled.count(UNDECIDED)
        failed = [one.text for one in settled.controls if one.outcome != SUPPORTED]
        if failed:
            return f"the measurement does not show what it must: {failed[0]}"
        return f"{missing} of {len(settled.parts)} parts cannot be decided"
    if settled.outcome == DEPENDS:
        right, wrong = settled.count(SUPPORTED), settled.count(REFUTED)
        return f"of {len(settled.parts)} parts {right} supported, {wrong} refuted"
    told = next((n for part in settled.parts for n in part.numbers), None)
    return f"{told.what} = {number(told)}" if told is not None else settled.parts[0].detail


def sentence(settled: Settled) -> str:
    """The answer of a run: the claim, the verdict, and what is behind it."""
    return f"{settled.textbook.claim} Verdict: {settled.outcome}; {behind(settled)}."


def rows(found: Sequence[Settled]) -> list[tuple[str, str, str, str]]:
    """Number, claim, verdict and what is behind it, in the order of the numbers."""
    ordered = sorted(found, key=lambda one: one.textbook.number)
    return [(str(s.textbook.number), s.textbook.claim, s.outcome, behind(s)) for s in ordered]


def tally(found: Sequence[Settled]) -> str:
    """ "25 claims: 9 supported, 7 refuted, 6 depends, 3 cannot decide"."""
    counts = Counter(one.outcome for one in found)
    parts = [f"{counts[outcome]} {outcome}" for outcome in OUTCOMES]
    claims = "claim" if len(found) == 1 else "claims"
    return f"{len(found)} {claims}: {', '.join(parts)}"
