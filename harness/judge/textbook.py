# SPDX-License-Identifier: MIT
"""The verdict on a claim of the textbooks, from the verdicts on its parts."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.design.experiment import Experiment
from harness.design.textbook import Textbook
from harness.judge.claims import REFUTED, SUPPORTED, UNDECIDED, Verdict

# Every part is decided, and not all in the same way: it depends on what the parts differ in.
DEPENDS = "depends"
OUTCOMES = (SUPPORTED, REFUTED, DEPENDS, UNDECIDED)


@dataclass(frozen=True)
class Settled:
    """What a run says of its claim. outcome: one of OUTCOMES; parts: in the order of the file."""

    name: str
    textbook: Textbook
    outcome: str
    parts: tuple[Verdict, ...]

    def count(self, outcome: str) -> int:
        """How many parts have that outcome."""
        return sum(part.outcome == outcome for part in self.parts)


def overall(parts: Sequence[Verdict]) -> str:
    """Of parts that all say the same, that; "depends" where each is decided and they differ;
    UNDECIDED where one is open, or there is none."""
    outcomes = {part.outcome for part in parts}
    if not outcomes or UNDECIDED in outcomes:
        return UNDECIDED
    return outcomes.pop() if len(outcomes) == 1 else DEPENDS


def settle(one: Experiment, parts: Sequence[Verdict]) -> Settled:
    """The verdict on the claim of an experiment that has one."""
    assert one.textbook is not None
    return Settled(one.name, one.textbook, overall(parts), tuple(parts))
