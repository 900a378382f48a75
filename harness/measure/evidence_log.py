# SPDX-License-Identifier: MIT
"""What an evidence run keeps so that it can be gone on with, and how that is read again.

evidence.json (tenk.evidence/1) says which runs belong to which series, what the pilots settled and
under which conditions it was measured; slices.jsonl.gz has the runs themselves.
"""
from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from harness import shape
from harness.design.evidence import Evidence, Profile, Series
from harness.errors import UsageError, why
from harness.measure import duel_log, runner
from harness.measure.evidence import Findings, Level

DOCUMENT, SLICES = "evidence.json", "slices.jsonl.gz"


@dataclass(frozen=True)
class Old:
    """An evidence run that was interrupted. placement: as it was asked for. profile: its name;
    plan: all that it says."""

    folder: Path
    name: str
    profile: str
    placement: str
    seed: int
    began: datetime
    findings: Findings
    plan: Mapping[str, Any]
    conditions: Mapping[str, Any]


def runs(findings: Findings) -> dict[str, Any]:
    """Where each piece belongs, what the pilots settled, and what could not be measured."""
    return {
        "pieces": [
            {**vars(series), "runs": [piece.number for piece in pieces]}
            for series, pieces in findings.pieces.items()
        ],
        "levels": [
            {
                "connections": c,
                "neighbour": n,
                "rates": [{"fraction": f, "offered_rps": r} for f, r in level.rates.items()],
                "costs": [
                    {"arrangement": a, "fraction": f, "ns": ns}
                    for (a, f), ns in level.costs.items()
                ],
            }
            for (c, n), level in findings.levels.items()
        ],
        "left_out": [
            {"connections": c, "neighbour": n, "reason": reason}
            for (c, n), reason in findings.left_out.items()
        ],
        "neighbours": [
            {"connections": c, "neighbour": n, "cpu_share": share}
            for (c, n), share in findings.neighbours.items()
        ],
        "complete": findings.ended,
    }


def read(folder: Path) -> Old:
    """The interrupted run that lies there. UsageError where it is complete, cannot be read, or is
    of a version that did not keep what it takes to go on."""
    try:
        document = shape.read(folder / DOCUMENT)
        if document["complete"]:
            raise UsageError("--resume", folder, "this run is complete already")
        return Old(
            folder,
            str(document["name"]),
            str(document["profile"]["name"]),
            str(document["placement"]["wanted"]),
            int(document["seed"]),
            datetime.fromisoformat(document["started"]),
            _findings(folder, document),
            document["profile"],
            {key: document[key] for key in ("host", "placement", "sources", "binaries")},
        )
    except OSError as error:
        raise UsageError("--resume", folder, f"cannot read {why(error)}") from None
    except KeyError as error:
        text = f"its {DOCUMENT} has no {error}: an older version wrote it; start a new run"
        raise UsageError("--resume", folder, text) from None
    except (ValueError, TypeError, AttributeError) as error:
        raise UsageError("--resume", folder, f"its {DOCUMENT} is damaged: {error}") from None


def profile(old: Old, asked: Evidence) -> Profile:
    """What is left of its profile, as it was narrowed when it began."""
    only = {key: tuple(values) for key, values in old.plan.get("only", {}).items()}
    return dataclasses.replace(asked.profiles[old.profile], only=only)


def check(old: Old, profile: Profile, now: Mapping[str, Any]) -> None:
    """UsageError where it would go on under other conditions, or with another plan, than it began
    with. now: conditions as in evidence.json."""
    found = runner.differences(old.conditions, now)
    # An older version measured all lines, and did not say so.
    before: dict[str, Any] = {"only": {}, **old.plan}
    # As it looks after it was written and read.
    if json.loads(json.dumps(dataclasses.asdict(profile))) != before:
        found.append(f"profile {profile.name} says something else now")
    if found:
        text = f"it began under other conditions ({'; '.join(found)})"
        raise UsageError("--resume", old.folder, f"{text}: restore them, or start a new run")


def _findings(folder: Path, document: Mapping[str, Any]) -> Findings:
    there = {piece.number: piece for piece in duel_log.read(folder / SLICES)}
    fields = [field.name for field in dataclasses.fields(Series)]
    found = Findings(made=max(there, default=-1) + 1)
    for entry in document["pieces"]:
        series = Series(**{name: entry[name] for name in fields})
        found.pieces[series] = [there[number] for number in entry["runs"]]
    for entry in document["levels"]:
        found.levels[_group(entry)] = Level(
            {one["fraction"]: one["offered_rps"] for one in entry["rates"]},
            {(one["arrangement"], one["fraction"]): one["ns"] for one in entry["costs"]},
        )
    found.neighbours = {_group(e): e["cpu_share"] for e in document["neighbours"]}
    return found


def _group(entry: Mapping[str, Any]) -> tuple[int, str]:
    return int(entry["connections"]), str(entry["neighbour"])
