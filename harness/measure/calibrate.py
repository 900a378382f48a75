# SPDX-License-Identifier: MIT
"""What this machine and this client can show: ceiling, timer error, noise floor.

- ceiling: the client's throughput against a server that does next to nothing (loadgen/bench/null.c).
  A model measured near it is measured by the client.
- lag: how late the client sends at a modest open-loop rate against that server.
- noise: replicates of one and the same thing (A/A), each with a fresh server. From their spread
  follows the smallest difference that a run with n replicates can be expected to tell apart.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.judge import stats
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
NULL = "null"


@dataclass(frozen=True)
class Noise:
    """Spread of replicates of the same thing, as the standard deviation of logarithms (0.03 is 3 %),
    and whether its first and second half could be told apart (they should not)."""

    metric: str
    sd_log: float
    median: float
    drift: stats.Comparison


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


def noise(bench: Bench, model: str, scratch: Path) -> list[Noise]:
    """The A/A run: one model, one load, NOISE_REPLICATES fresh servers."""
    load = Load(loop="closed", connections=NOISE_CONNECTIONS)
    metrics = ["throughput_rps", "p99_ns", "server_cpu_us_per_request"]
    columns = _values(bench, model, load, NOISE_REPLICATES, scratch, metrics)
    return [_noise(metric, values) for metric, values in zip(metrics, columns) if len(values) > 3]


def smallest_difference(sd_log: float, n: int, alpha: float = 0.05, power: float = 0.8) -> float:
    """The smallest relative difference that two sets of n replicates show with that power.

    Two-sample t-test on logarithms with 2 (n - 1) degrees of freedom; the usual approximation
    (t of alpha / 2 + t of power) times the standard error. 0.1 means ten percent. One comparison: a
    table of ten models needs more, for its correction.
    """
    if n < 2:
        return math.inf
    freedom = 2 * (n - 1)
    t = stats.t_quantile(1 - alpha / 2, freedom) + stats.t_quantile(power, freedom)
    return math.expm1(t * sd_log * math.sqrt(2 / n))


def _noise(metric: str, values: Sequence[float]) -> Noise:
    logs = [math.log(v) for v in values]
    mean = math.fsum(logs) / len(logs)
    sd = math.sqrt(math.fsum((x - mean) ** 2 for x in logs) / (len(logs) - 1))
    half = len(values) // 2
    drift = stats.compare(values[half:], values[:half])
    return Noise(metric, sd, stats.estimate(values).value, drift)


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
