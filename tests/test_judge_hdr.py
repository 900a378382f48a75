# SPDX-License-Identifier: MIT
"""Histograms as text: what the public library wrote is read, and several are one."""
from __future__ import annotations

import math

import pytest

from harness.judge import hdr

# What Java's HdrHistogram 2.1 writes of 50 us, 51 us, ..., 149 us and 7 s: the same text is in
# tests/unit/test_hlog.c.
JAVA = (
    "HISTFAAAAEZ42pNpmSzMwMBwlgECmKE0I5DpZrBjAYP9B4jA5gwmayZb"
    "ILbGQesySTPJAiGCpD+fn4mXiRuIIRDBQma//c7IBABySxSd"
)


def near(ns: float) -> object:
    return pytest.approx(ns, rel=1 / 1024)


def test_what_another_implementation_wrote_is_read() -> None:
    counters, counts = hdr.decode(JAVA)
    assert counts.sum() == 101 and len(counters) == 101
    assert hdr.percentiles([JAVA], 101, (0, 50, 99, 100)) == [
        *map(near, (50_000, 100_000, 149_000, 7e9))
    ]


def test_histograms_are_added_up_and_not_their_percentiles() -> None:
    one = hdr.percentiles([JAVA] * 3, 303, (99, 100))
    assert one == [near(149_000), near(7e9)]


def test_a_request_without_an_end_ranks_above_all_others() -> None:
    p50, p99 = hdr.percentiles([JAVA], 103, (50, 99))
    assert p50 == near(101_000) and math.isinf(p99)


def test_nothing_has_no_percentile() -> None:
    assert all(map(math.isnan, hdr.percentiles([], 0, (50, 99))))


@pytest.mark.parametrize(
    "text", ["", "HIST", "HISTFAAA", "!", JAVA[:-8], JAVA[:20] + "AAAA" + JAVA[24:]]
)
def test_another_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        hdr.decode(text)
