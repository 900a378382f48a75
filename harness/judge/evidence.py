# SPDX-License-Identifier: MIT
"""What an evidence run shows: duels whose answer is known, and how often they give it.

Pure functions. A duel here is a stretch of runs of one series, judged as `tenk duel` judges
(`harness.judge.standings`).
"""
from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median


from harness.design import evidence as design
from harness.design.duel import ALONE, CONTENDER, CONTROL, REFERENCE, TURNS, TWIN
from harness.design.evidence import (
    ACCURACY,
    CROWD,
    HONESTY,
    NONE,
    RESOLUTION,
    Evidence,
    Series,
    Target,
    cut,
)
from harness.design.pieces import Piece
from harness.judge import distributions, duel, standings
from harness.judge.controls import VOID_LEVEL
from harness.judge.duel import BLOCKS, LEVEL, Ratio
from harness.judge.standings import CPU, Setup, Standing

# A row's outcome. MET: no more duels go wrong than asked for. CHANCE: more, but a sound method does
# that now and then. MISSED: hardly by chance. OPEN: nothing is asked of it, or nothing was
# measured.
MET, CHANCE, MISSED, OPEN = "met", "within chance", "missed", ""
# Below it, chance is not believed: for all rows of a table together.
DOUBT = 0.05


@dataclass(frozen=True)
class Row:
    """The duels of one series and length, in seconds.

    duels: those that ended with an interval; blank: those that did not. different, different99: how
    many called the two different, by the 95 % interval (as the sentences of a duel do) and by the
    99 % interval (by which a duel is void). found: 95 % intervals above 1. covers: 95 % intervals
    that hold the known ratio, as far as that is known. half_width: of the 95 % intervals, the
    median, as a fraction.
    known, average: the known ratio, and what all runs of the series together come to. uncertainty:
    how well the added part of known is known, as a fraction. starved: runs left out because one
    side did not keep up; runs: all. foreign: CPUs that other programs
    kept busy, by the median slice; None where it is not known. waits: waits per request of the
    other, over those of the reference, in the runs that count; None where they are not counted.
    """

    series: Series
    seconds: float
    duels: int
    blank: int
    different: int
    different99: int
    found: int
    covers: int
    half_width: float
    known: float
    average: Ratio | None
    starved: int
    runs: int
    foreign: float | None
    uncertainty: float = 0.0
    waits: Ratio | None = None


def rows(
    pieces: Mapping[Series, Sequence[Piece]],
    lengths: Callable[[Series], Sequence[float]],
    setup: Setup,
) -> list[Row]:
    """One row for each series and length of a duel. lengths: in seconds, of a series. setup: of the
    reference alone; its in_flight is that of one connection."""
    return [_row(setup, one, pieces[one], length) for one in pieces for length in lengths(one)]


def wrong(asks: str, row: Row) -> int | None:
    """How many duels of a row are wrong; None where none can be."""
    if asks == HONESTY:
        return row.different
    if asks == ACCURACY:
        return row.duels - row.covers
    return None


def allowed(duels: int) -> int:
    """How many duels of so many may be wrong: 2 of 40, 1 of 20; at 95 % so many are expected."""
    return math.floor((1 - LEVEL) * duels + 1e-9)


def outcome(asks: str, row: Row, count: int) -> str:
    """MET, CHANCE, MISSED or OPEN. count: of rows in the table.

    The number of wrong duels of a sound method is binomial with 5 %. With so many rows, one is
    MISSED where that many or more have a probability below DOUBT / count (Bonferroni).
    """
    bad = wrong(asks, row)
    if bad is None or not row.duels:
        return OPEN
    if bad <= allowed(row.duels):
        return MET
    chance = distributions.binomial_sf(bad - 1, row.duels, 1 - LEVEL)
    return CHANCE if chance >= DOUBT / max(1, count) else MISSED


@dataclass(frozen=True)
class Joint:
    """All lines of a table together. wrong, duels, share: how many duels were wrong of how many,
    and what a sound method has. chance: the probability that a sound method has so many or more.
    worst, worst_of: the line with the largest share of wrong duels; worst_chance: the probability
    that some line of the table has so many or more of so many."""

    wrong: int
    duels: int
    share: float
    chance: float
    worst: int
    worst_of: int
    worst_chance: float


