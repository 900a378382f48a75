# SPDX-License-Identifier: MIT
"""Evidence that a duel may be believed: the reference against itself, or with a known added cost.

An evidence run is one TOML file in harness/experiments/evidence. It asks one of four things (ASKS)
of many small duels whose answer is known beforehand. The format is described in docs/duel.md.
"""
from __future__ import annotations

import itertools
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from harness.design.duel import ALONE, TOGETHER, TURNS
from harness.design.experiment import PROFILES
from harness.design.load import Load, coerce
from harness.errors import UsageError
from harness.paths import EXPERIMENTS

FOLDER = EXPERIMENTS / "evidence"

# Whether equal servers are called different; how often a known cost is seen; whether its interval
# covers its size; how narrow intervals are, and those of other arrangements in the same seconds.
HONESTY, POWER, ACCURACY, RESOLUTION = "honesty", "power", "accuracy", "resolution"
ASKS = (HONESTY, POWER, ACCURACY, RESOLUTION)
# Whose CPU a neighbour keeps half busy.
NONE, SERVER, CLIENT = "none", "server", "client"
# In turns as well, but with as many contenders as a table of models has, and the two controls.
CROWD = "turns of eight"
CROWD_CONTENDERS = 8
NEIGHBOURS = (NONE, SERVER, CLIENT)

# Duels of any number in the TOML are bounded, because a mistyped one takes days.
MOST_DUELS = 1000

T = TypeVar("T")


@dataclass(frozen=True)
class Series:
    """Runs of one kind, one after the other. connections: of each server. neighbour: see
    NEIGHBOURS. fraction: of what a pair sustains, offered to each; 0: a closed loop. share: of the
    reference's CPU time per request, added to each request of the other; 0: the other is its twin.
    """

    connections: int
    neighbour: str
    fraction: float
    share: float
    arrangement: str


@dataclass(frozen=True)
class Target:
    """Half of a 95 % interval that duels of so many seconds should reach, as a fraction. With a
    neighbour, twice as much is allowed."""

    connections: int
    arrangement: str
    seconds: float
    half_width: float


@dataclass(frozen=True)
class Other:
    """Other lengths or numbers of duels for some series. where: fields of Series and their values.
    seconds: empty for those of the profile; duels: None likewise, 0 for none at all."""

    where: Mapping[str, tuple[Any, ...]]
    seconds: tuple[float, ...] = ()
    duels: int | None = None

    def meant(self, one: "Series") -> bool:
        """Whether a series is one of these."""
        return all(getattr(one, key) in values for key, values in self.where.items())


