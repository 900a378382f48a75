# SPDX-License-Identifier: MIT
"""The distributions that judging needs. scipy takes a fifth of a second to be imported, scipy.stats
half of one: not at the start of every command, but when one of them is asked.
"""
from __future__ import annotations

import functools
import importlib
import math
from collections.abc import Sequence
from typing import Any


@functools.lru_cache(maxsize=None)
def _of(module: str) -> Any:  # scipy 1.10 has no type hints
    return importlib.import_module(f"scipy.{module}")


def normal_cdf(x: float) -> float:
    return float(_of("special").ndtr(x))


def t_ppf(p: float, freedom: float) -> float:
    """Quantile of Student's t distribution; freedom above 0, may be inf."""
    return float(
        _of("special").ndtri(p) if math.isinf(freedom) else _of("special").stdtrit(freedom, p)
    )


def t_sf(x: float, freedom: float) -> float:
    """The chance of more than x in Student's t distribution; freedom above 0, may be inf."""
    return float(
        _of("special").ndtr(-x) if math.isinf(freedom) else _of("special").stdtr(freedom, -x)
    )


def f_sf(x: float, above: float, below: float) -> float:
    """The chance of more than x in the F distribution."""
    return float(_of("special").fdtrc(above, below, x))


def binomial_sf(hits: int, tries: int, chance: float) -> float:
    """The chance of more than so many hits; hits from -1."""
    return float(_of("special").bdtrc(hits, tries, chance)) if hits >= 0 else 1.0


def beta_ppf(p: float, a: float, b: float) -> float:
    return float(_of("special").betaincinv(a, b, p))


def digamma(x: float) -> float:
    return float(_of("special").digamma(x))


def polygamma(n: int, x: float) -> float:
    return float(_of("special").polygamma(n, x))


def fisher_p(table: Sequence[Sequence[int]]) -> float:
    """Two-sided p-value of Fisher's exact test of a table of two by two."""
    return float(_of("stats").fisher_exact(table)[1])


def kendall_p(x: Sequence[float], y: Sequence[float]) -> float:
    """Two-sided p-value of Kendall's tau; nan where one does not vary."""
    return float(_of("stats").kendalltau(x, y).pvalue)


@functools.lru_cache(maxsize=4096)
def studentized_range_ppf(p: float, groups: int, freedom: int) -> float:
    """A double integral and a search: a fifth of a second each. The range of two means is their
    difference, whose distribution is Student's: sqrt(2) |t|."""
    if groups == 2:
        return math.sqrt(2) * t_ppf((1 + p) / 2, freedom)
    return float(_of("stats").studentized_range.ppf(p, groups, freedom))