def joint(counts: Sequence[tuple[int, int]], share: float = 1 - LEVEL) -> Joint | None:
    """Whether a table is what a sound method gives: the wrong duels of all lines are binomial, and
    those of the worst line are the largest of several binomial numbers. counts: wrong duels and
    duels of each line, which share no run; lines without duels say nothing. None where all are
    such."""
    known = [(bad, duels) for bad, duels in counts if duels]
    if not known:
        return None
    wrong, duels = sum(bad for bad, _ in known), sum(n for _, n in known)
    # Lines may differ in their number of duels: the worst one is the least likely one.
    tails = [_at_least(bad, n, share) for bad, n in known]
    least = min(tails)
    worst, worst_of = known[tails.index(least)]
    none_so_bad = math.prod(1 - _reaches(least, n, share) for _, n in known)
    return Joint(
        wrong, duels, share, _at_least(wrong, duels, share), worst, worst_of, 1 - none_so_bad
    )


def independent(rows_: Sequence[Row]) -> list[Row]:
    """Of each series the length with most duels: lines of one series share their runs."""
    most: dict[Series, Row] = {}
    for row in rows_:
        if row.series not in most or row.duels > most[row.series].duels:
            most[row.series] = row
    return list(most.values())


def starved_of(
    setup: Setup, pieces: Mapping[Series, Sequence[Piece]], series: Series
) -> frozenset[int]:
    """Numbers of the runs of a series in which one side did not keep up with the offered rate."""
    own = _setup(setup, series, pieces[series])
    return frozenset(p.number for p in pieces[series] if p.rate_rps and standings.starved(own, p))


def share_interval(hits: int, tries: int) -> tuple[float, float]:
    """The 95 % interval of a probability (Clopper and Pearson, Biometrika 26, 1934)."""
    lo = distributions.beta_ppf(0.025, hits, tries - hits + 1) if hits else 0.0
    hi = distributions.beta_ppf(0.975, hits + 1, tries - hits) if hits < tries else 1.0
    return lo, hi


def size_found(row: Row) -> tuple[float, float, float] | None:
    """What was found of a known cost, as a share of it, with its 95 % interval: 1 is right. Over
    all runs of the series. None for a twin, and where one of both is not known.

    Neither is known exactly, and their errors are independent: the squares of both add up.
    """
    if row.average is None or not math.isfinite(row.known) or row.known <= 1:
        return None
    size = row.known - 1
    ratio = row.average
    share = (ratio.estimate - 1) / size
    below, above = ((one - ratio.estimate) / size for one in (ratio.lo, ratio.hi))
    beside = share * row.uncertainty if math.isfinite(row.uncertainty) else 0.0
    return share, share - math.hypot(below, beside), share + math.hypot(above, beside)


def times_alone(row: Row, table: Sequence[Row]) -> float | None:
    """How many times wider the interval of one after the other is, in the same seconds; None where
    that was not measured."""
    for beside in table:
        same = beside.series.arrangement == ALONE and beside.seconds == row.seconds
        level = (row.series.connections, row.series.neighbour)
        if same and (beside.series.connections, beside.series.neighbour) == level:
            times = beside.half_width / row.half_width if row.half_width > 0 else math.nan
            return times if math.isfinite(times) else None
    return None


def target(asked: Evidence, row: Row) -> float | None:
    """The half width that is asked of a row; None where none is. Twice as much with a neighbour."""
    if asked.asks != RESOLUTION:
        return None
    for one in asked.targets:
        if _meant(one, row):
            return one.half_width * (1 if row.series.neighbour == NONE else 2)
    return None


def _meant(one: Target, row: Row) -> bool:
    wanted = (one.connections, one.arrangement, one.seconds)
    return wanted == (row.series.connections, row.series.arrangement, row.seconds)


