# SPDX-License-Identifier: MIT
"""tenk list: the models and the experiments."""
from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from harness import errors
from harness.design import evidence, experiment, source
from harness.measure import models
from harness.present import console
from harness.paths import ROOT

if TYPE_CHECKING:
    from harness.commands import Subparsers


def register(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser("list", help="list models and experiments")
    parser.add_argument("--names", action="store_true", help="only the names of the models")
    parser.add_argument(
        "--markdown", action="store_true", help="only the models, as a table, from their sources"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if args.markdown:
        print(source.table(source.sources()), end="")
        return errors.EXIT_OK
    out = console.make()
    catalogue = models.discover()
    if args.names:
        print("\n".join(model.name for model in catalogue))
        return errors.EXIT_OK
    table = Table(title="Models", title_justify="left", box=console.BOX, pad_edge=False)
    for heading in ("model", "family", "what it is", "serves at a time"):
        table.add_column(heading)
    for model in catalogue:
        if model.unavailable:
            what, limit = "[red]cannot run here[/]", escape(model.unavailable)
        else:
            what = escape(model.summary)
            limit = "any number" if model.max_connections is None else str(model.max_connections)
            if model.limit_reason:
                limit += f" ({escape(model.limit_reason)})"
        table.add_row(f"[bold]{escape(model.name)}[/]", escape(model.family), what, limit)
    out.print(table)
    out.print()
    table = Table(title="Experiments", title_justify="left", box=console.BOX, pad_edge=False)
    for heading in ("experiment", "question", "manual"):
        table.add_column(heading)
    for name in experiment.available():
        page = ROOT / "docs" / f"{name}.md"
        manual = str(page.relative_to(ROOT)) if page.exists() else ""
        table.add_row(f"[bold]{escape(name)}[/]", escape(experiment.load(name).question), manual)
    out.print(table)
    out.print()
    table = Table(title="Evidence", title_justify="left", box=console.BOX, pad_edge=False)
    for heading in ("tenk run", "question"):
        table.add_column(heading)
    for name in evidence.available():
        table.add_row(f"[bold]{escape(name)}[/]", escape(evidence.load(name).question))
    out.print(table)
    return errors.EXIT_OK
