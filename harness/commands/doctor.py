# SPDX-License-Identifier: MIT
"""tenk doctor: what on this machine limits a measurement, and what to do about it."""
from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from harness import errors
from harness.design import reach
from harness.measure import doctor
from harness.measure.reach import machine
from harness.present import console

if TYPE_CHECKING:
    from harness.commands import Subparsers

_STYLES = {doctor.GOOD: "green", doctor.NOTE: "yellow", doctor.BAD: "red"}


def register(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser("doctor", help="check this machine, with remedies")
    parser.set_defaults(run=run)


def _reach() -> Table:
    """How many connections this machine can have open, and what stops more: the tightest first."""
    here = machine()
    table = Table(
        title="How many connections, both ends here, and what stops more",
        title_justify="left",
        box=console.BOX,
        pad_edge=False,
    )
    table.add_column("connections", justify="right")
    table.add_column("what stops there, and the remedy", overflow="fold")
    one = reach.one_process(here)
    table.add_row(f"{one.connections:,}", _bound(one))
    table.add_section()
    for bound in reach.bounds(here):
        table.add_row(f"{bound.connections:,}", _bound(bound))
    return table


def _bound(bound: reach.Bound) -> str:
    return f"{escape(bound.found)}\n[bold]→ {escape(bound.remedy)}[/]"


def table(findings: Sequence[doctor.Finding]) -> Table:
    """One row for each finding, its remedy below it."""
    rows = Table(box=console.BOX, pad_edge=False)
    for heading in ("subject", "", "found, and the remedy"):
        rows.add_column(heading, overflow="fold")  # a remedy is copied: none of it is cut off
    for finding in findings:
        text = escape(finding.found)
        if finding.remedy and finding.level != doctor.GOOD:
            text += f"\n[bold]→ {escape(finding.remedy)}[/]"
        style = _STYLES[finding.level]
        rows.add_row(finding.subject, f"[{style}]{finding.level}[/]", text)
    return rows


def run(_args: argparse.Namespace) -> int:
    """Exit status 1 when something stops an experiment."""
    out = console.make()
    found = doctor.findings(doctor.facts())
    out.print(table(found))
    out.print()
    out.print(_reach())
    bad = any(finding.level == doctor.BAD for finding in found)
    return errors.EXIT_FAILURE if bad else errors.EXIT_OK
