# SPDX-License-Identifier: MIT
"""Points sheets: a TOML file that says what cases are worth. docs/teaching.md explains the format.

The ready ones are harness/conformance/points/*.toml; a teacher's own is any file.
"""
from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import errors
from harness.conformance.core import Case
from harness.conformance.grading.submission import NOT_APPLICABLE, OK, Credit, Tried
from harness.conformance.talk import TALKS
from harness.measure import models

READY = Path(__file__).resolve().parent.parent / "points"
_ALLOWED = {"title", "about", "protocols", "points", "comparison"}
_ROW = {"what", "cases", "groups", "points"}
LEAST_S = 5  # what a duel takes
NOT_COMPARED = "compared only when all else is right"
_COMPARISON = {"what", "with", "within_percent", "connections", "seconds", "points"}


@dataclass(frozen=True)
class Row:
    """Points for cases, in equal shares. A case that is run with several protocols earns its share
    when it is ok with all of them."""

    what: str
    cases: tuple[str, ...]
    points: float


@dataclass(frozen=True)
class Comparison:
    """Points for costing at most within_percent more CPU per request than the model `reference`."""

    what: str
    reference: str
    within_percent: float
    connections: int
    seconds: float
    points: float


@dataclass(frozen=True)
class Sheet:
    """A sheet. protocols: those that are asked for; empty: all that the server speaks."""

    name: str
    title: str
    about: str
    protocols: tuple[str, ...]
    rows: tuple[Row, ...]
    comparisons: tuple[Comparison, ...]

    @property
    def cases(self) -> set[str]:
        return {case for row in self.rows for case in row.cases}


def available() -> list[str]:
    """The names of the ready sheets."""
    return sorted(path.stem for path in READY.glob("*.toml"))


def load(text: str, cases: Sequence[Case]) -> Sheet:
    """A sheet by its name or its file. Raises UsageError that names what is wrong in it."""
    path = READY / f"{text}.toml" if text in available() else Path(text)
    try:
        with open(path, "rb") as file:
            raw = tomllib.load(file)
    except OSError as error:
        ready = f"a file, or one of {', '.join(available())}"
        raise errors.UsageError("--points", text, f"{ready} ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise errors.UsageError("--points", text, f"it must be TOML: {error}") from None
    return _sheet(path, raw, cases)


def _sheet(path: Path, raw: Mapping[str, Any], cases: Sequence[Case]) -> Sheet:
    _known(path, "", raw, _ALLOWED)
    protocols = _texts(path, "", raw, "protocols")
    for protocol in protocols:
        if protocol not in TALKS:
            raise _wrong(path, f"protocols: '{protocol}' is none of {', '.join(TALKS)}")
    rows = tuple(_row(path, row, cases) for row in _tables(path, raw, "points"))
    comparisons = tuple(_comparison(path, row) for row in _tables(path, raw, "comparison"))
    if not rows:
        raise _wrong(path, "there is no [[points]] in it")
    return Sheet(
        path.stem,
        str(raw.get("title", path.stem)),
        str(raw.get("about", "")),
        protocols,
        rows,
        comparisons,
    )


def _row(path: Path, raw: Mapping[str, Any], cases: Sequence[Case]) -> Row:
    what = str(raw.get("what", ""))
    _known(path, what, raw, _ROW)
    names, groups = {case.name for case in cases}, {case.group for case in cases}
    wanted, groups_wanted = (_texts(path, what, raw, key) for key in ("cases", "groups"))
    for name in wanted:
        if name not in names:
            raise _wrong(path, f"'{name}' is no case; see tenk check --cases")
    for group in groups_wanted:
        if group not in groups:
            raise _wrong(path, f"'{group}' is no group; there are {', '.join(sorted(groups))}")
    chosen = [c.name for c in cases if c.name in wanted or c.group in groups_wanted]
    if not what or not chosen:
        raise _wrong(path, 'each [[points]] needs what = "…", and cases or groups')
    return Row(what, tuple(chosen), _number(path, what, "points", raw.get("points"), 1000))


def _comparison(path: Path, raw: Mapping[str, Any]) -> Comparison:
    what = str(raw.get("what", ""))
    _known(path, what, raw, _COMPARISON)
    if not what or "with" not in raw:
        raise _wrong(path, 'each [[comparison]] needs what = "…" and with = "MODEL"')
    # A duel with nobody would be told in every student's favour.
    if not isinstance(raw["with"], str) or not models.source(raw["with"]):
        raise _wrong(path, f"'{what}': with = {raw['with']!r} is no model; see tenk list")
    connections = _number(path, what, "connections", raw.get("connections", 100), 10_000)
    if connections != int(connections):
        raise _wrong(path, f"'{what}': connections is {connections:g}, not a whole number")
    return Comparison(
        what,
        raw["with"],
        _number(path, what, "within_percent", raw.get("within_percent", 10), 1000),
        int(connections),
        _number(path, what, "seconds", raw.get("seconds", 20), 600, LEAST_S),
        _number(path, what, "points", raw.get("points"), 1000),
    )


def _number(path: Path, what: str, key: str, value: Any, most: float, least: float = 0.0) -> float:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not 0 < value <= most or value < least:
        low = f"from {least:g}" if least else "above 0,"
        raise _wrong(path, f"'{what}': {key} is {value!r}, not a number {low} up to {most:g}")
    return float(value)


def _texts(path: Path, what: str, raw: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """A list of texts, () where it is not there."""
    value = raw.get(key, [])
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        where = f"'{what}': " if what else ""
        raise _wrong(path, f'{where}{key} is {value!r}, not a list as ["echo", "http"]')
    return tuple(value)


def _tables(path: Path, raw: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """What stands below each [[key]]."""
    value = raw.get(key, [])
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise _wrong(path, f"each part of it begins with [[{key}]], in two brackets")
    return value


def _known(path: Path, what: str, raw: Mapping[str, Any], allowed: set[str]) -> None:
    for key in raw:
        if key not in allowed:
            where = f"'{what}': " if what else ""
            raise _wrong(path, f"{where}'{key}' is not one of {', '.join(sorted(allowed))}")


def _wrong(path: Path, why: str) -> errors.UsageError:
    return errors.UsageError("--points", path, why)


def credits(sheet: Sheet, tried: Sequence[Tried], compared: Sequence[Credit] = ()) -> list[Credit]:
    """What was earned, line by line. What is not applicable earns nothing and is shown apart; what
    was not tried earns nothing. compared: the comparisons that were made, in the sheet's order."""
    by_case: dict[str, list[str]] = {}
    for one in tried:
        by_case.setdefault(one.case, []).append(one.outcome)
    left = sheet.comparisons[len(compared) :]
    waiting = [Credit(row.what, 0.0, row.points, 0.0, NOT_COMPARED) for row in left]
    return [*(_credit(row, by_case) for row in sheet.rows), *compared, *waiting]


def _credit(row: Row, by_case: Mapping[str, Sequence[str]]) -> Credit:
    share = row.points / len(row.cases)
    earned = apart = 0.0
    for case in row.cases:
        outcomes = [o for o in by_case.get(case, ()) if o != NOT_APPLICABLE]
        if not outcomes:
            apart += share if by_case.get(case) else 0.0
        elif all(outcome == OK for outcome in outcomes):
            earned += share
    return Credit(row.what, round(earned, 2), row.points, round(apart, 2))
