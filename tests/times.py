# SPDX-License-Identifier: MIT
"""Where the time of a test run went: by file, and for the conformance suite by model; at the end,
which tests failed.

    /usr/bin/python3 tests/times.py FILE       FILE: as `pytest --junitxml=FILE` writes it

Seconds are those of the workers added up; several run at a time, so the run itself took less.
"""
from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as Xml
from collections.abc import Iterable, Mapping
from pathlib import Path

# Tests with one case per model, whose ids begin with its name.
BY_MODEL = re.compile(r"^test_server(?:_meets_fault)?\[([a-z0-9_]+)-")


def totals(cases: Iterable[Xml.Element]) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Seconds of each test, by file and by model."""
    files: dict[str, list[float]] = {}
    models: dict[str, list[float]] = {}
    for case in cases:
        seconds = float(case.get("time", "0"))
        name, place = case.get("name", ""), case.get("classname", "")
        files.setdefault(place.rpartition(".")[2], []).append(seconds)
        if found := BY_MODEL.match(name):
            models.setdefault(found.group(1), []).append(seconds)
    return files, models


def failed(cases: Iterable[Xml.Element]) -> list[str]:
    """The tests that failed, or could not be set up or cleared away, as file::name."""
    return [
        f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name', '')}"
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    ]


def table(title: str, rows: Mapping[str, list[float]]) -> str:
    """Longest first, with the total."""
    ordered = sorted(rows.items(), key=lambda row: -sum(row[1]))
    lines = [f"{title:32} {'tests':>6} {'seconds':>8}"]
    lines += [f"{name:32} {len(times):6} {sum(times):8.1f}" for name, times in ordered]
    every = [seconds for times in rows.values() for seconds in times]
    lines.append(f"{'all':32} {len(every):6} {sum(every):8.1f}")
    return "\n".join(lines)


def main(argv: list[str]) -> int:
    if len(argv) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        root = Xml.parse(Path(argv[0])).getroot()
    except (OSError, Xml.ParseError) as error:
        print(f"times: {argv[0]}: {error}", file=sys.stderr)
        return 1
    files, models = totals(root.iter("testcase"))
    print(table("file", files))
    if models:
        print()
        print(table("model (conformance and faults)", models))
        mean = sum(map(sum, models.values())) / len(models)
        print(f"a further model: {mean:.1f} seconds")
    for name in failed(root.iter("testcase")):
        print(f"failed: {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
