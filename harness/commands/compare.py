# SPDX-License-Identifier: MIT
"""tenk compare: two runs of one experiment, model by model and level by level."""
from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from harness import errors, store
from harness.judge import comparison
from harness.present import console, levels, wording
from harness.design.metrics import METRICS

if TYPE_CHECKING:
    from harness.commands import Subparsers


def register(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser("compare", help="what differs between two runs")
    parser.add_argument("a", metavar="A", help="a run: a directory, or an experiment's newest")
    parser.add_argument("b", metavar="B")
    parser.add_argument("--metric", help="this metric only [those of the experiment's summary]")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if args.metric is not None and args.metric not in METRICS:
        raise errors.UsageError("--metric", args.metric, f"known metrics: {', '.join(METRICS)}")
    runs = []
    for name in (args.a, args.b):
        found = store.find(name)
        if len(found) != 1:
            raise errors.UsageError("RUN", name, "it must mean one run; name its directory")
        runs.append(store.Run.open(found[0], whole=True))
    names = {r.experiment_name for r in runs}
    if len(names) != 1:
        raise errors.UsageError("B", args.b, f"both must be runs of one experiment, not {names}")
    out = console.make()
    for warning in comparison.mismatches(runs[0].meta, runs[1].meta):
        out.print(f"caution: {escape(warning)}", style="yellow", soft_wrap=True)
    rows = comparison.compare(runs[0], runs[1], args.metric)
    for metric in dict.fromkeys(row.metric for row in rows):
        _print(out, metric, [row for row in rows if row.metric == metric])
    met = comparison.ratios(runs[0], runs[1], args.metric)
    for key in dict.fromkeys((row.metric, row.arrangement, row.reference) for row in met):
        of_key = [r for r in met if (r.metric, r.arrangement, r.reference) == key]
        _print_ratios(out, *key, of_key)
    out.print(
        "B / A describes and does not judge: what differs between two sessions is in it."
        " For a verdict on two models or two builds measure them in one `tenk duel`.",
        style="dim",
    )
    return errors.EXIT_OK


def _print(out: Console, metric: str, rows: Sequence[comparison.Row]) -> None:
    unit = METRICS[metric].unit
    title = wording.heading(METRICS[metric])
    table = Table(title=title, title_justify="left", box=console.BOX, pad_edge=False)
    for heading in ("model and levels", "A", "B", "B / A"):
        table.add_column(heading)
    for row in rows:
        table.add_row(
            escape(row.name),
            f"{wording.quantity(row.a.value, unit)} {wording.spread(row.a)}",
            f"{wording.quantity(row.b.value, unit)} {wording.spread(row.b)}",
            "" if row.ratio is None else f"{row.ratio:.3g}",
        )
    out.print(table)


def _print_ratios(
    out: Console, metric: str, how: str, reference: str, rows: Sequence[comparison.RatioRow]
) -> None:
    """What each run found by itself. Ratios within a run do not know what differs between runs, but
    for the most part that hits a model and its reference alike."""
    title = f"{METRICS[metric].label} against {reference}, {levels.HOW[how]}"
    table = Table(title=title, title_justify="left", box=console.BOX, pad_edge=False)
    for heading in ("model and levels", "A", "B"):
        table.add_column(heading)
    for row in rows:
        table.add_row(escape(row.name), wording.change(row.a), wording.change(row.b))
    out.print(table)
