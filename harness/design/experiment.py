# SPDX-License-Identifier: MIT
"""An experiment is one TOML file; this reads it into records and refuses what it does not know.

The format is described in docs/harness.md ("Writing an experiment").
"""
from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.design import compare, selection, textbook
from harness.design.compare import Compare
from harness.design.duel import ARRANGEMENTS
from harness.design.grid import Grid
from harness.design.load import Load, coerce
from harness.design.metrics import METRICS
from harness.design.textbook import Textbook
from harness.paths import EXPERIMENTS
from harness.store import Run

PROFILES = ("quick", "default", "full")
RELATIONS = ("above", "below", "within", "between", "unsupported")
# What the others are compared with, unless the experiment names another model.
REFERENCE = "epoll_lt"
# Among the metrics of the answer: the verdicts on the claims.
CLAIMS = "claims"
# What of a server settles, settles from one answer to the next; io_uring took five.
WARMUP_PASSES = 5
WARMUP_PASSES_MOST = 10_000


@dataclass(frozen=True)
class Factor:
    name: str
    title: str
    unit: str
    scale: str  # "log", "linear" or "ordinal" (side by side, as texts are): how a plot shows it
    words: Mapping[str, str] = field(default_factory=dict)  # what people call a level, if not it


@dataclass(frozen=True)
class Timing:
    """How long a cell of some levels lasts; seconds are of the measuring window, after warm-up."""

    where: Mapping[str, Any]
    seconds: float
    warmup: float


@dataclass(frozen=True)
class Profile:
    """How careful: levels per factor, blocks (= replicates), time per cell, budget of the whole.

    `grid` replaces the levels of one factor by a grid that follows each model's capacity.
    `once_above_s`: a cell that takes longer than that, connecting included, is measured once: a
    model that needs ten seconds to be connected would eat the replicates of all others.
    """

    name: str
    levels: Mapping[str, tuple[Any, ...]]
    grid: Grid | None
    grid_factor: str
    replicates: int
    min_replicates: int
    seconds: float
    warmup: float
    budget_s: float
    timings: tuple[Timing, ...]
    once_above_s: float = math.inf
    warmup_passes: int = WARMUP_PASSES  # closed loop: and so many answers to each connection
    leave_out: tuple[Mapping[str, Any], ...] = ()  # combinations of levels that are not measured

    def leaves_out(self, factors: Mapping[str, Any]) -> bool:
        """Whether this combination of levels and a model is one that is not measured."""
        return any(all(factors.get(k) == v for k, v in one.items()) for one in self.leave_out)

    def timing(self, factors: Mapping[str, Any]) -> tuple[float, float]:
        """(seconds, warm-up) of a cell with these levels: the last matching exception wins."""
        chosen = (self.seconds, self.warmup)
        for exception in self.timings:
            if all(factors.get(key) == value for key, value in exception.where.items()):
                chosen = (exception.seconds, exception.warmup)
        return chosen


@dataclass(frozen=True)
class Operand:
    """A metric of one model at levels; or, where `slope` names a factor, how the metric grows with
    it, per unit of the factor. The slope of a metric in microseconds is in nanoseconds.

    best: a glob of models; the operand is the best of them, chosen in one half of the blocks and
    compared in the other (harness.judge.tuned). "model" in `where` is then that glob.
    """

    metric: str
    where: Mapping[str, Any]  # "model" (a name or "*") and factor levels
    slope: str = ""
    best: str = ""


@dataclass(frozen=True)
class Claim:
    """`a` stands in `relation` to `factor` times `b`, or to `value` where there is no b.

    relation: above, below, within (a / b between 1 / factor and factor), between (a lies in
    `range`, which takes the place of b), or unsupported (the model cannot do this at all; only
    `a`). arrangement: the claim is about what was found in this one, "together" or "turns"; ""
    for the load of the cells, in whatever way it was measured best. baseline: the claim is about
    what is left of a, and of b, when that model's value is subtracted (harness.judge.baseline).
    control: no part of what is claimed, but what must come out if the measurement sees anything at
    all: where it is not supported, a claim of the textbooks is not decided.
    """

    text: str
    a: Operand
    b: Operand | None
    relation: str
    factor: float
    value: float
    range: tuple[float, float] = (0.0, 0.0)
    arrangement: str = ""
    baseline: str = ""
    control: bool = False


@dataclass(frozen=True)
class Highlight:
    """One table of the summary: a metric at the levels worth a reader's time, and a note."""

    metric: str
    levels: tuple[Any, ...]  # of the first factor; empty = all
    note: str