@dataclass(frozen=True)
class Profile:
    """How much is measured. seconds: lengths of a duel, ascending; duels: how many of the longest.
    The shorter ones are cut from the same runs. run_s: the most seconds under load of one run of a
    pair; together it is as short as in a duel. at: exceptions, of which the last one that fits a
    series decides. only: fields of Series and the values that are measured of each; empty: all.
    """

    name: str
    connections: tuple[int, ...]
    neighbours: tuple[str, ...]
    fractions: tuple[float, ...]
    shares: tuple[float, ...]
    arrangements: tuple[str, ...]
    seconds: tuple[float, ...]
    duels: int
    run_s: float
    at: tuple[Other, ...] = ()
    only: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    def lengths(self, one: Series) -> tuple[float, ...]:
        """Seconds of the duels of a series, ascending."""
        return next(
            (e.seconds for e in reversed(self.at) if e.meant(one) and e.seconds), self.seconds
        )

    def longest(self, one: Series) -> int:
        """How many duels of its longest length a series has; 0: it is not measured."""
        counts = (e.duels for e in reversed(self.at) if e.meant(one) and e.duels is not None)
        return next(counts, self.duels)

    def series(self) -> list[Series]:
        """All of them. In turns and alone the loop is closed, so they have no fraction; in a CROWD
        all are equal, so it has no share."""
        found: dict[Series, None] = {}
        for connections, neighbour, share, arrangement in itertools.product(
            self.connections, self.neighbours, self.shares, self.arrangements
        ):
            fractions = (self.fractions or (0.0,)) if arrangement == TOGETHER else (0.0,)
            for fraction in fractions:
                own = 0.0 if arrangement == CROWD else share
                found[Series(connections, neighbour, fraction, own, arrangement)] = None
        chosen = Other(self.only)
        return [one for one in found if self.longest(one) and chosen.meant(one)]

    def narrowed(self, texts: Sequence[str]) -> "Profile":
        """The same with the series alone that `--only` names, each text being a field of Series and
        values of it: 'fraction=0.67', 'connections=100,1000'. Of several all must hold. UsageError
        for a field or a value that no series has."""
        only: dict[str, tuple[Any, ...]] = {}
        for text in texts:
            key, _, values = text.partition("=")
            if key not in Series.__dataclass_fields__ or key in only:
                allowed = ", ".join(Series.__dataclass_fields__)
                raise UsageError("--only", text, f"each once, as FIELD=VALUE,…: {allowed}")
            there = list(dict.fromkeys(getattr(one, key) for one in self.series()))
            known = {f"{value}": value for value in there}
            for value in values.split(","):
                if value not in known:
                    raise UsageError("--only", text, f"{key} is one of: {', '.join(known)}")
            only[key] = tuple(known[value] for value in values.split(","))
        found = replace(self, only=only)
        if not found.series():
            raise UsageError("--only", " ".join(texts), "no line has all of these")
        return found

    def estimate_s(self) -> float:
        """About how long all of it takes, with 4 s for the pilot of each number of connections and
        neighbour."""
        groups = {(one.connections, one.neighbour) for one in self.series()}
        return sum(map(self.series_s, self.series())) + 4 * len(groups)

    def series_s(self, one: Series) -> float:
        """About how long the duels of a series take: the last run of each ends a little later."""
        return self.longest(one) * (self.lengths(one)[-1] + self.run_s / 2)


@dataclass(frozen=True)
class Evidence:
    """One file. base: of every load; its connections are the profile's."""

    name: str
    asks: str
    title: str
    question: str
    source: str
    reference: str
    base: Load
    targets: tuple[Target, ...]
    profiles: Mapping[str, Profile]
    raw: Mapping[str, Any]


def copies(reference: str) -> list[str]:
    """The names of the contenders in a CROWD: the reference again and again."""
    return [f"{reference} ({number})" for number in range(2, CROWD_CONTENDERS + 1)]


def available(directory: Path = FOLDER) -> list[str]:
    """Names of the evidence runs there are."""
    return sorted(path.stem for path in directory.glob("*.toml"))


def load(name: str, directory: Path = FOLDER) -> Evidence:
    """The evidence run of that name. Raises UsageError for a name or a file that is not right."""
    if name not in available(directory):
        known = ", ".join(available(directory))
        raise UsageError("EXPERIMENT", name, f"known evidence runs: {known}")
    path = directory / f"{name}.toml"
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(str(path), "its text", f"it must be TOML: {error}") from None
    return parse(raw, name, str(path))


def parse(raw: Mapping[str, Any], name: str, origin: str) -> Evidence:
    """Build the records from a TOML document. Raises UsageError."""
    try:
        _only(raw, "", "asks title question source reference load targets profiles")
        asks = _one_of("asks", raw["asks"], ASKS)
        _only(raw["profiles"], "profiles.", " ".join(PROFILES))
        return Evidence(
            name=name,
            asks=asks,
            title=str(raw["title"]),
            question=str(raw["question"]),
            source=str(raw["source"]),
            reference=str(raw["reference"]),
            base=_load(raw.get("load", {})),
            targets=tuple(_target(entry) for entry in raw.get("targets", [])),
            profiles={p: _profile(p, raw["profiles"][p]) for p in PROFILES},
            raw=raw,
        )
    except ValueError as error:
        raise UsageError(origin, "its content", str(error)) from None
    except KeyError as error:
        raise UsageError(origin, "its content", f"{error.args[0]} is missing") from None
    except (TypeError, AttributeError, OverflowError) as error:
        raise UsageError(origin, "its content", f"a value has the wrong type: {error}") from None


