# SPDX-License-Identifier: MIT
"""What this machine and this client can show: ceiling, timer error, noise floor.

- ceiling: the client's throughput against a server that does next to nothing
  (loadgen/bench/null.c). A model measured near it is measured by the client.
- lag: how late the client sends at a modest open-loop rate against that server.
- noise: replicates of one and the same thing (A/A), each with a fresh server.
  harness/judge/noise.py says what follows from their spread.
"""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.measure.cell import Bench, measure
from harness.errors import SetupError
from harness.design.load import Load
from harness.design.plan import Setting

CEILING_AT = (1, 100, 1000)
LAG_RPS = 5000.0
SECONDS, WARMUP = 0.5, 0.2
CEILING_REPLICATES = 3
NOISE_REPLICATES = 10
NOISE_CONNECTIONS = 64
NOISE_METRICS = ("throughput_rps", "p99_ns", "server_cpu_us_per_request")
NULL = "null"

Job = tuple[str, Load]  # a model and what it is loaded with


def null_command(path: Path) -> list[str]:
    """How the null server is started; it speaks one protocol and has no other option."""
    return [str(path), "-p", "0"]


@dataclass(frozen=True)
class Findings:
    """ceiling_rps: by connections, the null server's throughput in requests/s, per replicate.
    lag_ns: p99 of the client's lag at LAG_RPS, per replicate. same: the A/A run's values by
    metric."""

    ceiling_rps: Mapping[int, list[float]]
    lag_ns: list[float]
    same: Mapping[str, list[float]]


def calibrate(bench: Bench, model: str, scratch: Path) -> Findings:
    """Measure all three, the replicates of the A/A run spread over the whole time.

    In a run other cells come between two replicates of one. Back to back they meet the same mood of
    the machine and are too much alike, by a fifth: the smallest difference would look too small.
    """
    ceilings = {n: Load(loop="closed", connections=n) for n in CEILING_AT}
    lagging = Load(loop="open", connections=NOISE_CONNECTIONS, offered_rps=LAG_RPS)
    busy = Load(loop="closed", connections=NOISE_CONNECTIONS)
    others = [(NULL, load) for load in (*ceilings.values(), lagging)] * CEILING_REPLICATES
    order = spread_out([(model, busy)] * NOISE_REPLICATES, others)
    found: dict[tuple[str, Load], list[Mapping[str, float]]] = {}
    for index, (name, load) in enumerate(order):
        metrics = _measure(bench, name, load, index, scratch)
        found.setdefault((name, load), []).append(metrics)
    return Findings(
        {n: _column(found[NULL, load], "throughput_rps") for n, load in ceilings.items()},
        _column(found[NULL, lagging], "lag_p99_ns"),
        {metric: _column(found[model, busy], metric) for metric in NOISE_METRICS},
    )


def spread_out(some: Sequence[Job], others: Sequence[Job]) -> list[Job]:
    """All of both, each in its own order, `some` at even distances from the beginning to the
    end."""
    places = [(i / max(1, len(some) - 1), 0, job) for i, job in enumerate(some)]
    places += [((i + 0.5) / len(others), 1, job) for i, job in enumerate(others)]
    return [job for _, _, job in sorted(places, key=lambda place: place[:2])]


def _measure(bench: Bench, name: str, load: Load, index: int, scratch: Path) -> dict[str, float]:
    outcome = measure(Setting(name, {}, load, SECONDS, WARMUP), bench, bench.seed + index, scratch)
    scratch.with_name(scratch.name + ".hgrm").unlink(missing_ok=True)
    if outcome.status == "failed":
        raise SetupError(f"calibrate: {name}: {outcome.reason}")
    return outcome.metrics


def _column(cells: Sequence[Mapping[str, float]], metric: str) -> list[float]:
    return [c[metric] for c in cells if metric in c and math.isfinite(c[metric])]


def with_null(bench: Bench, path: Path) -> Bench:
    """The same bench, which also knows the null server."""
    return replace(bench, commands={**bench.commands, NULL: lambda load: null_command(path)})