@dataclass(frozen=True)
class Experiment:
    name: str
    title: str
    question: str
    source: str
    base: Load
    clamp_connections: bool
    processes_as_needed: bool
    factors: tuple[Factor, ...]
    metric: str
    highlights: tuple[Highlight, ...]
    claims: tuple[Claim, ...]
    profiles: Mapping[str, Profile]
    models: tuple[str, ...]  # default selection, in words of --models; empty = all
    raw: Mapping[str, Any]
    reference: str = REFERENCE
    answers: tuple[str, ...] = ()  # the metrics that the answer is about, or CLAIMS; empty = main
    compare: Compare = compare.NONE  # where all models also meet together and in turns
    by_name: bool = False  # system calls are told by name, and wake-ups counted
    baseline: str = ""  # a model: what the others have beyond it is told, too; "": none
    textbook: Textbook | None = None  # the claim that it settles, if it was made for one


CLAIMS = "claims"  # the folder of those that settle a claim of the textbooks


def available(directory: Path = EXPERIMENTS) -> list[str]:
    """The names of all experiments, those of textbook_claims() aside."""
    return sorted(path.stem for path in directory.glob("*.toml"))


def textbook_claims(directory: Path = EXPERIMENTS) -> list[str]:
    """The names of the experiments that settle a claim of the textbooks, in their order."""
    return sorted(path.stem for path in (directory / CLAIMS).glob("*.toml"))


def load(name: str, directory: Path = EXPERIMENTS) -> Experiment:
    """The experiment of that name. Raises UsageError for a name or a file that is not right."""
    known = available(directory)
    if name not in known and name not in textbook_claims(directory):
        raise UsageError(
            "EXPERIMENT", name, f"known experiments: {', '.join(known)}, and those of {CLAIMS}/"
        )
    path = (directory if name in known else directory / CLAIMS) / f"{name}.toml"
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(str(path), "its text", f"it must be TOML: {error}") from None
    except RecursionError:
        raise UsageError(str(path), "its text", "it is nested too deeply") from None
    return parse(raw, str(path))


def of(run: Run) -> Experiment:
    """The experiment that a run measured. UsageError where its run.json has none."""
    return parse(run.meta.get("experiment") or {}, str(run.path / "run.json"))


# What decides about a run's numbers and verdicts. The rest is how they are told.
_MEASURED = "metric models load reference baseline by_name compare claims".split()


def asks_the_same(one: Mapping[str, Any], other: Mapping[str, Any], profile: str) -> bool:
    """Whether two documents of an experiment (Experiment.raw) measure the same with this profile,
    and claim the same of it. Titles, notes and other profiles may differ."""
    both = [raw.get("profiles", {}).get(profile) for raw in (one, other)]
    return both[0] == both[1] and all(one.get(key) == other.get(key) for key in _MEASURED)


def parse(raw: Mapping[str, Any], origin: str) -> Experiment:
    """Build the records from a TOML document (or from the JSON copy in run.json)."""
    reader = _Reader(origin)
    if not isinstance(raw, Mapping):
        raise UsageError(origin, "its content", "it must be a table")
    known = (
        "name title question source models load factors metric summary claims profiles plot"
        " reference answers compare by_name textbook baseline"
    )
    reader.only(raw, "", known.split())
    try:
        fixed = dict(raw["load"])
        clamp = bool(fixed.pop("clamp_connections", False))
        as_needed = bool(fixed.pop("processes_as_needed", False))
        base = Load(**{key: coerce(key, value) for key, value in fixed.items()})
        factors = tuple(
            Factor(
                key,
                str(value.get("title", key)),
                str(value.get("unit", "")),
                str(value.get("scale", "linear")),
                {str(level): str(words) for level, words in value.get("words", {}).items()},
            )
            for key, value in raw["factors"].items()
        )
        profiles = {
            key: _profile(reader, key, value, factors) for key, value in raw["profiles"].items()
        }
        experiment = Experiment(
            name=str(raw["name"]),
            title=str(raw["title"]),
            question=str(raw["question"]),
            source=str(raw["source"]),
            base=base,
            clamp_connections=clamp,
            processes_as_needed=as_needed,
            factors=factors,
            metric=reader.metric(str(raw["metric"])),
            highlights=tuple(_highlight(reader, h) for h in raw.get("summary", [])),
            claims=tuple(
                _claim(reader, c, str(raw.get("baseline", ""))) for c in raw.get("claims", [])
            ),
            profiles=profiles,
            models=_names(raw.get("models", [])),
            raw=raw,
            reference=str(raw.get("reference", REFERENCE)),
            answers=tuple(
                CLAIMS if name == CLAIMS else reader.metric(str(name))
                for name in raw.get("answers", [])
            ),
            by_name=bool(raw.get("by_name", False)),
            baseline=str(raw.get("baseline", "")),
            compare=_compare(raw.get("compare", {}), base, factors, profiles),
            textbook=_textbook(raw),
        )
    except ValueError as error:
        raise UsageError(origin, "its content", str(error)) from None
    except KeyError as error:
        raise UsageError(origin, "its content", f"{error.args[0]} is missing") from None
    except (TypeError, AttributeError, OverflowError) as error:
        raise UsageError(origin, "its content", f"a value has the wrong type: {error}") from None
    for name in PROFILES:
        if name not in profiles:
            raise UsageError(origin, "profiles", f"needs profile {name}")
    return experiment


