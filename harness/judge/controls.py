# SPDX-License-Identifier: MIT
"""The two controls of a comparison: the reference a second time, and with a known added cost.

The first shows what is called a difference where there is none, the second what is not found where
there is one. A comparison without them only says how precise it is, not whether it is right.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

from harness.judge.duel import BLOCKS, ROUNDS, Ratio

VOID_LEVEL = 0.99

FOUND = "found"
NOT_FOUND = "not found"
MISSED = "missed"
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Twin:
    """The reference against itself. lo, hi: of level 95 %; lo99, hi99: of level 99 %, by which it
    is
    void: one sound comparison in a hundred is, for each metric, by chance."""

    ratio: Ratio
    lo99: float
    hi99: float

    @property
    def void(self) -> bool:
        """The 99 % interval excludes 1: something treats two equal servers differently."""
        return self.lo99 > 1 or self.hi99 < 1


@dataclass(frozen=True)
class Control:
    """The reference with a known added cost: `expected` is the ratio that must be found.

    outcome: FOUND, its interval holds the expected ratio and not 1; NOT_FOUND, it holds both, so
    the comparison is too coarse to see such a cost; MISSED, it does not hold the expected ratio, so
    the comparison is not to be believed at this size; UNKNOWN, there is no interval.
    """

    ratio: Ratio
    expected: float
    outcome: str


def twin(ratio: Ratio) -> Twin:
    """The twin's check; a twin without an interval is not void, but shows nothing."""
    lo, hi = ratio.interval(VOID_LEVEL)
    return Twin(ratio, lo, hi)


def control(ratio: Ratio, expected: float, uncertainty: float = 0.0) -> Control:
    """Judge the control. expected: above 0. uncertainty: how well the added part of it is known, as
    a fraction (0.1: an expected 1.03 may be 1.027 to 1.033)."""
    if ratio.basis not in (BLOCKS, ROUNDS):
        return Control(ratio, expected, UNKNOWN)
    slack = abs(expected - 1) * uncertainty
    if ratio.hi < expected - slack or ratio.lo > expected + slack:
        return Control(ratio, expected, MISSED)
    outcome = NOT_FOUND if ratio.lo <= 1 <= ratio.hi else FOUND
    return Control(ratio, expected, outcome)


def client_sets_rate(rate: Ratio, cost: float) -> bool | None:
    """Whether the client, not the server, set the rate: read from what the control did to it.

    rate: the control's rate over the reference's. cost: its CPU per request over the reference's,
    as added. A server that sets the rate loses 1 - 1/cost of it, one that waits for its client
    nothing. The border is half way: True where the whole interval is above it, False where it is
    below, None where it holds it (or cost adds nothing).
    """
    border = (1 + 1 / cost) / 2
    if rate.basis not in (BLOCKS, ROUNDS) or cost <= 1 or math.isnan(rate.lo):
        return None
    if rate.lo > border:
        return True
    return False if rate.hi < border else None
