# SPDX-License-Identifier: MIT
"""How often tables name a loser wrongly, and rightly, with the noise of the reference run.

    python3 tests/reference_residuals.py [DRAWS]

Each table of the reference run (a metric at a level) gives its residuals: what is left of the log
values when block and model are taken out. From these, tables of equal models are drawn: signs and
places at random. Whoever is called worse there is called so wrongly. Then half of the models is
made 10 % worse: how many of them are found is the power.
"""
from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from harness import store  # noqa: E402
from harness.judge import summary  # noqa: E402
from harness.judge.best import best_group  # noqa: E402

METRICS = ("throughput_rps", "p99_ns", "server_cpu_us_per_request")
COSTLIER = math.log(1.1)


@dataclass(frozen=True)
class Found:
    """Of tables of equal models the share with a loser; of models 10 % worse the share called
    worse."""

    tables: int
    false_losers: float
    power: dict[str, float]


def residuals(reference: Path) -> list[tuple[str, NDArray[np.float64]]]:
    """(metric, blocks x models) of every table of positive finite values, four models or more; each
    residual scaled up by what the fit took out of it."""
    found = []
    for path in sorted(p.parent for p in reference.glob("*/*/run.json")):
        run = store.Run.open(path)
        levels: dict[str, list[summary.Group]] = {}
        for group in summary.group(run.cells(), list(run.meta["models"])):
            levels.setdefault(repr(sorted(group.factors.items())), []).append(group)
        for groups in levels.values():
            for metric in METRICS:
                columns = [values for g in groups if len(values := g.by_block(metric)) >= 3]
                columns = [c for c in columns if all(0 < v < math.inf for v in c.values())]
                blocks = sorted(set.intersection(*map(set, columns))) if columns else []
                if len(columns) < 4 or len(blocks) < 3:
                    continue
                logs = np.log([[c[b] for c in columns] for b in blocks])
                left = logs - logs.mean(axis=0) - logs.mean(axis=1, keepdims=True) + logs.mean()
                rows, width = left.shape
                found.append((metric, left * math.sqrt(left.size / ((rows - 1) * (width - 1)))))
    return found


def draws(table: NDArray[np.float64], n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """n blocks of as many equal models, with this table's noise."""
    shape = (n, table.shape[1])
    signs: NDArray[np.float64] = rng.choice((-1.0, 1.0), shape)
    return signs * rng.choice(table.ravel(), shape)


def losers(logs: NDArray[np.float64]) -> set[int]:
    samples = {str(k): dict(enumerate(np.exp(logs[:, k]))) for k in range(logs.shape[1])}
    return {int(name) for name, is_worse in best_group(samples, False).worse.items() if is_worse}


def simulate(replicates: int, count: int, spread: float | None = None, seed: int = 1) -> Found:
    """With that many replicates, `count` draws of every table; with a `spread`, every table's noise
    is brought to this standard deviation of the logarithms and keeps its shape: what is found then
    tells of the method, not of how quiet the machine was."""
    rng = np.random.default_rng(seed)
    wrong: list[bool] = []
    right: list[tuple[str, float]] = []
    for metric, noise in residuals(ROOT / "results" / "reference"):
        table = noise if spread is None else noise * (spread / noise.std())
        half = table.shape[1] // 2
        for _ in range(count):
            logs = draws(table, replicates, rng)
            wrong.append(bool(losers(logs)))
            logs[:, half:] += COSTLIER
            right.append(
                (metric, len({k for k in losers(logs) if k >= half}) / (logs.shape[1] - half))
            )
    power = {m: float(np.mean([share for of, share in right if of == m])) for m, _ in right}
    return Found(len(wrong), float(np.mean(wrong)), power)


if __name__ == "__main__":
    COUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    for N in (3, 5):
        result = simulate(N, COUNT)
        wrong = 100 * result.false_losers
        print(f"n = {N}: {wrong:.1f} % of {result.tables} tables of equal models have a loser")
        for name, share in result.power.items():
            print(f"    {name}: {100 * share:.0f} % of models 10 % worse are found")
