# SPDX-License-Identifier: MIT
"""What a run left on disk, as records.

Reads run.json, summary.tsv, answer.json and the cells (cells/*.json and *.hgrm), and nothing else
(docs/figures.md says which figure needs which). Of a packed run the cells are in cells.jsonl.xz,
the two other files in conclusions.tar.xz. Estimates keep the unit of summary.tsv:
nanoseconds, bytes, requests per second, microseconds of CPU per request. `nan` means "no value",
`inf` means "infinite".
"""

from __future__ import annotations

import csv
import io
import json
import lzma
import math
import re
import statistics
import tarfile
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

STATUSES = ("ok", "client-limited", "suspect", "void", "unsupported", "failed")
# What a point may be drawn as: with a value (believed or doubted), or as a mark at the axis edge.
DOUBTFUL = frozenset({"client-limited", "suspect", "void"})
NO_VALUE = frozenset({"unsupported", "failed"})

_TAIL_COLUMNS = tuple("metric unit n estimate lo hi status codes badges strays reason".split())


OUTCOMES = ("supported", "refuted", "depends", "cannot decide")
PACKED = "cells.jsonl.xz"  # instead of the folder cells/, see `tenk pack`
PACKED_DUELS = "duels.jsonl.xz"  # likewise instead of duels/
CONCLUSIONS = "conclusions.tar.xz"  # likewise instead of summary.tsv and answer.json


class DataError(Exception):
    """A run that cannot be read; the text is one line fit for the user."""


class EmptySpectrum(DataError):
    """A percentile table without a row: nothing was answered."""


@dataclass(frozen=True)
class Point:
    """One model at one level of every factor, for one metric: one row of summary.tsv.

    codes: of the load generator's verdict. badges: what else is to be known of the value. strays:
    the replicates whose status is another, as "1 of 5 void". reason: of the status, in words.
    """

    model: str
    factors: tuple[tuple[str, str], ...]
    metric: str
    unit: str
    n: int
    estimate: float
    lo: float
    hi: float
    status: str
    reason: str = ""
    codes: tuple[str, ...] = ()
    badges: tuple[str, ...] = ()
    strays: tuple[str, ...] = ()

    @property
    def missing(self) -> bool:
        """No value for a reason the reader must see, rather than a metric that does not apply."""
        return self.status in NO_VALUE or (self.status == "void" and math.isnan(self.estimate))

    @property
    def spread(self) -> bool:
        """Whether lo..hi says anything: from one replicate it cannot."""
        return self.n >= 2 and not math.isnan(self.lo) and not math.isnan(self.hi)

    def level(self, factor: str) -> str:
        """The level of `factor` as written; KeyError if the run has no such factor."""
        return dict(self.factors)[factor]

    def x(self, factor: str) -> float:
        """The level of `factor` as a number; nan if it is not one."""
        return number(self.level(factor))


@dataclass(frozen=True)
class Replicate:
    """One cell of the run. hgrm: its percentile spectrum as text, '' where it has none."""

    model: str
    factors: dict[str, str]
    replicate: int
    status: str
    reason: str
    metrics: dict[str, float]
    codes: tuple[str, ...]
    badges: tuple[str, ...]
    hgrm: str


@dataclass(frozen=True)
class Interval:
    """A ratio to the reference with its 95 % interval; nan where there is none."""

    estimate: float
    lo: float
    hi: float


@dataclass(frozen=True)
class PartNumber:
    """What a verdict rests on: an estimate with its interval, and the bounds that the claim names,
    each nan where there is none. unit: "ratio", or that of the number. basis: "cells", "slope", or
    how the models met. n: replicates, or blocks and runs."""

    unit: str
    estimate: float
    lo: float
    hi: float
    low: float
    high: float
    basis: str
    n: int


@dataclass(frozen=True)
class Part:
    """A claim of the run with its verdict. control: it is none of the parts of what is claimed."""

    text: str
    outcome: str
    control: bool
    numbers: tuple[PartNumber, ...]


