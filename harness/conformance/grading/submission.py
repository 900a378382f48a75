# SPDX-License-Identifier: MIT
"""What is known of a submission: how it ended, case by case, for which causes, for how many points.

The same record is what `tenk check --file --json` writes, after every case, and what the pages for
teacher and student are made of.
"""
from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.conformance import ending
from harness.store import write_atomically

SCHEMA = "tenk.submission/1"
OK = "ok"
NOT_COMPILED = "not compiled"
CANNOT_DESCRIBE = "cannot describe itself"
NOT_APPLICABLE = "not applicable"
NOT_REACHED = "not reached"

# Every outcome of a submission, and the exit status of `tenk check --file`.
STATUS = {
    OK: 0,
    ending.WRONG: 1,
    NOT_COMPILED: 10,
    CANNOT_DESCRIBE: 11,
    ending.NO_READY_LINE: 12,
    ending.CRASHED: 13,
    ending.HUNG: 14,
    ending.LIMIT: 15,
    NOT_REACHED: 16,
    NOT_APPLICABLE: 77,
}


@dataclass(frozen=True)
class Tried:
    """One case with one protocol: how it ended; text: what was expected and what came; doing: what
    became of the server meanwhile."""

    case: str
    group: str
    protocol: str
    outcome: str
    text: str = ""
    doing: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Cause:
    """One thing that is wrong, however many cases it fails.

    cause: its short name; title: a sentence; text: what was seen first; usually: what usually goes
    wrong; again: commands that show it; report: of a sanitizer, '' without one.
    """

    cause: str
    outcome: str
    title: str
    cases: tuple[str, ...]
    protocols: tuple[str, ...]
    text: str
    usually: str
    again: tuple[str, ...]
    report: str = ""


@dataclass(frozen=True)
class Credit:
    """One line of a points sheet: what it is for, the points earned, of how many, and how many of
    those belong to cases that are not applicable."""

    what: str
    points: float
    of: float
    not_applicable: float
    note: str = ""


@dataclass
class Submission:
    """The record. `complete` is False until all has been tried."""

    name: str
    outcome: str = NOT_REACHED
    text: str = ""
    model: str = ""
    sheet: str = ""
    seconds: float = 0.0
    complete: bool = False
    compiler: str = ""
    warnings: int = 0
    bounds: tuple[str, ...] = ()
    not_bounded: tuple[str, ...] = ()
    causes: Sequence[Cause] = ()
    credits: Sequence[Credit] = ()
    tried: list[Tried] = field(default_factory=list)

    @property
    def points(self) -> float:
        return round(sum(credit.points for credit in self.credits), 2)

    @property
    def of(self) -> float:
        return round(sum(credit.of for credit in self.credits), 2)

    @property
    def not_applicable(self) -> float:
        return round(sum(credit.not_applicable for credit in self.credits), 2)

    @property
    def status(self) -> int:
        """The exit status that says the outcome."""
        return STATUS[self.outcome]

    def record(self) -> dict[str, Any]:
        """As JSON. Nothing in it moves a terminal's cursor, whatever a program has said."""
        said = {"schema": SCHEMA, **plain(dataclasses.asdict(self))}
        extra = {"points": self.points, "of": self.of, "not_applicable": self.not_applicable}
        return {**said, **extra, "status": self.status}


def plain(said: Any) -> Any:
    """The same with what cannot be printed in its texts shown as in Python: escape sequences, marks
    that turn the writing round, bytes that are no text. Lines and tabs stay."""
    if isinstance(said, str):
        return "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in said)
    if isinstance(said, dict):
        return {key: plain(value) for key, value in said.items()}
    if isinstance(said, (list, tuple)):
        return [plain(value) for value in said]
    return said


def write_json(path: Path, whole: Any, last: bool = True) -> None:
    """Write a file that is complete at every moment: the old text, or the new one.

    A device or a pipe is written to and stays what it is; it gets the last text only.
    """
    if last or path.is_file() or not path.exists():
        write_atomically(path, json.dumps(whole, indent=1, ensure_ascii=False) + "\n")
