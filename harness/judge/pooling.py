# SPDX-License-Identifier: MIT
"""Noise pooled over contenders, as far as they are alike.

A few blocks say little of one contender's noise and much of all contenders' together. But not all
are equally noisy: a thread for each connection varies ten times as much from run to run as an event
loop. So each contender's variance is drawn towards the common one, the more the less they differ.

Source:
    [S04] G. K. Smyth, "Linear models and empirical Bayes methods for assessing differential
          expression in microarray experiments", Stat. Appl. Genet. Mol. Biol. 3(1), 2004: the
          moderated variance (section 3), its degrees of freedom, and their estimate (section 6.2).
"""
from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from harness.judge import distributions


@dataclass(frozen=True)
class Variance:
    """A variance, and how many degrees of freedom are behind it."""

    value: float
    freedom: float


def pool(own: Mapping[str, Variance], common: Variance) -> dict[str, Variance]:
    """Each contender's noise, moderated [S04].

    own: of each contender alone. common: what all say together, if they were equally noisy; its
    freedom is the most that any can get. A contender without a variance of its own (freedom 0) gets
    the common one, if there is one: the assumption is then that it is as noisy as the others.
    """
    known = {name: n for name, n in own.items() if n.freedom > 0 and not math.isnan(n.value)}
    if not common.freedom > 0:
        return dict(own)
    prior = _prior(known, common)
    result = {}
    for name, noise in own.items():
        if name not in known or math.isinf(prior.freedom):
            result[name] = Variance(prior.value, min(prior.freedom, common.freedom))
            continue
        freedom = prior.freedom + noise.freedom
        total = prior.freedom * prior.value + noise.freedom * noise.value
        result[name] = Variance(total / freedom, min(freedom, common.freedom))
    return result


def _prior(own: Mapping[str, Variance], common: Variance) -> Variance:
    """What variance to expect, and how many degrees of freedom that expectation is worth;
    infinitely many where the variances differ no more than chance makes them."""
    positive = [n for n in own.values() if n.value > 0]
    if len(positive) < 3:
        return Variance(common.value, math.inf)
    # [S04, 6.2]: log variances have mean log s0 + digamma terms, and a variance of trigammas.
    logs = [
        math.log(n.value) - distributions.digamma(n.freedom / 2) + math.log(n.freedom / 2)
        for n in positive
    ]
    mean = math.fsum(logs) / len(logs)
    by_chance = math.fsum(distributions.polygamma(1, n.freedom / 2) for n in positive)
    excess = (math.fsum((x - mean) ** 2 for x in logs) / (len(logs) - 1)) - by_chance / len(logs)
    if excess <= 0:
        return Variance(common.value, math.inf)
    half = _trigamma_inverse(excess)
    return Variance(math.exp(mean + distributions.digamma(half) - math.log(half)), 2 * half)


def _trigamma_inverse(value: float) -> float:
    """x with trigamma(x) = value > 0, by Newton's method on 1 / trigamma [S04, appendix]."""
    if value > 1e7:
        return 1 / math.sqrt(value)
    if value < 1e-6:
        return 1 / value
    x = 0.5 + 1 / value
    for _ in range(50):
        trigamma = distributions.polygamma(1, x)
        step = trigamma * (1 - trigamma / value) / distributions.polygamma(2, x)
        x += step
        if -step / x < 1e-8:
            break
    return x
