# SPDX-License-Identifier: MIT
"""Runs as the harness writes them, made up from formulas and a seed, for the tests of plots/.

Nothing here was measured: host and commit say "synthetic".
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

TEN = ("blocking fork thread thread_pool select poll epoll_lt epoll_et posix_aio io_uring").split()
CONNECTIONS = (1, 10, 100, 1000, 10000)
COLUMNS = "metric unit n estimate lo hi status codes badges strays reason".split()
UNITS = {"throughput_rps": "1/s", "server_cpu_us_per_request": "us"}
PERCENTILES = (50, 75, 90, 99, 99.9, 99.99)


def meta(experiment: str, models: Sequence[str], **more: Any) -> dict[str, Any]:
    return {
        "schema": "tenk.run/1",
        "experiment": {"name": experiment},
        "profile": "quick",
        "seed": 1,
        "host": {"cpu": "Synthetic CPU", "cpus_online": 2, "kernel": "6.1.0"},
        "git": {"commit": "synthetic", "dirty": False},
        "placement": {"name": "split", "note": ""},
        "models": {model: {"name": model} for model in models},
        "started": "2026-01-02T03:04:05Z",
        "complete": True,
        **more,
    }


def limit_of(model: str) -> tuple[int, str] | None:
    return {
        "blocking": (1, "serves one connection at a time"),
        "thread_pool": (64, "one worker per connection; 64 workers by default"),
        "select": (1019, "FD_SETSIZE is 1024"),
    }.get(model)


def c10k_metrics(model: str, connections: int, seed: str) -> dict[str, float]:
    """Plausible figures for one replicate."""
    rng = random.Random(f"{model}/{connections}/{seed}")
    skill = random.Random(model).uniform(0.55, 1.0)
    scan = 1 + connections / 3000 if model in ("select", "poll") else 1 + connections / 60000
    cpu = (4.0 / skill) * scan * rng.gauss(1, 0.03) + 12 / (connections + 2)
    rate = min(1e6 / cpu, 14000.0 * connections)
    p50 = connections / rate * 1e9
    tail = 1.6 + 3 * (1 - skill) + math.log10(connections) / 2
    user = {"thread": 9000, "fork": 150000, "io_uring": 4600, "posix_aio": 13000}.get(model, 180)
    return {
        "throughput_rps": rate * rng.gauss(1, 0.03),
        "p50_ns": p50,
        "p99_ns": p50 * tail * rng.gauss(1, 0.08),
        "p99_9_ns": p50 * tail * 2.1 * rng.gauss(1, 0.15),
        "server_cpu_us_per_request": cpu,
        "server_user_us_per_request": cpu * 0.2,
        "server_system_us_per_request": cpu * 0.8,
        "user_bytes_per_connection": user * rng.gauss(1, 0.05) - 4000 / connections,
        "kernel_bytes_per_connection": 3300 * rng.gauss(1, 0.03) + 9000 / connections,
    }


def load_metrics(model: str, offered: float, seed: str) -> dict[str, float]:
    rng = random.Random(f"{model}/{offered}/{seed}")
    capacity = 90000 + 120000 * random.Random(model).random()
    busy = min(offered / capacity, 0.999)
    p50 = 70e3 / (1 - busy) ** 0.7 * rng.gauss(1, 0.03)
    over = offered > capacity
    return {
        "throughput_rps": min(offered, capacity) * rng.gauss(1, 0.005),
        "p50_ns": p50 * (300 if over else 1),
        "p99_ns": math.inf if offered > 1.15 * capacity else p50 * 4.5 * (120 if over else 1),
        "server_cpu_us_per_request": 1e6 / capacity,
    }


def idle_metrics(model: str, idle: float, seed: str) -> dict[str, float]:
    """A hundred busy connections; poll and posix_aio pay for each idle one."""
    per_idle = {"poll": 0.007, "posix_aio": 0.12}.get(model, 0.0)
    rng = random.Random(f"{model}/{idle}/{seed}")
    out = c10k_metrics(model, 100, seed)
    cpu = (out["server_cpu_us_per_request"] + per_idle * idle) * rng.gauss(1, 0.03)
    out |= {"server_cpu_us_per_request": cpu, "requests_per_cpu_second": 1e6 / cpu}
    out["throughput_rps"] = min(out["throughput_rps"], 1e6 / cpu)
    return out


def row(model: str, level: float, metric: str, values: Sequence[float], **state: str) -> list[str]:
    finite = [v for v in values if not math.isnan(v)]
    middle = sorted(finite)[len(finite) // 2] if finite else math.nan
    has_interval = len(finite) > 1 and all(math.isfinite(v) for v in finite)
    lo, hi = (min(finite), max(finite)) if has_interval else (math.nan, math.nan)
    unit = UNITS.get(metric, "ns" if metric.endswith("_ns") else "bytes")
    numbers = [f"{v:.6g}" for v in (middle, lo, hi)]
    told = [state.get("status", "ok")]
    told += [state.get(name, "") for name in COLUMNS[COLUMNS.index("status") + 1 :]]
    return [model, str(level), metric, unit, str(len(finite)), *numbers, *told]


def hgrm(scale_ns: float, shape: float, count: int) -> str:
    lines = ["       Value   Percentile   TotalCount 1/(1-Percentile)", ""]
    inverse = 1.0
    while inverse < count:
        p = 1 - 1 / inverse
        value = scale_ns / 1e6 * (1 + shape * math.log(inverse))
        lines.append(f"{value:12.3f} {p:14.12f} {round(p * count):10d} {inverse:14.2f}")
        inverse *= 2**0.5
    value = scale_ns / 1e6 * (1 + shape * math.log(count))
    lines.append(f"{value:12.3f} {1.0:14.12f} {count:10d}")
    lines.append(f"#[Mean    = {scale_ns / 1e6:12.3f}, StdDeviation   = {scale_ns / 1e6:12.3f}]")
    lines.append(f"#[Max     = {value:12.3f}, Total count    = {count:12d}]")
    return "\n".join(lines) + "\n"


def freeze_metrics(model: str, freeze_ms: float, seed: str) -> dict[str, float]:
    """A server frozen once in a window of 2 s: in the response time, and not in the service
    time."""
    rng = random.Random(f"{model}/{freeze_ms}/{seed}")
    out: dict[str, float] = {"throughput_rps": 20000.0}
    for p in PERCENTILES:
        name = f"p{p}".replace(".", "_") + "_ns"
        service = 7e4 * (1 + 0.4 * math.log(1 / (1 - p / 100))) * rng.gauss(1, 0.02)
        wait = 1e9 * (freeze_ms / 1e3 - (1 - p / 100) * 2)
        out[name] = max(service * 1.1, wait * rng.gauss(1, 0.02))
        out["service_" + name] = service
        out["predicted_" + name] = max(service, wait)
    return out


FACTORS: dict[str, tuple[str, Any, Sequence[float]]] = {
    "c10k": ("connections", c10k_metrics, CONNECTIONS),
    "idle": ("idle", idle_metrics, (0, 1000, 10000)),
    "load_latency": ("offered_rps", load_metrics, range(20000, 240001, 20000)),
    "coordinated_omission": ("freeze_ms", freeze_metrics, (0, 50, 200)),
}


def write_run(
    path: Path,
    *,
    experiment: str = "c10k",
    models: Sequence[str] = TEN,
    levels: Sequence[float] = (),
    replicates: int = 5,
    states: Mapping[tuple[str, float], Mapping[str, str]] | None = None,
    until: int | None = None,
    summary: bool = True,
    cells: bool = True,
    titles: Mapping[str, str] | None = None,
    session: str = "",
) -> Path:
    """Write a run. `states` gives (model, level) some last columns of summary.tsv; after `until`
    cells it stops. `titles` go to answer.json; runs of one `session` belong together."""
    factor, measure, usual = FACTORS[experiment]
    levels = levels or usual
    states = states or {}
    (path / "cells").mkdir(parents=True)
    plan = [{"model": m, "factors": {factor: float(level)}} for level in levels for m in models]
    (path / "run.json").write_text(
        json.dumps(meta(experiment, models, complete=until is None, plan=plan, session=session)),
        encoding="utf-8",
    )
    if titles is not None:
        document = {"schema": "tenk.answer/1", "titles": titles}
        (path / "answer.json").write_text(json.dumps(document), encoding="utf-8")
    rows = [["model", factor, *COLUMNS]]
    done = 0
    for level in levels:
        for model in models:
            if until is not None and done >= until:
                continue
            done += 1
            limit = limit_of(model) if factor in ("connections", "idle") else None
            state = dict(states.get((model, level), {}))
            if limit and level > limit[0]:
                state = {"status": "unsupported", "reason": limit[1]}
            status, reason = state.get("status", "ok"), state.get("reason", "")
            samples = [measure(model, level, str(i)) for i in range(replicates)]
            for metric in samples[0]:
                values = [] if status in ("unsupported", "failed") else [s[metric] for s in samples]
                rows.append(row(model, level, metric, values, **state))
            for i, sample in enumerate(samples if cells else []):
                stem = path / "cells" / f"{model}-{level}-{i}"
                gone = status in ("unsupported", "failed")
                p50 = sample["p50_ns"]
                record = {
                    "schema": "tenk.cell/1",
                    "experiment": experiment,
                    "model": model,
                    "factors": {factor: level},
                    "replicate": i,
                    "status": status,
                    "reason": reason,
                    "metrics": {}
                    if gone
                    else {k: str(v) if v == math.inf else v for k, v in sample.items()},
                    "badges": [],
                    "client": {},
                }
                stem.with_suffix(".json").write_text(json.dumps(record), encoding="utf-8")
                if not gone:
                    text = hgrm(p50 / 2, 0.6 + i / 50, 40000 + 1000 * i)
                    stem.with_suffix(".hgrm").write_text(text, encoding="utf-8")
    if summary:
        text = "".join("\t".join(fields) + "\n" for fields in rows)
        (path / "summary.tsv").write_text(text, encoding="utf-8")
    return path