@dataclass(frozen=True)
class Settled:
    """The claim of the textbooks that the run was made for, and the verdict on it."""

    number: int
    claim: str
    outcome: str


@dataclass(frozen=True)
class Meeting:
    """How all models met at one level (docs/duel.md): "together" or "turns". The ratios of the
    models are points of the run; here is what may be believed of them, in CPU per request.

    twin: the reference against itself. control: with a known cost added; expected: what that must
    come to. offered_rps: to each, nan where that is not known or the loop is closed. left_out:
    models that did not take part.
    """

    factors: tuple[tuple[str, str], ...]
    arrangement: str
    reference: str
    twin: Interval
    control: Interval
    expected: float
    offered_rps: float
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class Spectrum:
    """A percentile spectrum (.hgrm): parallel, ascending. Values in nanoseconds.

    `inverse[i]` is 1/(1-percentile), the x axis of HdrHistogram's plots, never beyond `count`,
    where a single request weighs. With infinite requests the table ends below percentile 1:
    `finite` is the fraction of all requests that have a time.
    """

    inverse: tuple[float, ...]
    value_ns: tuple[float, ...]
    count: int
    finite: float = 1.0

    def at(self, inverse: float) -> float:
        """The value at percentile 1 - 1/inverse: that of the next row up; inf past the finite."""
        if 1 - 1 / inverse > self.finite:
            return math.inf
        index = bisect_left(self.inverse, inverse * (1 - 1e-9))
        return self.value_ns[min(index, len(self.value_ns) - 1)]


def number(text: object) -> float:
    """`text` as a float, "inf" and "nan" included; nan where it is no number."""
    if isinstance(text, bool) or text is None:
        return math.nan
    try:
        return float(str(text))
    except ValueError:
        return math.nan


def level_text(value: object) -> str:
    """A factor level in one spelling, so that 100, 100.0 and "100" meet."""
    as_number = number(value)
    if math.isfinite(as_number) and as_number == int(as_number):
        return str(int(as_number))
    return str(value)


