# SPDX-License-Identifier: MIT
"""What a run amounts to, and the files of its directory that say so."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.design.experiment import Experiment
from harness.judge import findings, summary
from harness.judge.findings import Answer
from harness.judge.summary import Group
from harness.present import answer
from harness.store import CellRecord, to_json


@dataclass(frozen=True)
class Conclusion:
    """The cells of a run by model and level, and what they say."""

    experiment: Experiment
    groups: Sequence[Group]
    answer: Answer

    @property
    def sentences(self) -> list[str]:
        return answer.sentences(self.experiment, self.answer)

    def files(self) -> list[tuple[str, str]]:
        """Each file's name and text. The figures read summary.tsv and answer.json."""
        return [
            ("summary.tsv", summary.to_tsv(self.experiment, self.groups)),
            ("answer.json", to_json(answer.document(self.experiment, self.answer))),
            ("answer.md", answer.markdown(self.experiment, self.answer)),
        ]


def conclude(one: Experiment, cells: Sequence[CellRecord], models: Sequence[str]) -> Conclusion:
    """models: in the order in which they are to appear."""
    groups = summary.group(cells, models)
    metrics = [*one.answers, one.metric, *(h.metric for h in one.highlights)]
    return Conclusion(one, groups, findings.of_run(one, groups, list(dict.fromkeys(metrics))))
