# SPDX-License-Identifier: MIT
"""tenk list: the models and the experiments."""
from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from harness import errors, store
from harness.design import evidence, experiment, selection, source
from harness.design.model import FAMILIES, Model
from harness.measure import models
from harness.present import conclusion, console, numbers
from harness.paths import ROOT, results_dir

if TYPE_CHECKING:
    from harness.commands import Subparsers


def register(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser("list", help="list models and experiments")
    parser.add_argument("models", nargs="*", metavar="MODELS", help=f"{selection.HOW} [all]")
    parser.add_argument("--names", action="store_true", help="only the names of the models")
    parser.add_argument(
        "--markdown", action="store_true", help="only the models, as a table, from their sources"
    )
    parser.add_argument(
        "--numbers", metavar="RUN", help="only what each model costs, as a table, from that run"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if args.markdown:
        print(source.table(source.sources()), end="")
        return errors.EXIT_OK
    if args.numbers is not None:
        print(_numbers(args.numbers))
        return errors.EXIT_OK
    out = console.make()
    wanted = [word for text in args.models for word in selection.words(text)]
    catalogue = selection.select(models.discover(), wanted or [selection.ALL], "MODELS")
    if args.names:
        print("\n".join(model.name for model in catalogue))
        return errors.EXIT_OK
    _print_models(out, catalogue)
    if wanted:
        return errors.EXIT_OK
    out.print()
    _print_guests(out)
    out.print()
    table = Table(title="Experiments", title_justify="left", box=console.BOX, pad_edge=False)
    for heading in ("experiment", "question", "manual"):
        table.add_column(heading)
    for name in experiment.available():
        page = ROOT / "docs" / "experiments" / f"{name}.md"
        manual = str(page.relative_to(ROOT)) if page.exists() else ""
        table.add_row(f"[bold]{escape(name)}[/]", escape(experiment.load(name).question), manual)
    out.print(table)
    out.print()
    _print_textbook_claims(out)
    out.print()
    table = Table(title="Evidence", title_justify="left", box=console.BOX, pad_edge=False)
    for heading in ("tenk run", "question"):
        table.add_column(heading)
    for name in evidence.available():
        table.add_row(f"[bold]{escape(name)}[/]", escape(evidence.load(name).question))
    out.print(table)
    return errors.EXIT_OK


def _print_textbook_claims(out: Console) -> None:
    """Each claim of the textbooks with the experiment that settles it."""
    title = "Claims of the textbooks (all of them: tenk run all-claims)"
    table = Table(title=title, title_justify="left", box=console.BOX, pad_edge=False)
    for heading in ("tenk run", "claim"):
        table.add_column(heading)
    for name in experiment.textbook_claims():
        one = experiment.load(name)
        said = one.textbook.claim if one.textbook is not None else one.question
        table.add_row(f"[bold]{escape(name)}[/]", escape(said))
    out.print(table)


def _print_guests(out: Console) -> None:
    """Servers of others; what one lacks is said in its line."""
    table = Table(title="Guests", title_justify="left", box=console.BOX, pad_edge=False)
    for heading in ("guest", "what it is", "as it is run"):
        table.add_column(heading)
    for model in models.guests():
        how = escape(str((model.describe.get("guest") or {}).get("options") or "as it comes"))
        if model.unavailable:
            how = f"[red]{escape(model.unavailable)}[/]"
        table.add_row(f"[bold]{escape(model.name)}[/]", escape(model.summary), how)
    out.print(table)


def _print_models(out: Console, catalogue: Sequence[Model]) -> None:
    """A table with a part for each family."""
    table = Table(title="Models", title_justify="left", box=console.BOX, pad_edge=False)
    for heading in ("model", "what it is", "serves at a time"):
        table.add_column(heading)
    for family, members in selection.by_family(catalogue):
        table.add_row(f"[dim]{escape(family or 'of no family')}[/]")
        for model in members:
            what, limit = escape(model.summary), escape(_limit(model))
            if model.unavailable:
                limit = f"[red]cannot run here:[/] {limit}"
            table.add_row(f"  [bold]{escape(model.name)}[/]", what, limit)
    out.print(table)


def _limit(model: Model) -> str:
    """How many connections it serves at a time, with the reason; or why it cannot run."""
    if model.unavailable:
        return model.unavailable
    limit = "any number" if model.max_connections is None else str(model.max_connections)
    return f"{limit} ({model.limit_reason})" if model.limit_reason else limit


def _numbers(which: str) -> str:
    """Markdown from the run that `which` names; UsageError where it is about something else."""
    run = store.Run.open(store.find(which, results_dir())[-1], whole=True)
    one = experiment.of(run)
    if not one.base.offered_rps or "idle" not in [factor.name for factor in one.factors]:
        raise errors.UsageError("--numbers", which, "a run of the experiment models")
    found = conclusion.of_run(run)
    families = {
        name: str(told.get("family") or "") or _family(name)
        for name, told in run.meta["models"].items()
    }
    rank = {family: n for n, family in enumerate(FAMILIES)}
    order = sorted(families, key=lambda name: (rank.get(families[name], len(rank)), name))
    lines = numbers.table(one, found.groups, found.duels, {name: families[name] for name in order})
    notes = [f"- {line}" for line in numbers.notes(one, run.meta, found.duels, found.groups)]
    return "\n".join([*lines, "", *notes])


def _family(name: str) -> str:
    """Of one that could not say it: what its file says, if it is here."""
    path = models.source(name)
    return source.read(path).family if path is not None else ""
