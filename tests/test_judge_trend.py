# SPDX-License-Identifier: MIT
"""Whether a window began too early."""
from __future__ import annotations

import math
import random
from dataclasses import replace

from test_harness_plan import cell

from harness.judge import summary
from harness.judge.trend import trend


def test_a_rate_that_rises_through_the_window_is_found_with_its_size() -> None:
    found = trend([70, 75, 80, 84, 88, 90, 93, 95, 97, 99])
    assert found.found and 0.25 < found.change < 0.45


def test_a_steady_rate_rarely_has_a_trend() -> None:
    rng = random.Random(6)
    found = sum(trend([math.exp(rng.gauss(0, 0.1)) for _ in range(10)]).found for _ in range(500))
    assert found <= 15  # 5 expected


def test_a_trend_too_small_to_matter_is_not_found() -> None:
    found = trend([100 + i / 10 for i in range(10)])
    assert found.p < 0.01 and not found.found


def test_few_intervals_or_none_say_nothing() -> None:
    assert not trend([1, 2, 3, 4, 5]).found and not trend([]).found and not trend([0.0] * 10).found


def test_an_entry_whose_replicates_had_not_settled_says_so() -> None:
    def with_rates(rates: list[int], rate: float = 0.0) -> summary.Group:
        intervals = [
            {"start_ns": i * 100, "end_ns": (i + 1) * 100, "replies": r}
            for i, r in enumerate(rates)
        ]
        client = {"config": {"rate": rate}, "intervals": intervals}
        cells = [replace(cell("a", 1, r, 10.0), client=client) for r in range(3)]
        return summary.group(cells, ["a"])[0]

    rising, steady = list(range(100, 200, 10)), [100, 101, 99, 102, 98, 100, 101, 99, 100, 100]
    assert summary.UNSETTLED in with_rates(rising).badges
    assert summary.UNSETTLED not in with_rates(steady).badges
    assert summary.UNSETTLED not in with_rates(rising, rate=1000.0).badges
