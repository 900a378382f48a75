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
from dataclasses import replace
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


def null_command(path: Path) -> list[str]:
    """How the null server is started; it speaks one protocol and has no other option."""
    return [str(path), "-p", "0"]


def ceiling(bench: Bench, connections: int, scratch: Path) -> list[float]:
    """Throughput of the null server in requests per second, per replicate."""
    load = Load(loop="closed", connections=connections)
    return _values(bench, NULL, load, CEILING_REPLICATES, scratch, ["throughput_rps"])[0]


def lag(bench: Bench, scratch: Path) -> list[float]:
    """p99 of the client's lag in ns at LAG_RPS, per replicate."""
    load = Load(loop="open", connections=NOISE_CONNECTIONS, offered_rps=LAG_RPS)
    return _values(bench, NULL, load, CEILING_REPLICATES, scratch, ["lag_p99_ns"])[0]


def same_again(bench: Bench, model: str, scratch: Path) -> Mapping[str, list[float]]:
    """The A/A run: one model, one load, NOISE_REPLICATES fresh servers; per metric the values."""
    load = Load(loop="closed", connections=NOISE_CONNECTIONS)
    columns = _values(bench, model, load, NOISE_REPLICATES, scratch, NOISE_METRICS)
    return dict(zip(NOISE_METRICS, columns))


def _values(
    bench: Bench, model: str, load: Load, count: int, scratch: Path, metrics: Sequence[str]
) -> list[list[float]]:
    columns: list[list[float]] = [[] for _ in metrics]
    setting = Setting(model, {}, load, SECONDS, WARMUP)
    for index in range(count):
        outcome = measure(setting, bench, bench.seed + index, scratch)
        scratch.with_name(scratch.name + ".hgrm").unlink(missing_ok=True)
        if outcome.status == "failed":
            raise SetupError(f"calibrate: {model}: {outcome.reason}")
        for column, metric in zip(columns, metrics):
            value = outcome.metrics.get(metric)
            if value is not None and math.isfinite(value):
                column.append(value)
    return columns


def with_null(bench: Bench, path: Path) -> Bench:
    """The same bench, which also knows the null server."""
    return replace(bench, commands={**bench.commands, NULL: lambda load: null_command(path)})
