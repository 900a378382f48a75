# SPDX-License-Identifier: MIT
"""The levels of an experiment at which all its models are also measured together and in turns.

The table [compare] of an experiment's file; docs/harness.md describes it.
"""
from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.design.duel import ARRANGEMENTS
from harness.design.load import coerce
from harness.store import level_text

FRACTION = 0.5  # of what a pair sustains; together, where the experiment's own loop is closed
SECONDS_LEAST, SECONDS_MOST = 1.0, 86400.0


@dataclass(frozen=True)
class Level:
    """One level of every factor. seconds: for its duel; the pilot, a few seconds,
    comes on top. arrangements: in which the models meet there."""

    factors: Mapping[str, Any]
    seconds: float
    arrangements: tuple[str, ...]


@dataclass(frozen=True)
class Compare:
    """fraction: see FRACTION. levels: by profile, in the order of the file."""

    fraction: float
    levels: Mapping[str, tuple[Level, ...]]


NONE = Compare(FRACTION, {})


def parse(
    table: Mapping[str, Any], factors: Sequence[str], measured: Mapping[str, Mapping[str, Any]]
) -> Compare:
    """Read the table. measured: by profile, the levels of each factor that its cells can have.

    Raises ValueError, KeyError or TypeError for what is not right.
    """
    profiles = {key: value for key, value in table.items() if key in measured}
    _only(table, "compare", ["arrangements", "fraction", *measured])
    fraction = float(table.get("fraction", FRACTION))
    if not 0.01 <= fraction <= 0.95:
        raise ValueError("compare.fraction must be from 0.01 to 0.95")
    usual = _arrangements(table.get("arrangements", list(ARRANGEMENTS)))
    levels = {
        name: _levels(f"compare.{name}", profile, factors, measured[name], usual)
        for name, profile in profiles.items()
    }
    return Compare(fraction, levels)


def _levels(
    where: str,
    table: Mapping[str, Any],
    factors: Sequence[str],
    measured: Mapping[str, Any],
    usual: tuple[str, ...],
) -> tuple[Level, ...]:
    _only(table, where, ["levels", "seconds", "arrangements", "at"])
    usual = _arrangements(table.get("arrangements", list(usual)))
    chosen = {key: [coerce(key, v) for v in values] for key, values in table["levels"].items()}
    if set(chosen) != set(factors):
        raise ValueError(f"{where}.levels must be of {', '.join(factors)}")
    for name, values in chosen.items():
        for value in values:
            if value not in measured[name]:
                raise ValueError(
                    f"{where}: {name} = {level_text(value)} is no level of that profile's cells"
                )
    exceptions = [dict(entry) for entry in table.get("at", [])]
    for entry in exceptions:
        _only(entry, f"{where}.at", ["where", "seconds", "arrangements"])
    found = []
    for combination in itertools.product(*(chosen[name] for name in factors)):
        own = dict(zip(factors, combination))
        seconds, arrangements = float(table["seconds"]), usual
        for entry in exceptions:
            if all(own.get(key) == value for key, value in entry["where"].items()):
                seconds = float(entry.get("seconds", seconds))
                arrangements = _arrangements(entry.get("arrangements", list(arrangements)))
        if not SECONDS_LEAST <= seconds <= SECONDS_MOST or math.isnan(seconds):
            raise ValueError(f"{where}.seconds must be from {SECONDS_LEAST:g} to {SECONDS_MOST:g}")
        found.append(Level(own, seconds, arrangements))
    return tuple(found)


def _arrangements(named: Any) -> tuple[str, ...]:
    if not isinstance(named, list) or not named or not set(named) <= set(ARRANGEMENTS):
        raise ValueError(f"arrangements must be a list of {' or '.join(ARRANGEMENTS)}")
    return tuple(name for name in ARRANGEMENTS if name in named)


def _only(table: Mapping[str, Any], where: str, allowed: Sequence[str]) -> None:
    for key in table:
        if key not in allowed:
            raise ValueError(f"unknown name {where}.{key}; allowed: {', '.join(allowed)}")
