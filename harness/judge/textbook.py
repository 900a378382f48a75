# SPDX-License-Identifier: MIT
"""The verdict on a claim of the textbooks, from the verdicts on its parts."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.design.experiment import Experiment
from harness.design.textbook import Textbook
from harness.judge.claims import REFUTED, SUPPORTED, UNDECIDED, Verdict

# Some part is supported and another refuted: it depends on what they differ in, whatever becomes of
# parts that are still open.
DEPENDS = "depends"
OUTCOMES = (SUPPORTED, REFUTED, DEPENDS, UNDECIDED)


@dataclass(frozen=True)
class Settled:
    """What a run says of its claim. outcome: one of OUTCOMES; parts: in the order of the file;
    controls: what must come out if the measurement sees anything."""

    name: str
    textbook: Textbook
    outcome: str
    parts: tuple[Verdict, ...]
    controls: tuple[Verdict, ...] = ()

    def count(self, outcome: str) -> int:
        """How many parts have that outcome."""
        return sum(part.outcome == outcome for part in self.parts)


def overall(parts: Sequence[Verdict]) -> str:
    """Of parts that all say the same, that; "depends" where one is supported and another refuted;
    else UNDECIDED where one is open, or there is none."""
    outcomes = {part.outcome for part in parts}
    if {SUPPORTED, REFUTED} <= outcomes:
        return DEPENDS
    if not outcomes or UNDECIDED in outcomes:
        return UNDECIDED
    return outcomes.pop() if len(outcomes) == 1 else DEPENDS


def settle(one: Experiment, verdicts: Sequence[Verdict]) -> Settled:
    """The verdict on the claim of an experiment that has one. verdicts: on all its claims, in their
    order. A control that is not supported leaves it undecided."""
    assert one.textbook is not None
    both = list(zip(one.claims, verdicts, strict=True))
    parts = tuple(verdict for claim, verdict in both if not claim.control)
    controls = tuple(verdict for claim, verdict in both if claim.control)
    sound = all(verdict.outcome == SUPPORTED for verdict in controls)
    outcome = overall(parts) if sound else UNDECIDED
    return Settled(one.name, one.textbook, outcome, parts, controls)
