# SPDX-License-Identifier: MIT
"""One run of the load generator against several servers: its command line, and the slices it
reports.

The load generator reads each server's CPU clock and its own count of replies at the same moment, so
nothing is read here while it runs: this process sleeps until it ends.
"""
from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.design.duel import TOGETHER, TURNS
from harness.design.load import Load
from harness.design.pieces import Slice
from harness.measure import client, interrupt
from harness.measure.placement import cpu_list
from harness.measure.process import Child, ProcessError

SCHEMA = "tenk.loadgen/2"
EXIT_CANNOT_RUN_HERE = 77
# 0 valid, 3 suspect, 4 void: a report was written.
REPORTED = (0, 3, 4)


@dataclass(frozen=True)
class Target:
    """A server under load. cpu: "pid:N", "tree:N" or "cgroup:PATH", where its CPU time is read,
    or "none". url: its own, if it is not a port of 127.0.0.1 that is asked what the load says."""

    name: str
    port: int
    cpu: str
    url: str = ""


@dataclass(frozen=True)
class Timing:
    """How long a run of the load generator is. In turns: `rounds` slices of each target, in each of
    which its connections are served `slice_passes` times; together: `seconds` after `warmup_s`, cut
    into slices of `slice_s`."""

    arrangement: str
    rounds: int = 0
    slice_passes: int = 0
    seconds: float = 0.0
    warmup_s: float = 0.0
    slice_s: float = 0.0


@dataclass(frozen=True)
class Report:
    """What the load generator said. verdicts: per target, status and the codes of its reasons;
    latency: per target, of all its counted slices, in ns."""

    slices: tuple[Slice, ...]
    verdicts: Mapping[str, tuple[str, tuple[str, ...]]]
    latency: Mapping[str, Mapping[str, float]]
    texts: Mapping[str, str]


