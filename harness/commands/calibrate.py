# SPDX-License-Identifier: MIT
"""tenk calibrate: what this client and this machine can show at all."""
from __future__ import annotations

import argparse
import os
import tempfile
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from harness import errors, store
from harness.judge import stats
from harness.judge.noise import noise, smallest_difference
from harness.measure import calibrate, host, models, runner
from harness.present import console, wording
from harness.design.load import PLACEMENTS
from harness.paths import build_dir, loadgen_path, results_dir

if TYPE_CHECKING:
    from harness.commands import Subparsers

SCHEMA = "tenk.calibration/1"
SHOWN_N = (3, 5, 10)


def register(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser("calibrate", help="client ceiling, timer error, noise floor")
    parser.add_argument("--model", default="epoll_lt", help="for the noise floor [epoll_lt]")
    parser.add_argument("--placement", default="split", help="split or shared [split]")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """About 15 seconds; writes results/<machine>/calibration.json."""
    if args.placement not in PLACEMENTS:
        raise errors.UsageError("--placement", args.placement, f"allowed: {', '.join(PLACEMENTS)}")
    catalogue = models.discover()
    chosen = [model for model in catalogue if model.name == args.model]
    if not chosen:
        known = ", ".join(model.name for model in catalogue)
        raise errors.UsageError("--model", args.model, f"known models: {known}")
    if chosen[0].unavailable:
        raise errors.SetupError(f"{chosen[0].name}: {chosen[0].unavailable}")
    null = build_dir() / "loadgen" / "bench" / "null"
    for path in (null, loadgen_path()):
        if not os.access(path, os.X_OK):
            raise errors.SetupError(f"no {path}: run `make` first")
    out = console.make()
    bench = calibrate.with_null(
        runner.make_bench(chosen, loadgen_path(), args.placement, seed=1), null
    )
    placement = bench.placements[""]
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(placement.client))
    try:
        with tempfile.TemporaryDirectory(prefix="tenk.") as folder:
            scratch = Path(folder) / "cell"
            found = calibrate.calibrate(bench, chosen[0].name, scratch)
    finally:
        os.sched_setaffinity(0, everywhere)
    ceilings, lags = found.ceiling_rps, found.lag_ns
    noises = [each for metric, values in found.same.items() if (each := noise(metric, values))]
    table = Table(box=console.BOX, pad_edge=False)
    for heading in ("what", "found"):
        table.add_column(heading)
    for n, values in ceilings.items():
        table.add_row(f"client ceiling, {n} connections", _shown(values, "requests/s"))
    at = f"{calibrate.LAG_RPS:g} requests/s"
    table.add_row(f"client lag p99 at {at}", _shown(lags, "ns"))
    for one in noises:
        smallest = ", ".join(
            f"{100 * smallest_difference(one.sd_log, n):.0f} % with n = {n}" for n in SHOWN_N
        )
        drift = "" if one.drift.relation is stats.Relation.SAME else "; it DRIFTS"
        table.add_row(
            f"noise of {one.metric}",
            f"sd {100 * one.sd_log:.1f} % from run to run{drift}; shows {smallest}",
        )
    out.print(table)
    target = results_dir() / host.machine_name() / "calibration.json"
    document = {
        "schema": SCHEMA,
        "utc": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "host": host.describe(),
        "git": host.git_state(),
        "placement": {"name": placement.name, "note": placement.note},
        "ceiling_rps": {str(n): values for n, values in ceilings.items()},
        "lag_p99_ns": lags,
        "noise": {
            one.metric: {
                "model": chosen[0].name,
                "sd_log": one.sd_log,
                "median": one.median,
                "drift_p": one.drift.p,
                "smallest_difference": {
                    str(n): smallest_difference(one.sd_log, n) for n in SHOWN_N
                },
            }
            for one in noises
        },
    }
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        store.write_atomically(target, store.to_json(document))
    except OSError as error:
        raise errors.SetupError(f"cannot write {target}: {error.strerror}") from None
    out.print(f"kept in {escape(str(target))}", soft_wrap=True)
    return errors.EXIT_OK


def _shown(values: list[float], unit: str) -> str:
    estimate = stats.estimate(values)
    low, high = wording.quantity(estimate.lo, unit), wording.quantity(estimate.hi, unit)
    return f"{wording.quantity(estimate.value, unit)} [{low}, {high}], n = {estimate.n}"
