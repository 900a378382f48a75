# SPDX-License-Identifier: MIT
"""The matrix model × case in plain text, at most 100 columns wide."""
from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence

from harness.conformance.core import Case
from harness.conformance.runner import FAIL, NOT_APPLICABLE, OK, Result

WIDTH = 100
COLUMN = 5


def render(results: Sequence[Result], cases: Sequence[Case]) -> str:
    """The matrix, why cells are n/a, and each failure with how to see it again."""
    models = list(dict.fromkeys(result.model for result in results))
    ran = [case for case in cases if any(result.case == case.name for result in results)]
    left = max((len(case.name) for case in ran), default=0) + 1
    longest = max(map(len, models), default=0)
    per_block = max(1, min((WIDTH - left) // COLUMN, (WIDTH - left - longest - 1) // COLUMN))
    blocks = [
        _block(results, ran, models[at : at + per_block], left)
        for at in range(0, len(models), per_block)
    ]
    parts = [*blocks, _reasons(results), _failures(results, {c.name: c for c in cases})]
    return "\n\n".join(part for part in parts if part) + "\n\n" + summary(results) + "\n"


def summary(results: Sequence[Result]) -> str:
    """ "n checks of m models: …" in one line."""
    count = {o: sum(r.outcome == o for r in results) for o in (OK, FAIL, NOT_APPLICABLE)}
    models = len({result.model for result in results})
    cases = len({result.case for result in results})
    return (
        f"{models} model{'s' * (models != 1)}, {cases} case{'s' * (cases != 1)}: "
        f"{count[OK]} ok, {count[FAIL]} failed, {count[NOT_APPLICABLE]} not applicable"
    )


def survival(results: Sequence[Result]) -> str:
    """For faults: how many each model met, and how many it survived as it should."""
    lines = ["faults tried and survived as they should be:"]
    for model in dict.fromkeys(result.model for result in results):
        tried = [r for r in results if r.model == model and r.outcome != NOT_APPLICABLE]
        survived = sum(r.outcome == OK for r in tried)
        lines.append(f"  {model:24}{len(tried):3} tried {survived:3} survived")
    return "\n".join(lines)


def _block(
    results: Sequence[Result], cases: Sequence[Case], models: Sequence[str], left: int
) -> str:
    by_cell: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        by_cell.setdefault((result.case, result.model), []).append(result)
    lines = _stairs(models, left)
    for case in cases:
        cells = [_entry(by_cell.get((case.name, model), [])).rjust(COLUMN) for model in models]
        lines.append(f"{case.name:{left}}{''.join(cells)}".rstrip())
    return "\n".join(lines)


def _stairs(models: Sequence[str], left: int) -> list[str]:
    """ "┌ name" above the column, the names further right on lines further down."""
    lines = []
    for k, model in enumerate(models):
        row = [" "] * (left + COLUMN * len(models))
        for earlier in range(k):
            row[left + COLUMN * (earlier + 1) - 1] = "│"
        at = left + COLUMN * (k + 1) - 1
        lines.append("".join(row[:at]) + "┌ " + model)
    return lines


def _entry(found: Iterable[Result]) -> str:
    outcomes = {result.outcome for result in found}
    for outcome in (FAIL, OK, NOT_APPLICABLE):
        if outcome in outcomes:
            return outcome
    return "-"


def _reasons(results: Sequence[Result]) -> str:
    """Each reason once, with the models and cases it holds for."""
    grouped: dict[tuple[str, str], dict[str, None]] = {}
    for result in results:
        if result.outcome == NOT_APPLICABLE:
            grouped.setdefault((result.model, result.text), {})[result.case] = None
    by_reason: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (model, text), cases in grouped.items():
        by_reason.setdefault((text, tuple(cases)), []).append(model)
    lines = []
    for (text, names), models in by_reason.items():
        line = f"{', '.join(models)}: {text}: {', '.join(names)}"
        lines += textwrap.wrap(line, WIDTH - 4, initial_indent="  ", subsequent_indent="      ")
    return "\n".join(["n/a (not applicable), and why:", *lines] if lines else [])


def _failures(results: Sequence[Result], cases: Mapping[str, Case]) -> str:
    parts = []
    for result in results:
        if result.outcome != FAIL:
            continue
        parts.append(f"FAIL {result.case}: {result.model}, {result.protocol}")
        for line in result.text.splitlines():
            parts += textwrap.wrap(
                line, WIDTH - 4, initial_indent="  ", subsequent_indent="  "
            ) or [""]
        if result.case in cases:
            doc = " ".join(cases[result.case].doc.split())
            parts += textwrap.wrap(doc, WIDTH - 4, initial_indent="  | ", subsequent_indent="  | ")
        again = f"tenk check {result.model} --protocol {result.protocol} --case {result.case}"
        parts += [f"  again: harness/{again}", ""]
    return "\n".join(parts).rstrip()