class Refused(ProcessError):
    """The load generator ended without a report; `text` is its last line."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"load generator: exit {status}: {text}")
        self.status = status
        self.text = text


def workers(load: Load, cpus: Sequence[int]) -> int:
    """Processes of the client for each target: one per CPU, at most one per connection."""
    return max(1, min(len(cpus), load.connections))


def argv(
    loadgen: Path,
    load: Load,
    targets: Sequence[Target],
    timing: Timing,
    cpus: Sequence[int],
    seed: int,
    json_path: Path,
) -> list[str]:
    """The command line; targets are connected to in the order given."""
    words = [
        str(loadgen),
        "-q",
        "--prime",
        "-c",
        str(load.connections),
        "-t",
        str(workers(load, cpus)),
    ]
    words += ["--cpus", cpu_list(cpus), "--seed", str(seed)]
    if load.loop == "open":
        words += ["-R", f"{load.offered_rps:.10g}", "--arrival", load.arrival]
        if timing.arrangement == TOGETHER:
            # The workers of a pair share a CPU. Each would spin towards its next arrival while the
            # other should send: then requests come in bursts of a scheduler's time slice.
            words += ["--pace", "sleep"]
    words += client.options(load, requests_path(json_path))
    words += ["--arrangement", timing.arrangement]
    if timing.arrangement == TURNS:
        words += ["--rounds", str(timing.rounds), "--slice-passes", str(timing.slice_passes)]
    else:
        words += ["-d", f"{timing.seconds:.4g}s", "--warmup", f"{timing.warmup_s:.4g}s"]
        words += ["--slice", f"{timing.slice_s:.4g}s"]
    for target in targets:
        words += ["--server-cpu", target.cpu]
    words += ["--json", str(json_path)]
    words += [t.url or load.url(t.port) for t in targets]
    return words


def requests_path(json_path: Path) -> Path:
    """Where the load generator finds the mix of a load, while it runs."""
    return json_path.with_suffix(".requests")


def run(command: Sequence[str], cpus: Sequence[int], allowed_s: float) -> dict[str, Any]:
    """Run it and return what it wrote. Raises Refused when it wrote nothing, ProcessError when it
    took longer than allowed_s or wrote something else."""
    path = Path(command[command.index("--json") + 1])
    path.unlink(missing_ok=True)
    with Child(command, cpus) as child:
        ended = child.wait(allowed_s)
        interrupt.check()
        if ended is None:
            raise ProcessError(f"load generator: did not end within {allowed_s:.0f} s")
        complaint = child.stderr_tail()
    try:
        if ended.status not in REPORTED:
            raise Refused(ended.status, complaint)
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ProcessError(f"load generator: no report: {error}") from None
    finally:
        path.unlink(missing_ok=True)
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise ProcessError(f"load generator: its report has not schema {SCHEMA}")
    return document


def read(document: Mapping[str, Any], names: Sequence[str]) -> Report:
    """The report of a run against targets of these names, in the order of its URLs. Raises
    ProcessError where it is not as agreed."""
    try:
        found = document["targets"]
        if len(found) != len(names):
            raise ValueError(f"{len(found)} targets instead of {len(names)}")
        slices = [_slice(entry, names) for entry in document["slices"]]
        return Report(
            tuple(slices),
            {name: _verdict(entry["verdict"]) for name, entry in zip(names, found)},
            {name: _latency(entry.get("latency_ns")) for name, entry in zip(names, found)},
            {name: _text(entry["verdict"]) for name, entry in zip(names, found)},
        )
    except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise ProcessError(f"load generator: report not as agreed: {error!r}") from None


def allowed_s(load: Load, targets: int, timing: Timing, slice_s: float) -> float:
    """How long a run may take before it counts as hanging; slice_s: the slowest one's, with its
    settling."""
    connecting = targets * load.all_connections * 2e-3
    if timing.arrangement == TOGETHER:
        loaded = timing.seconds + timing.warmup_s
    else:
        loaded = targets * (timing.rounds + 2) * slice_s
    return 20 + connecting + 4 * loaded + 2 * load.timeout_s


def _slice(entry: Mapping[str, Any], names: Sequence[str]) -> Slice:
    index = entry["target"]
    if not 0 <= index < len(names):
        raise ValueError(f"target {index}")
    latency = entry.get("latency") or {}
    return Slice(
        name=names[index],
        round=int(entry["round"]),
        warmup=bool(entry["warmup"]),
        begin_ns=float(entry["begin_ns"]),
        from_ns=float(entry["from_ns"]),
        to_ns=float(entry["to_ns"]),
        replies=int(entry["replies"] or 0),
        failures=int(entry.get("failures") or 0),
        due=_number(entry.get("due")),
        server_cpu_ns=_number(entry.get("server_cpu_ns")),
        turn_replies=_number(entry.get("turn_replies")),
        turn_cpu_ns=_number(entry.get("turn_cpu_ns")),
        client_cpu_ns=_number(entry.get("client_cpu_ns")),
        client_spin_ns=_number(entry.get("client_spin_ns")),
        client_delay_ns=_number(entry.get("client_delay_ns")),
        steal_ns=_number(entry.get("steal_ns")),
        foreign_cpu_ns=_number(entry.get("foreign_cpu_ns")),
        idle_ns=_number(entry.get("idle_ns")),
        idle_cpu_ns=_number(entry.get("idle_cpu_ns")),
        p50_ns=_percentile(latency, "p50"),
        p99_ns=_percentile(latency, "p99"),
        histogram=str(entry.get("histogram") or ""),
        recorded=int(latency.get("count") or 0),
    )


def _number(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{value!r} is not a number")
    return float(value)


def _percentile(latency: Mapping[str, Any], name: str) -> float:
    value = latency.get(name)
    if value == "inf":
        return math.inf
    number = _number(value)
    return math.nan if number is None or not latency.get("count", 1) else number


def _latency(latency: Mapping[str, Any] | None) -> dict[str, float]:
    response = (latency or {}).get("response") or {}
    return {name: _percentile(response, name) for name in ("p50", "p99")}


def _verdict(verdict: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    codes = tuple(str(reason["code"]) for reason in verdict.get("reasons") or [])
    return str(verdict["status"]), codes


def _text(verdict: Mapping[str, Any]) -> str:
    reasons = verdict.get("reasons") or []
    return "; ".join(f"{reason.get('code')}: {reason.get('text')}" for reason in reasons)
