# SPDX-License-Identifier: MIT
"""A claim of the textbooks: the table [textbook] of an experiment's file.

An experiment that has one settles a sentence that is said of I/O models; its own claims are the
parts of that sentence. It lies in harness/experiments/claims; docs/harness.md describes the table.
"""
from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MOST = 99  # two digits, as in the names of the files
GENERIC = "claim"  # the figure of those that name none


@dataclass(frozen=True)
class Textbook:
    """number: from 1, as in the name. claim: the sentence. said: where people say it. varies: the
    one thing that is varied, and why that settles it. machine: where this one may not decide a
    part, what machine could; or "". figure: the one of plots/mpl that shows it best."""

    number: int
    claim: str
    said: tuple[str, ...]
    varies: str
    machine: str = ""
    figure: str = GENERIC


def parse(table: Mapping[str, Any], name: str) -> Textbook:
    """Read the table of the experiment `name`. ValueError, KeyError or TypeError for what is not
    right."""
    allowed = ("number", "claim", "said", "varies", "machine", "figure")
    for key in table:
        if key not in allowed:
            raise ValueError(f"unknown name textbook.{key}; allowed: {', '.join(allowed)}")
    number, said = table["number"], table["said"]
    if type(number) is not int or not 1 <= number <= MOST:
        raise ValueError(f"textbook.number = {number!r}; allowed: a whole number from 1 to {MOST}")
    if not re.fullmatch(rf"{number:02d}_[a-z0-9_]+", name):
        raise ValueError(
            f"textbook.number = {number}: the name of the experiment must begin {number:02d}_,"
            f" in small letters, and is {name}"
        )
    if not isinstance(said, (list, tuple)) or not said or not all(_text(one) for one in said):
        raise ValueError("textbook.said must be a list of sources, at least one")
    for key in ("claim", "varies"):
        if not _text(table[key]):
            raise ValueError(f"textbook.{key} must be a text")
    figure, machine = table.get("figure", GENERIC), table.get("machine", "")
    if not isinstance(machine, str) or not re.fullmatch(r"[a-z0-9_]+", str(figure)):
        raise ValueError("textbook.machine must be a text, textbook.figure the name of a figure")
    return Textbook(number, table["claim"], tuple(said), table["varies"], machine, figure)


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())