@dataclass(frozen=True)
class Results:
    """What a run left. Slices (`slices`, `only`) share its path and its metadata."""

    path: Path
    meta: dict[str, Any]
    factors: tuple[str, ...]
    points: tuple[Point, ...]
    summarised: bool = True  # False: summary.tsv is missing, estimates are medians of the cells
    fixed: tuple[tuple[str, str], ...] = field(default=())
    highlight: tuple[str, ...] = ()  # models that were asked to stand out
    titles: Mapping[str, str] = field(default_factory=dict)  # of answer.json: what was found

    def title(self, key: str, question: str) -> str:
        """What the run found of `key` (a metric, mostly), or the question where it does not say: an
        older run, or a slice of one, whose findings are about all of it."""
        return question if self.fixed else self.titles.get(key, question)

    def described(self, factor: str) -> Mapping[str, Any]:
        """What the experiment says of a factor: its title, its unit, its scale."""
        told = self.meta.get("experiment")
        factors = told.get("factors") if isinstance(told, dict) else None
        found = factors.get(factor) if isinstance(factors, dict) else None
        return found if isinstance(found, dict) else {}

    def words(self, factor: str) -> Mapping[str, str]:
        """What the experiment calls the levels of a factor, those that have a name."""
        found = self.described(factor).get("words")
        return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}

    @cached_property
    def _answer(self) -> dict[str, Any]:
        text = conclusion(self.path, "answer.json")
        return {} if text is None else _object(self.path / "answer.json", text)

    @property
    def settled(self) -> Settled | None:
        """What the run was made to settle, if it was."""
        told = self._answer.get("settled")
        if not isinstance(told, dict):
            return None
        outcome = str(told.get("outcome"))
        if outcome not in OUTCOMES:
            raise DataError(f"{self.path / 'answer.json'}: not an outcome: {outcome!r}")
        return Settled(int(number(told.get("number"))), str(told.get("claim")), outcome)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The verdicts on the claims of the run, those about what it did not measure left out."""
        told = self._answer.get("claims")
        return tuple(
            Part(
                str(one.get("text")),
                str(one.get("outcome")) if one.get("outcome") in OUTCOMES else OUTCOMES[-1],
                bool(one.get("control")),
                tuple(_part_number(each) for each in one.get("numbers") or ()),
            )
            for one in (told if isinstance(told, list) else ())
            if isinstance(one, dict) and not one.get("absent")
        )

    @property
    def experiment(self) -> str:
        value = self.meta.get("experiment")
        name = value.get("name") if isinstance(value, dict) else None
        return str(name) if name else self.path.parent.name

    @property
    def complete(self) -> bool:
        return bool(self.meta.get("complete", True))

    @cached_property
    def models(self) -> tuple[str, ...]:
        """Every model of the run, measured or not, in the order the run names them."""
        named = self.meta.get("models")
        order = dict.fromkeys(named if isinstance(named, dict) else ())
        order.update(dict.fromkeys(point.model for point in self.points))
        return tuple(str(name) for name in order)

    @cached_property
    def families(self) -> dict[str, str]:
        """The family of each model, as it said itself; '' where it could not."""
        named = self.meta.get("models")
        found = named if isinstance(named, dict) else {}
        told = {m: found.get(m) for m in self.models}
        return {
            m: str(t.get("family") or "") if isinstance(t, dict) else "" for m, t in told.items()
        }

    @cached_property
    def metrics(self) -> frozenset[str]:
        """The metrics that have at least one value (an infinite one counts)."""
        return frozenset(p.metric for p in self.points if not math.isnan(p.estimate))

    def levels(self, factor: str) -> tuple[str, ...]:
        """The levels of `factor` that occur, numbers ascending before words."""
        if factor not in self.factors:
            return ()
        found = {point.level(factor) for point in self.points}
        return tuple(
            sorted(found, key=lambda s: (math.isnan(number(s)), number(s), s))
            if all(not math.isnan(number(s)) for s in found)
            else sorted(found)
        )

    def planned(self, factor: str) -> tuple[tuple[str, str], ...]:
        """(model, level of `factor`) of everything the run set out to measure, in its order.

        Empty where run.json holds no plan. Cut to the levels of this slice.
        """
        plan = self.meta.get("plan")
        found: dict[tuple[str, str], None] = {}
        for setting in plan if isinstance(plan, list) else ():
            given = setting.get("factors") if isinstance(setting, dict) else None
            if not isinstance(given, dict):
                continue
            levels = {k: level_text(v) for k, v in given.items()}
            if factor in levels and all(levels.get(name) == level for name, level in self.fixed):
                found[str(setting.get("model")), levels[factor]] = None
        return tuple(found)

    def has(self, factor: str, *metrics: str) -> bool:
        """Whether figures of these metrics against `factor` can be drawn."""
        return (
            factor in self.factors
            and all(metric in self.metrics for metric in metrics)
            and all(not math.isnan(number(level)) for level in self.levels(factor))
        )

    def series(self, metric: str, factor: str) -> dict[str, list[Point]]:
        """Each model's points of `metric` in the order of `factor`; models without are left out.

        A level that has no row for this metric but is unsupported or failed on any other is
        reported for this metric too: a model that cannot run has no metrics at all.
        """
        by_model: dict[str, dict[str, Point]] = {model: {} for model in self.models}
        for point in self.points:
            level = point.level(factor)
            if point.metric == metric:
                by_model[point.model][level] = point
            elif point.missing and level not in by_model[point.model]:
                by_model[point.model][level] = replace(point, metric=metric, estimate=math.nan)
        return {
            model: sorted(points.values(), key=lambda point: point.x(factor))
            for model, points in by_model.items()
            if points
        }

    def unmeasured(self, factor: str) -> dict[str, list[str]]:
        """Levels of `factor` that each model was to be measured at, and has no row for."""
        have = {(p.model, p.level(factor)) for p in self.points}
        gaps: dict[str, list[str]] = {}
        for model, level in self.planned(factor):
            if (model, level) not in have:
                gaps.setdefault(model, []).append(level)
        return gaps

    def slices(self, factor: str) -> list[tuple[str, Results]]:
        """The run cut along every factor but `factor`: (file name suffix, part) pairs.

        One pair with an empty suffix where the other factors have a single level each.
        """
        others = [name for name in self.factors if name != factor and len(self.levels(name)) > 1]
        parts = []
        for levels in product(*(self.levels(name) for name in others)):
            fixed = tuple(zip(others, levels))
            part = self.only(**dict(fixed))
            if part.points:
                words = (
                    f"-{name}={re.sub(r'[^A-Za-z0-9_.+-]+', '_', level)}" for name, level in fixed
                )
                parts.append(("".join(words), part))
        return parts

    def only(self, **levels: str) -> Results:
        """The part of the run at these factor levels."""
        points = tuple(
            p for p in self.points if all(p.level(name) == level for name, level in levels.items())
        )
        return replace(self, points=points, fixed=self.fixed + tuple(levels.items()))

    @cached_property
    def meetings(self) -> tuple[Meeting, ...]:
        """How the models of this slice were compared; unreadable files raise DataError."""
        found = [m for document in _duels(self.path) for m in _meetings(document)]
        fixed = dict(self.fixed)
        kept = (
            m for m in found if all(dict(m.factors).get(name) == at for name, at in fixed.items())
        )
        return tuple(sorted(kept, key=lambda m: [_sortable(level) for _, level in m.factors]))

    @cached_property
    def cells(self) -> tuple[Replicate, ...]:
        """The replicates of this slice, unreadable files raising DataError."""
        fixed = dict(self.fixed)
        return tuple(
            cell
            for cell in _read_cells(self.path)
            if all(cell.factors.get(name) == level for name, level in fixed.items())
        )


def load_run(path: Path) -> Results:
    """Read the run in directory `path`; DataError names what is missing or malformed."""
    if not path.is_dir():
        raise DataError(f"{path}: no such directory; a run is results/<machine>/<experiment>/<run>")
    meta = _read_json(path / "run.json")
    summary = conclusion(path, "summary.tsv")
    if summary is not None:
        factors, points = _read_summary(path / "summary.tsv", summary)
        return Results(path, meta, factors, points, titles=_read_titles(path))
    factors, points = _summarise_cells(_read_cells(path))
    if not points:
        raise DataError(f"{path}: neither summary.tsv nor a readable cell: nothing was measured")
    return Results(path, meta, factors, points, summarised=False)


def conclusion(run: Path, name: str) -> str | None:
    """The text of summary.tsv or answer.json in that run, which may be packed; None where it has
    none, DataError where it cannot be read."""
    plain, archive = run / name, run / CONCLUSIONS
    try:
        if plain.is_file():
            return plain.read_text(encoding="utf-8")
        if not archive.is_file():
            return None
        with tarfile.open(archive, "r:xz") as files:
            inside = files.extractfile(name) if name in files.getnames() else None
            return inside.read().decode() if inside is not None else None
    except (OSError, EOFError, ValueError, tarfile.TarError, lzma.LZMAError) as error:
        where = plain if plain.is_file() else archive
        raise DataError(f"{where}: cannot be read: {error}") from error


def companions(run: Results) -> dict[str, Path]:
    """The other runs of the same `tenk run`, by experiment: those that name the same session, in
    the folders of the same machine."""
    session = run.meta.get("session")
    found: dict[str, Path] = {}
    for marker in sorted(run.path.parent.parent.glob("*/*/run.json")) if session else ():
        if marker.parent != run.path and marker.parent.parent != run.path.parent:
            try:
                other = _read_json(marker)
            except DataError:
                continue  # not ours to complain of
            if other.get("session") == session:
                found[marker.parent.parent.name] = marker.parent
    return found


def find_runs(results: Path) -> list[Path]:
    """The latest run of each machine's experiments under `results`, in order of their names.

    The committed reference run counts only where nothing else was measured.
    """
    latest: dict[tuple[str, str], Path] = {}
    for marker in sorted(results.glob("*/*/*/run.json")):
        run = marker.parent
        measured = (run / PACKED).is_file() or any((run / "cells").glob("*.json"))
        if measured or (run / "summary.tsv").is_file() or (run / CONCLUSIONS).is_file():
            latest[run.parent.parent.name, run.parent.name] = run  # names begin with the UTC time
    own = [key for key in latest if key[0] != "reference"]
    return [latest[key] for key in sorted(own or latest)]


def read_spectrum(path: Path) -> Spectrum:
    """A .hgrm file; DataError if it is not one."""
    try:
        return parse_spectrum(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error


def parse_spectrum(text: str, origin: str) -> Spectrum:
    """A percentile table in milliseconds, as loadgen writes it; DataError if malformed, and
    EmptySpectrum if it has no row."""
    rows: list[tuple[float, float]] = []
    count, finite, whole = 0, 1.0, False
    for line in text.splitlines():
        fields = line.split()
        if line.startswith("#["):
            notes = dict(re.findall(r"([A-Z][A-Za-z ]*?) *= *([0-9.]+)", line))
            said = number(notes.get("Total count", count)), number(notes.get("Fraction", 0.0))
            if not all(map(math.isfinite, said)):
                raise DataError(f"{origin}: not a note: {line.strip()!r}")
            whole = whole or "Total count" in notes
            count, finite = int(said[0]), 1 - said[1] if "Fraction" in notes else finite
            continue
        if not fields or fields[0] == "Value":
            continue
        value, percentile, total = (number(text) for text in (fields + [""] * 3)[:3])
        if math.isnan(value) or not 0 <= percentile <= 1 or not math.isfinite(total):
            raise DataError(f"{origin}: not a percentile line: {line.strip()!r}")
        count = max(count, int(total))
        rows.append((percentile, value * 1e6))
    if not rows or not count:
        raise EmptySpectrum(f"{origin}: holds no percentile line")
    if not whole:
        raise DataError(f"{origin}: cut short: the total count at its end is missing")
    # Rows finer than one request in the count, percentile 1 among them, all stand for the maximum.
    places = [min(1 / (1 - p) if p < 1 else math.inf, float(count)) for p, _ in rows]
    return Spectrum(tuple(places), tuple(value for _, value in rows), count, finite)


def _json(text: str) -> Any:
    """A JSON document; ValueError for what is none, NaN and bottomless nesting included."""

    def refuse(name: str) -> Any:
        raise ValueError(f"{name} is no number in JSON")

    try:
        return json.loads(text, parse_constant=refuse)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise DataError(f"{path}: not JSON: {error}") from error
    return _object(path, text)


def _object(path: Path, text: str) -> dict[str, Any]:
    try:
        value = _json(text)
    except ValueError as error:
        raise DataError(f"{path}: not JSON: {error}") from error
    if not isinstance(value, dict):
        raise DataError(f"{path}: a JSON object is expected")
    return value


def _part_number(told: Mapping[str, Any]) -> PartNumber:
    estimate, lo, hi, low, high, many = (
        number(told.get(key)) for key in ("estimate", "lo", "hi", "low", "high", "n")
    )
    n = int(many) if math.isfinite(many) else 0
    basis = str(told.get("basis"))
    return PartNumber(str(told.get("unit")), estimate, lo, hi, low, high, basis, n)


def _read_titles(run: Path) -> dict[str, str]:
    """The titles that the harness wrote; none where there is no such file."""
    text = conclusion(run, "answer.json")
    if text is None:
        return {}
    titles = _object(run / "answer.json", text).get("titles")
    return {str(k): str(v) for k, v in titles.items()} if isinstance(titles, dict) else {}


def _read_summary(path: Path, text: str) -> tuple[tuple[str, ...], tuple[Point, ...]]:
    """The table in `text`; path: where it stands, for the message if it is none."""
    try:
        lines = io.StringIO(text, newline="")
        rows = list(csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    except (ValueError, csv.Error) as error:
        raise DataError(f"{path}: not a table: {error}") from error
    header = rows[0] if rows else []
    if header[:1] != ["model"] or tuple(header[-len(_TAIL_COLUMNS) :]) != _TAIL_COLUMNS:
        raise DataError(
            f"{path}: the header must be: model <factors…> {' '.join(_TAIL_COLUMNS)}"
            f" (an older run: harness/tenk {_anew(path.parent)} {path.parent} writes it anew)"
        )
    factors = tuple(header[1 : -len(_TAIL_COLUMNS)])
    points = []
    for line, row in enumerate(rows[1:], start=2):
        if not row:
            continue
        if len(row) != len(header):
            raise DataError(f"{path}:{line}: {len(row)} fields where the header has {len(header)}")
        record = dict(zip(header, row))
        if record["status"] not in STATUSES:
            raise DataError(f"{path}:{line}: unknown status {record['status']!r}")
        points.append(
            Point(
                model=record["model"],
                factors=tuple((name, level_text(record[name])) for name in factors),
                metric=record["metric"],
                unit=record["unit"],
                n=int(number(record["n"])) if math.isfinite(number(record["n"])) else 0,
                estimate=number(record["estimate"]),
                lo=number(record["lo"]),
                hi=number(record["hi"]),
                status=record["status"],
                reason=record["reason"],
                codes=_listed(record["codes"]),
                badges=_listed(record["badges"]),
                strays=_listed(record["strays"]),
            )
        )
    return factors, tuple(points)


def _anew(run: Path) -> str:
    return "pack" if (run / CONCLUSIONS).is_file() else "plot"


def _listed(text: str) -> tuple[str, ...]:
    """The entries of a column that holds several, "; " between them."""
    return tuple(entry for entry in text.split("; ") if entry)


def _documents(run: Path) -> Iterator[dict[str, Any]]:
    """Every cell as it was recorded, with its spectrum under "hgrm"."""
    packed = run / PACKED
    if not packed.exists():
        for path in sorted((run / "cells").glob("*.json")):
            spectrum = path.with_name(path.name.removesuffix(".json") + ".hgrm")
            text = spectrum.read_text("utf-8", "replace") if spectrum.is_file() else ""
            document = _read_json(path)
            if document.get("id", path.stem) != path.stem:
                raise DataError(f"{path}: a stray copy: by its content it is {document['id']}")
            yield {**document, "hgrm": text}
        return
    yield from _lines(packed)


def _lines(packed: Path) -> Iterator[dict[str, Any]]:
    try:
        with lzma.open(packed, "rt", encoding="utf-8") as lines:
            for line in lines:
                document = _json(line)
                if not isinstance(document, dict):
                    raise ValueError("a JSON object is expected in each line")
                yield document
    except (OSError, EOFError, ValueError, lzma.LZMAError) as error:
        raise DataError(f"{packed}: damaged: {error}") from error


def _duels(run: Path) -> Iterator[dict[str, Any]]:
    """The tenk.duel/1 document of each level that was compared."""
    if (run / PACKED_DUELS).exists():
        yield from _lines(run / PACKED_DUELS)
    else:
        yield from (_read_json(path) for path in sorted((run / "duels").glob("*.json")))


def _sortable(level: str) -> tuple[bool, float, str]:
    """Numbers ascending before words."""
    value = number(level)
    return (math.isnan(value), 0.0 if math.isnan(value) else value, level)


def _meetings(document: Mapping[str, Any]) -> Iterator[Meeting]:
    metric = "server_cpu_us_per_request"
    try:
        for name, one in document["arrangements"].items():
            yield Meeting(
                factors=tuple((k, level_text(v)) for k, v in document["factors"].items()),
                arrangement=str(name),
                reference=str(document["reference"]),
                twin=_interval(one["twin"].get(metric)),
                control=_interval(one["control"].get(metric)),
                expected=number(one["control"]["expected"].get(metric)),
                offered_rps=number(one.get("offered_rps")) or math.nan,
                left_out=tuple(str(gone["name"]) for gone in document["unsupported"]),
            )
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"a record of a duel is not as agreed: {error!r}") from None


def _interval(ratio: Mapping[str, Any] | None) -> Interval:
    values = ratio or {}
    return Interval(*(number(values.get(key)) for key in ("estimate", "lo", "hi")))


def _read_cells(run: Path) -> tuple[Replicate, ...]:
    cells = []
    for raw in _documents(run):
        metrics = raw.get("metrics")
        factors = raw.get("factors")
        badges = raw.get("badges")
        cells.append(
            Replicate(
                model=str(raw.get("model", "")),
                factors={k: level_text(v) for k, v in factors.items()}
                if isinstance(factors, dict)
                else {},
                replicate=_replicate(run, raw),
                status=str(raw.get("status", "failed")),
                reason=str(raw.get("reason") or ""),
                metrics={k: number(v) for k, v in metrics.items()}
                if isinstance(metrics, dict)
                else {},
                codes=_codes(raw.get("client")),
                badges=tuple(map(str, badges)) if isinstance(badges, list) else (),
                hgrm=str(raw.get("hgrm") or ""),
            )
        )
    return tuple(cells)


def _replicate(run: Path, raw: dict[str, Any]) -> int:
    value = raw.get("replicate", 0)
    if isinstance(value, bool) or not isinstance(value, int):
        raise DataError(f"{run}: a cell of {raw.get('model')} is replicate {value!r}")
    return value


def _codes(client: object) -> tuple[str, ...]:
    """The codes of the load generator's verdict, from its report."""
    verdict = client.get("verdict") if isinstance(client, dict) else None
    reasons = verdict.get("reasons") if isinstance(verdict, dict) else None
    return tuple(
        str(reason.get("code"))
        for reason in (reasons if isinstance(reasons, list) else ())
        if isinstance(reason, dict)
    )


