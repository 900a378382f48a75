# SPDX-License-Identifier: MIT
"""What a run amounts to, and the files of its directory that say so."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.design import experiment
from harness.design.experiment import CLAIMS, Experiment
from harness.judge import baseline, claims, findings, levels, summary, textbook
from harness.judge.claims import Verdict
from harness.judge.findings import Answer
from harness.judge.levels import LevelDuel
from harness.judge.ratios import reference_of
from harness.judge.summary import Group
from harness.judge.textbook import Settled
from harness.present import answer, calls
from harness.present import levels as ratios
from harness.present import textbook as settling
from harness.present.calls import CallsTable
from harness.present.levels import RatioTable
from harness.store import CellRecord, Run, to_json


@dataclass(frozen=True)
class Conclusion:
    """The cells of a run by model and level, its duels, and what they say."""

    experiment: Experiment
    groups: Sequence[Group]
    duels: Sequence[LevelDuel]
    answer: Answer

    @property
    def sentences(self) -> list[str]:
        if self.settled is not None:
            return [settling.sentence(self.settled)]
        found = answer.sentences(self.experiment, self.answer, self.verdicts)
        if not self.experiment.by_name:
            return found
        reference = reference_of(self.experiment, self.groups)
        return calls.sentences(self.experiment, self.groups, reference) or found

    @property
    def verdicts(self) -> list[Verdict]:
        """On the experiment's claims."""
        return claims.judge(self.experiment.claims, self.groups, self.duels)

    @property
    def settled(self) -> Settled | None:
        """The verdict on the claim of the textbooks that the experiment was made for, if any."""
        if self.experiment.textbook is None:
            return None
        return textbook.settle(self.experiment, self.verdicts)

    @property
    def ratio_tables(self) -> dict[str, RatioTable]:
        """What stands beside the tables of values, by metric."""
        models = list(dict.fromkeys(group.model for group in self.groups))
        return ratios.tables(self.experiment, self.duels, models)

    @property
    def call_tables(self) -> list[CallsTable]:
        """What a request makes the server do, level by level, where it was recorded by name."""
        return calls.tables(self.experiment, self.groups)

    @property
    def not_compared(self) -> list[str]:
        """Who is missing in those tables, and why."""
        return ratios.left_out(self.duels)

    @property
    def _document(self) -> dict[str, Any]:
        """answer.json."""
        found = answer.document(self.experiment, self.answer, self.verdicts)
        settled = self.settled
        if settled is None:
            return found
        told = {
            "number": settled.textbook.number,
            "claim": settled.textbook.claim,
            "outcome": settled.outcome,
        }
        titles = {**found["titles"], "claim": settling.title(self.experiment, settled)}
        return {**found, "sentences": self.sentences, "titles": titles, "settled": told}

    def files(self) -> list[tuple[str, str]]:
        """Each file's name and text. The figures read summary.tsv and answer.json."""
        table = summary.to_tsv(self.experiment, self.groups, self.duels)
        return [
            ("summary.tsv", table + baseline.to_tsv(self.experiment, self.groups)),
            ("answer.json", to_json(self._document)),
            ("answer.md", answer.markdown(self.experiment, self.sentences)),
        ]


def conclude(
    one: Experiment,
    cells: Sequence[CellRecord],
    models: Sequence[str],
    duels: Sequence[Mapping[str, Any]] = (),
) -> Conclusion:
    """models: in the order in which they are to appear. duels: the tenk.duel/1 documents of levels
    at which the models were also measured together or in turns."""
    groups, met = summary.group(cells, models), levels.read_all(duels)
    told = [metric for metric in one.answers if metric != CLAIMS]
    metrics = list(dict.fromkeys([*told, one.metric, *(h.metric for h in one.highlights)]))
    return Conclusion(one, groups, met, findings.of_run(one, groups, metrics, met))


def of_run(run: Run) -> Conclusion:
    """What a run in its directory amounts to; SetupError where a record is damaged."""
    return conclude(experiment.of(run), run.cells(), list(run.meta["models"]), run.duels())
