# SPDX-License-Identifier: MIT
"""What the terminal shows: tables that fit it."""
from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from harness.present import console
from harness.present.levels import RatioTable

MODELS = ("epoll_et", "io_uring_multishot_accept", "multi_reactor_reuseport")
SHORT, LONG = "+13.2 ± 6.2 %", "1.43 times [1.13, 1.81]"


def printed(table: RatioTable, width: int) -> list[str]:
    out = io.StringIO()
    console.print_ratios(Console(file=out, width=width, highlight=False), table)
    return out.getvalue().splitlines()


@pytest.mark.parametrize("width", [60, 80, 100, 240])
def test_a_ratio_table_of_many_levels_is_folded_and_no_word_of_it_cut(width: int) -> None:
    levels = [f"shared {n} 100 together, 51.0k/s each" for n in range(101, 113)]
    rows = [(name, [SHORT, LONG] * 6) for name in MODELS]
    table = RatioTable("server CPU per request against epoll_lt", levels, rows, ["a note"])
    lines = printed(table, width)
    text = "\n".join(lines)
    assert max(map(len, lines)) <= width
    assert "…" not in text
    for n in range(101, 113):
        assert text.count(f" {n}") == 1
    assert text.count(SHORT) == 6 * len(MODELS)
    assert len(re.findall(r"\[1\.13, 1\.81\]", text)) == 6 * len(MODELS)
    tables = text.count("against")
    assert all(text.count(f"\n {name} ") == tables for name in MODELS)
    assert (tables == 1) == (width == 240)