@dataclass(frozen=True)
class _Reader:
    origin: str

    def only(self, table: Mapping[str, Any], where: str, allowed: list[str]) -> None:
        for key in table:
            if key not in allowed:
                raise UsageError(
                    self.origin, f"{where}{key}", f"allowed here: {', '.join(allowed)}"
                )

    def metric(self, name: str) -> str:
        if name not in METRICS:
            raise ValueError(f"unknown metric '{name}'; allowed: {', '.join(METRICS)}")
        return name


def _profile(
    reader: _Reader, name: str, table: Mapping[str, Any], factors: tuple[Factor, ...]
) -> Profile:
    if name not in PROFILES:
        raise ValueError(f"unknown profile '{name}'; allowed: {', '.join(PROFILES)}")
    keys = "levels grid replicates min_replicates seconds warmup warmup_passes budget_s".split()
    keys += ["once_above_s", "at", "leave_out"]
    reader.only(table, f"profiles.{name}.", keys)
    names = [f.name for f in factors]
    grids = dict(table.get("grid", {}))
    levels = dict(table.get("levels", {}))
    for factor in names:
        if (factor in levels) == (factor in grids):
            raise ValueError(f"profile {name}: factor {factor} needs either levels or a grid")
    for factor in [*levels, *grids]:
        if factor not in names:
            raise ValueError(f"profile {name}: '{factor}' is not a factor of this experiment")
    if len(grids) > 1 or any(factor != "offered_rps" for factor in grids):
        raise ValueError(f"profile {name}: only offered_rps can have a grid")
    replicates = int(table["replicates"])
    minimum = int(table.get("min_replicates", replicates))
    if not 1 <= minimum <= replicates:
        raise ValueError(f"profile {name}: needs 1 <= min_replicates <= replicates")
    seconds, warmup = float(table["seconds"]), float(table["warmup"])
    timings = tuple(
        Timing(
            dict(entry["where"]),
            float(entry.get("seconds", seconds)),
            float(entry.get("warmup", warmup)),
        )
        for entry in table.get("at", [])
    )
    budget = float(table["budget_s"])
    if not 0 <= budget < math.inf:
        raise ValueError(f"profile {name}: budget_s must be a finite number from 0")
    for s, w in [(seconds, warmup), *((t.seconds, t.warmup) for t in timings)]:
        if not (0 < s <= 3600 and 0 <= w <= 3600):
            raise ValueError(f"profile {name}: seconds must be in (0, 3600], warmup in [0, 3600]")
    passes = table.get("warmup_passes", WARMUP_PASSES)
    if type(passes) is not int or not 0 <= passes <= WARMUP_PASSES_MOST:
        raise ValueError(
            f"profile {name}: warmup_passes must be a whole number from 0 to {WARMUP_PASSES_MOST}"
        )
    return Profile(
        name=name,
        levels={key: tuple(coerce(key, v) for v in values) for key, values in levels.items()},
        grid=Grid.parse(grids["offered_rps"]) if grids else None,
        grid_factor="offered_rps" if grids else "",
        replicates=replicates,
        min_replicates=minimum,
        seconds=seconds,
        warmup=warmup,
        budget_s=budget,
        timings=timings,
        once_above_s=float(table.get("once_above_s", math.inf)),
        warmup_passes=passes,
        leave_out=_left_out(name, table.get("leave_out", []), levels),
    )