def _summarise_cells(cells: Iterable[Replicate]) -> tuple[tuple[str, ...], tuple[Point, ...]]:
    """Medians over replicates, without intervals: for a run whose summary was never written."""
    groups: dict[tuple[str, tuple[tuple[str, str], ...]], list[Replicate]] = {}
    for cell in cells:
        groups.setdefault((cell.model, tuple(cell.factors.items())), []).append(cell)
    factors = tuple(dict.fromkeys(name for _, levels in groups for name, _ in levels))
    points: list[Point] = []
    for (model, levels), members in groups.items():
        worst = max(members, key=lambda cell: _severity(cell.status))
        names = dict.fromkeys(name for cell in members for name in cell.metrics)
        for name in names or {"": None}:
            values = [
                cell.metrics[name]
                for cell in members
                if not math.isnan(cell.metrics.get(name, math.nan))
            ]
            points.append(
                Point(
                    model=model,
                    factors=tuple((f, dict(levels).get(f, "")) for f in factors),
                    metric=name,
                    unit="",
                    n=len(values),
                    estimate=statistics.median(values) if values else math.nan,
                    lo=math.nan,
                    hi=math.nan,
                    status=worst.status if worst.status in STATUSES else "suspect",
                    reason=worst.reason,
                    codes=worst.codes,
                    badges=tuple(dict.fromkeys(b for cell in members for b in cell.badges)),
                )
            )
    return factors, tuple(points)


def _severity(status: str) -> int:
    return STATUSES.index(status) if status in STATUSES else STATUSES.index("suspect")


def replicates(points: Sequence[Point]) -> tuple[int, int]:
    """The least and the largest number of replicates behind points that have a value."""
    counts = [point.n for point in points if not math.isnan(point.estimate)]
    return (min(counts), max(counts)) if counts else (0, 0)