def _row(setup: Setup, series: Series, pieces: Sequence[Piece], seconds: float) -> Row:
    own = _setup(setup, series, pieces)
    name = next(n for n, role in own.roles.items() if role in (TWIN, CONTROL))
    found: list[
        tuple[Ratio, float, float]
    ] = []  # its ratio, the known one, and how far that is off
    widths: list[float] = []
    blank = 0
    for runs in cut(pieces, [p.wall_s for p in pieces], seconds):
        standing = _stand(own, runs, series)
        ratio = _usable(standing, name)
        if ratio is None or any(_usable(standing, n) is None for n in own.names[1:]):
            blank += 1
        else:
            known = standing.expected if series.share else 1.0
            off = abs(known - 1) * standing.uncertainty
            found.append((ratio, known, off if math.isfinite(off) else 0.0))
            widths.append(_width(standing, own.names[1:] or [name]))
    whole = _stand(own, pieces, series)
    return Row(
        series=series,
        seconds=seconds,
        duels=len(found),
        blank=blank,
        different=sum(not r.lo <= 1 <= r.hi for r, _, _ in found),
        different99=sum(not _holds(r.interval(VOID_LEVEL), 1) for r, _, _ in found),
        found=sum(r.lo > 1 for r, _, _ in found),
        covers=sum(r.lo - off <= known <= r.hi + off for r, known, off in found),
        half_width=median(widths) if widths else math.nan,
        known=whole.expected if series.share else 1.0,
        average=_usable(whole, name),
        starved=whole.starved.get(name, 0),
        runs=len(pieces),
        foreign=_foreign(pieces),
        uncertainty=whole.uncertainty if series.share else 0.0,
        waits=_waits(own, pieces, name),
    )


def _waits(setup: Setup, pieces: Sequence[Piece], name: str) -> Ratio | None:
    """A server that finds more requests ready at a time waits less often for each: whether an added
    cost was saved elsewhere shows here."""
    reference = setup.names[0]
    counted = [
        duel.Slice(p.number, 0, one, p.waits[one])
        for p in pieces
        if {name, reference} <= set(p.waits) and not (p.rate_rps and standings.starved(setup, p))
        for one in (reference, name)
    ]
    return duel.compare(counted, reference).ratios.get(name) if counted else None


def _setup(setup: Setup, series: Series, pieces: Sequence[Piece]) -> Setup:
    reference = setup.names[0]
    crowd = design.copies(reference) if series.arrangement == CROWD else []
    met = next(
        (n for p in pieces for n in p.names if n != reference and _is_twin(n, series, crowd)), ""
    )
    roles = {reference: REFERENCE, met: CONTROL if series.share else TWIN}
    return Setup(
        names=(reference, *crowd),
        roles={**roles, **dict.fromkeys(crowd, CONTENDER)},
        in_flight=setup.in_flight * series.connections,
        workers=min(setup.workers, series.connections),
        own_cpus=setup.own_cpus,
    )


def _stand(setup: Setup, pieces: Sequence[Piece], series: Series) -> Standing:
    arrangement = TURNS if series.arrangement == CROWD else series.arrangement
    return standings.stand(setup, pieces, arrangement, series.fraction)


def _is_twin(name: str, series: Series, crowd: Sequence[str]) -> bool:
    """Whom the reference meets in a pair; of a CROWD, which also has a control, the twin."""
    return series.arrangement != CROWD or (name not in crowd and name.endswith(" again"))


def _width(standing: Standing, names: Sequence[str]) -> float:
    """Half of the interval of a typical contender."""
    return median([r.half_width for n in names if (r := _usable(standing, n)) is not None])


def _usable(standing: Standing, name: str) -> Ratio | None:
    ratio = standing.ratios.get(name, {}).get(CPU)
    return ratio if ratio is not None and ratio.basis == BLOCKS else None


def _at_least(bad: int, duels: int, share: float) -> float:
    """The probability that so many duels or more of a sound method are wrong."""
    return distributions.binomial_sf(bad - 1, duels, share) if bad else 1.0


def _reaches(chance: float, duels: int, share: float) -> float:
    """The probability that a line of so many duels is as unlikely as `chance`, or more so."""
    tails = [_at_least(bad, duels, share) for bad in range(duels + 1)]
    return next((tail for tail in tails if tail <= chance * (1 + 1e-9)), 0.0)


def _holds(interval: tuple[float, float], value: float) -> bool:
    return interval[0] <= value <= interval[1]


def _foreign(pieces: Sequence[Piece]) -> float | None:
    shares = [
        s.foreign_cpu_ns / s.wall_ns
        for p in pieces
        for s in p.slices
        if not s.warmup and s.foreign_cpu_ns is not None and s.wall_ns > 0
    ]
    return median(shares) if shares else None