def cut(runs: Sequence[T], walls: Sequence[float], seconds: float) -> list[list[T]]:
    """The runs as duels of at least so many seconds each: the shortest stretches, one after the
    other. No run is in two of them, and what is left over at the end is in none. walls: seconds
    that each run took."""
    duels: list[list[T]] = []
    current: list[T] = []
    used = 0.0
    for one, wall in zip(runs, walls):
        current.append(one)
        used += wall
        if used >= seconds:
            duels.append(current)
            current, used = [], 0.0
    return duels


def _load(table: Mapping[str, Any]) -> Load:
    _only(table, "load.", "protocol path pipeline idle arrival")
    return Load(**{key: coerce(key, value) for key, value in table.items()})


def _target(table: Mapping[str, Any]) -> Target:
    _only(table, "targets.", "connections arrangement seconds half_width")
    return Target(
        int(table["connections"]),
        _one_of("arrangement", table["arrangement"], (TOGETHER, TURNS, CROWD)),
        _number("targets.seconds", table["seconds"], 1, 86400),
        _number("targets.half_width", table["half_width"], 0.0001, 1),
    )


def _profile(name: str, table: Mapping[str, Any]) -> Profile:
    keys = "connections neighbours fractions shares arrangements seconds duels run_s at"
    _only(table, f"profiles.{name}.", keys)

    def numbers(key: str, least: float, most: float) -> tuple[float, ...]:
        return tuple(_number(f"{name}.{key}", value, least, most) for value in table[key])

    def words(key: str, allowed: Sequence[str]) -> tuple[str, ...]:
        return tuple(_one_of(f"{name}.{key}", value, allowed) for value in table[key])

    connections = numbers("connections", 1, 1_000_000)
    if any(c != int(c) for c in connections):
        raise ValueError(f"{name}.connections = {table['connections']}; allowed: whole numbers")
    profile = Profile(
        name=name,
        connections=tuple(int(c) for c in connections),
        neighbours=words("neighbours", NEIGHBOURS),
        fractions=numbers("fractions", 0.01, 0.95),
        shares=numbers("shares", 0, 1),
        arrangements=words("arrangements", (TOGETHER, TURNS, CROWD, ALONE)),
        seconds=tuple(sorted(numbers("seconds", 0.1, 86400))),
        duels=int(_number(f"{name}.duels", table["duels"], 1, MOST_DUELS)),
        run_s=_number(f"{name}.run_s", table["run_s"], 0.1, 60),
        at=tuple(_exception(f"profiles.{name}.at", one) for one in table.get("at", [])),
    )
    if not profile.series():
        raise ValueError(f"profile {name}: its exceptions leave nothing to measure")
    for key in ("connections", "neighbours", "shares", "arrangements", "seconds"):
        if not getattr(profile, key):
            raise ValueError(f"profile {name}: {key} is empty")
    return profile


def _exception(where: str, table: Mapping[str, Any]) -> Other:
    _only(table, f"{where}.", "where seconds duels")
    chosen = table["where"]
    _only(chosen, f"{where}.where.", " ".join(Series.__dataclass_fields__))
    seconds = tuple(_number(f"{where}.seconds", v, 0.1, 86400) for v in table.get("seconds", []))
    duels = table.get("duels")
    return Other(
        {key: tuple(v if isinstance(v, list) else [v]) for key, v in chosen.items()},
        tuple(sorted(seconds)),
        None if duels is None else int(_number(f"{where}.duels", duels, 0, MOST_DUELS)),
    )


def _only(table: Mapping[str, Any], where: str, allowed: str) -> None:
    for key in table:
        if key not in allowed.split():
            raise ValueError(f"{where}{key} is unknown; allowed: {', '.join(allowed.split())}")


def _one_of(key: str, value: Any, allowed: Sequence[str]) -> str:
    if value not in allowed:
        raise ValueError(f"{key} = {value!r}; allowed: {', '.join(allowed)}")
    return str(value)


def _number(key: str, value: Any, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{key} = {value!r}; allowed: a number")
    if not (math.isfinite(value) and least <= value <= most):
        raise ValueError(f"{key} = {value!r}; allowed: {least:g} to {most:g}")
    return float(value)