def _left_out(name: str, given: Any, levels: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    found = tuple(
        {key: str(v) if key == "model" else coerce(key, v) for key, v in dict(one).items()}
        for one in given
    )
    for key, value in ((key, value) for one in found for key, value in one.items()):
        if key == "model":
            continue
        if value not in [coerce(key, v) for v in levels.get(key, [])]:
            raise ValueError(f"profile {name}: leave_out: {key} = {value} is no level of it")
    return found


def _compare(
    table: Mapping[str, Any],
    base: Load,
    factors: tuple[Factor, ...],
    profiles: Mapping[str, Profile],
) -> Compare:
    names = [factor.name for factor in factors]
    if table and (base.freeze_ms or "freeze_ms" in names):
        raise ValueError("compare: a server that is frozen cannot take turns")
    measured: dict[str, dict[str, Any]] = {
        name: {
            **profile.levels,
            **({profile.grid_factor: profile.grid.points()} if profile.grid else {}),
        }
        for name, profile in profiles.items()
    }
    found = compare.parse(table, names, measured)
    # A combination without cells is not compared either.
    met = {
        name: tuple(one for one in levels if not profiles[name].leaves_out(one.factors))
        for name, levels in found.levels.items()
    }
    return replace(found, levels=met)


def _textbook(raw: Mapping[str, Any]) -> Textbook | None:
    return textbook.parse(raw["textbook"], str(raw["name"])) if "textbook" in raw else None


def _names(given: Any) -> tuple[str, ...]:
    if isinstance(given, str):
        return selection.words(given)
    if not isinstance(given, (list, tuple)) or not all(isinstance(name, str) for name in given):
        raise ValueError("models must be a text as --models takes, or a list of its words")
    return tuple(given)


def _highlight(reader: _Reader, table: Mapping[str, Any]) -> Highlight:
    reader.only(table, "summary.", ["metric", "levels", "note"])
    return Highlight(
        reader.metric(str(table["metric"])),
        tuple(table.get("levels", [])),
        str(table.get("note", "")),
    )


def _claim(reader: _Reader, table: Mapping[str, Any], baseline: str = "") -> Claim:
    keys = "text metric a b relation factor value range arrangement beyond_baseline control".split()
    reader.only(table, "claims.", keys)
    relation, text = str(table["relation"]), str(table["text"])
    if relation not in RELATIONS:
        raise ValueError(f"unknown relation '{relation}'; allowed: {', '.join(RELATIONS)}")
    special: dict[str, list[str]] = {"between": ["range"], "unsupported": []}
    needs = special.get(relation, ["b", "value"])
    given = [key for key in ("b", "value", "range") if key in table]
    if len(given) != min(1, len(needs)) or not set(given) <= set(needs):
        wanted = f"either {' or '.join(needs)}" if needs else "nothing to be compared with"
        raise ValueError(f"claim '{text}': needs {wanted}")
    low, high = (float(v) for v in table.get("range", (0, 0)))
    if not low <= high:
        raise ValueError(f"claim '{text}': range needs the smaller number first")

    def operand(named: Mapping[str, Any]) -> Operand:
        where = dict(named)
        slope, best = str(where.pop("slope", "")), str(where.pop("best", ""))
        metric = reader.metric(str(where.pop("metric", table.get("metric"))))
        if best and ("model" in where or slope or not METRICS[metric].better):
            raise ValueError(
                f"claim '{text}': best stands instead of model, without slope, and for a metric of"
                " which more or less is better"
            )
        return Operand(metric, {**where, **({"model": best} if best else {})}, slope, best)

    arrangement = str(table.get("arrangement", ""))
    if arrangement and (arrangement not in ARRANGEMENTS or "b" not in table):
        raise ValueError(
            f"claim '{text}': arrangement is {' or '.join(ARRANGEMENTS)}, of a claim with a and b"
        )
    beyond = bool(table.get("beyond_baseline", False))
    if beyond and (not baseline or relation not in ("above", "below", "between") or arrangement):
        raise ValueError(
            f"claim '{text}': beyond_baseline needs the experiment's baseline, the relation above,"
            " below or between, and no arrangement"
        )
    factor, value = float(table.get("factor", 1.0)), float(table.get("value", 0.0))
    if not (0 < factor < math.inf and math.isfinite(value)):
        raise ValueError(f"claim '{table['text']}': needs a finite value and a factor above 0")
    return Claim(
        text=text,
        a=operand(table["a"]),
        b=operand(table["b"]) if "b" in table else None,
        relation=relation,
        factor=factor,
        value=value,
        range=(low, high),
        arrangement=arrangement,
        baseline=baseline if beyond else "",
        control=bool(table.get("control", False)),
    )
