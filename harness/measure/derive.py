# SPDX-License-Identifier: MIT
"""How each metric of a cell comes out of the records.

All functions are pure: they turn the client's tenk.loadgen/2 JSON, the server's counters and the
samples taken around the measuring window into named numbers. A metric that cannot be had in a cell
is absent there, never zero.
"""
from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.design.load import RARE, USUAL
from harness.design.metrics import PERCENTILES

# One tick of /proc/PID/stat and of the user/system split: CPU times below this are not resolved.
TICK_S = 0.01
# System calls are sampled for a part of the warm-up. With fewer replies than this in it, those that
# were under way at its ends would count for more than one in a hundred; in less time, a few
# milliseconds by which the two ends of a sample differ would count for too much.
MIN_REPLIES_FOR_SYSCALLS = 100
# Each connection can have a reply that the server has sent and the client has not read; after the
# burst with which the load begins there are many, later few, so some replies belong to calls before
# the sample. With 1.6 replies per connection a thread per connection came out at 1.6 calls, not 2.
MIN_REPLIES_PER_CONNECTION = 5
MIN_SYSCALLS_NS = 40_000_000
# How far apart the two totals of a sample may have been read, as a fraction of the time between the
# samples: beyond it, calls and replies would be those of different times.
MAX_SYSCALLS_SKEW = 0.05
# Memory comes in pages of 4 KiB: with fewer connections than this a quotient would be an artefact.
MIN_CONNECTIONS_FOR_MEMORY = 100


@dataclass(frozen=True)
class CpuUse:
    """Server CPU over the measuring window, in seconds; `total` is the precise one.

    user and system are `total` split in the ratio that the kernel's ticks saw; `ticks` is how many
    it saw, so that a split of a handful of ticks can be left out.
    """

    total: float
    user: float
    system: float


@dataclass(frozen=True)
class MemoryUse:
    """Growth from before the clients came until all of them were connected and served, in bytes."""

    user: float | None
    kernel: float | None
    client: float | None = None  # all of the client's own, not only what grew


def client_metrics(client: Mapping[str, Any]) -> dict[str, float]:
    """Throughput, percentiles, lag, client CPU and fairness from tenk.loadgen/2."""
    out: dict[str, float] = {}
    service = _dig(client, "latency_ns", "service")
    _put(out, "throughput_rps", _dig(client, "rate_rps", "achieved"))
    for percentile in PERCENTILES:
        _put(out, f"{percentile}_ns", _dig(client, "latency_ns", "response", percentile))
        _put(out, f"service_{percentile}_ns", _of_some(service, percentile))
        _put(out, f"arrival_{percentile}_ns", _dig(client, "latency_ns", "arrival", percentile))
        for of in (USUAL, RARE):
            latency = _dig(client, "classes", of, "latency_ns")
            _put(out, f"{of}_{percentile}_ns", _of_some(latency, percentile))
    _put(out, "max_ns", _dig(client, "latency_ns", "response", "max"))
    _put(out, "service_max_ns", _of_some(service, "max"))
    _put(out, "lag_p99_ns", _dig(client, "latency_ns", "lag", "p99"))
    _put(out, "connect_p50_ns", _dig(client, "latency_ns", "connect", "p50"))
    _put(out, "connect_p99_ns", _dig(client, "latency_ns", "connect", "p99"))
    _put(out, "connects_per_s", _connects_per_s(client))
    _put(out, "errors_per_request", _errors_per_request(client))
    _put(out, "jain_fairness", _dig(client, "fairness", "jain"))
    busy = number(_dig(client, "cpu_s", "busiest_fraction"))
    if busy is not None:
        out["client_cpu_fraction"] = busy
    return out


def _of_some(latency: Any, what: str) -> Any:
    """A percentile or the maximum; None where no request was recorded, which has no time at all."""
    return None if _dig(latency, "count") == 0 else _dig(latency, what)


def _connects_per_s(client: Mapping[str, Any]) -> float | None:
    """Connections opened after the first ones, per second of warm-up and window; None where none
    was, or it is not known how long the warm-up took. What the drain opens is in it: at most one
    for each connection."""
    opened = number(_dig(client, "connections", "opened"))
    wanted = number(_dig(client, "connections", "wanted"))
    window_s = number(_dig(client, "window_s"))
    warmup_s = number(_dig(client, "warmup", "seconds"))
    if opened is None or wanted is None or not window_s or warmup_s is None or opened <= wanted:
        return None
    return (opened - wanted) / (warmup_s + window_s)


def _errors_per_request(client: Mapping[str, Any]) -> float | None:
    """Requests that were due in the window and have no right answer by the end of the drain
    (failed, unanswered or never sent) / all that were due."""
    kinds = ("completed", "failed", "unanswered", "unsent")
    found = {kind: number(_dig(client, "requests", kind)) for kind in kinds}
    known = [value for value in found.values() if value is not None]
    if len(known) < len(kinds) or sum(known) == 0:
        return None
    return 1 - (found["completed"] or 0.0) / sum(known)


def edge_cpu(
    client: Mapping[str, Any], beside: CpuUse | None, children: bool
) -> tuple[CpuUse, float] | None:
    """Server CPU and right replies between the load generator's own edges of the window; None where
    it did not read them, or where children used CPU time that a process's clock does not show.

    beside: what was read at about the same time; it says how user and system time share the total
    where the clock does not.
    """
    source = _dig(client, "server", "source")
    total = number(_dig(client, "server", "cpu_ns"))
    replies = number(_dig(client, "server", "replies"))
    if total is None or not replies or (children and not str(source).startswith("cgroup:")):
        return None
    user = number(_dig(client, "server", "user_ns"))
    system = number(_dig(client, "server", "system_ns"))
    if user is None or system is None:
        known = beside is not None and beside.total > 0
        user = total * beside.user / beside.total if known and beside is not None else 0.0
        system = total - user
    return CpuUse(total / 1e9, user / 1e9, system / 1e9), replies


def cost_metrics(
    completed: int, connections: int, cpu: CpuUse | None, memory: MemoryUse | None
) -> dict[str, float]:
    """Server cost per request completed in the window, and per open connection."""
    out: dict[str, float] = {}
    if cpu is not None and completed > 0 and cpu.total >= TICK_S:
        out["server_cpu_us_per_request"] = 1e6 * cpu.total / completed
        out["server_user_us_per_request"] = 1e6 * cpu.user / completed
        out["server_system_us_per_request"] = 1e6 * cpu.system / completed
    if memory is not None and connections >= MIN_CONNECTIONS_FOR_MEMORY:
        if memory.user is not None:
            out["user_bytes_per_connection"] = memory.user / connections
        if memory.kernel is not None:
            out["kernel_bytes_per_connection"] = memory.kernel / connections
        if memory.client is not None:
            out["client_bytes_per_connection"] = memory.client / connections
    return out


def cpu_fraction(cpu: CpuUse | None, window_s: float | None) -> dict[str, float]:
    """CPUs in use by the server: its CPU time / the time between the two readings of it."""
    if cpu is None or not window_s:
        return {}
    return {"server_cpu_fraction": cpu.total / window_s}


@dataclass(frozen=True)
class CallSample:
    """Totals so far, each with the time at which it was read (CLOCK_MONOTONIC)."""

    calls: int
    calls_ns: int
    replies: int
    replies_ns: int


def syscall_metrics(begin: CallSample, end: CallSample, connections: int) -> dict[str, float]:
    """System calls per second over replies per second between two samples.

    Not calls over replies: the client tells its replies a little before the calls are read, and
    that little differs between the two samples.
    """
    calls, calls_ns = end.calls - begin.calls, end.calls_ns - begin.calls_ns
    replies, replies_ns = end.replies - begin.replies, end.replies_ns - begin.replies_ns
    skew = max(abs(begin.calls_ns - begin.replies_ns), abs(end.calls_ns - end.replies_ns))
    enough = max(MIN_REPLIES_FOR_SYSCALLS, MIN_REPLIES_PER_CONNECTION * connections)
    if replies < enough or min(calls_ns, replies_ns) < MIN_SYSCALLS_NS:
        return {}
    if skew > MAX_SYSCALLS_SKEW * min(calls_ns, replies_ns):
        return {}
    return {"syscalls_per_request": calls / calls_ns * replies_ns / replies}


def calls_by_name(per_request: float | None, recorded: Mapping[str, int]) -> dict[str, float]:
    """System calls per request by name: the counted total, shared out as the recorded ones are."""
    total = sum(recorded.values())
    if per_request is None or not total:
        return {}
    return {name: per_request * count / total for name, count in recorded.items()}


def switch_metrics(
    begin: CallSample, end: CallSample, switches: int, sleeps: int
) -> dict[str, float]:
    """Context switches and sleeps between two samples, per reply of that time."""
    replies = end.replies - begin.replies
    if replies < MIN_REPLIES_FOR_SYSCALLS:
        return {}
    return {"switches_per_request": switches / replies, "wakeups_per_request": sleeps / replies}


def counter_metrics(counters: Mapping[str, Any], switches: int | None) -> dict[str, float]:
    """Quotients of whole-life totals: the server's own counters and its rusage at exit.

    Whole life means connection set-up and warm-up too; each total is divided by the requests of the
    same whole life, so that the quotient does not depend on the length of the window.
    """
    out: dict[str, float] = {}
    requests = number(counters.get("requests")) or 0.0
    waits = number(counters.get("waits"))
    events = number(counters.get("events"))
    if requests > 0:
        if switches is not None:
            out["context_switches_per_request"] = switches / requests
        if waits is not None:
            out["waits_per_request"] = waits / requests
    if waits and events is not None:
        out["events_per_wait"] = events / waits
    return out


def worker_metrics(counters: Mapping[str, Any]) -> dict[str, float]:
    """How evenly a server's workers shared its requests, over its whole life: the share of the
    busiest one, and Jain's index, which is 1 where all did the same and 1 / n where one of n did
    everything (Jain, Chiu, Hawe: DEC-TR-301, 1984)."""
    told = counters.get("requests_by_worker")
    counts = [number(one) or 0.0 for one in told] if isinstance(told, list) else []
    total = sum(counts)
    if len(counts) < 2 or not total > 0:
        return {}
    squares = sum(one * one for one in counts)
    return {
        "busiest_worker_share": max(counts) / total,
        "worker_jain": total * total / (len(counts) * squares),
    }


def frozen_percentiles(
    service: Mapping[str, float], freeze_s: float, window_s: float
) -> dict[str, float]:
    """Response-time percentiles that theory predicts for a server frozen once, in ns.

    Requests arrive evenly over a window of `window_s`. A freeze of F seconds holds the fraction
    F / W of them; one that arrives t before its end waits t, so the wait of those is uniform on
    [0, F]. The percentile q of all requests is then F - (1 - q) W where that is positive, and
    otherwise that of an undisturbed run (`service` holds those, keyed like METRICS:
    service_p50_ns…). It neglects the time to work off the backlog, which is short where the offered
    rate is far below capacity.
    """
    out: dict[str, float] = {}
    for percentile in PERCENTILES:
        q = float(percentile[1:].replace("_", ".")) / 100
        wait = freeze_s - (1 - q) * window_s
        undisturbed = service.get(f"service_{percentile}_ns", math.nan)
        value = max(1e9 * wait, 0.0 if math.isnan(undisturbed) else undisturbed)
        if value > 0:
            out[f"predicted_{percentile}_ns"] = value
    return out


def number(value: Any) -> float | None:
    """A JSON number, or "inf"; None for anything else (nan included)."""
    if value == "inf":
        return math.inf
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return None if math.isnan(value) else float(value)


def _dig(document: Mapping[str, Any], *keys: str) -> Any:
    here: Any = document
    for key in keys:
        if not isinstance(here, Mapping):
            return None
        here = here.get(key)
    return here


def _put(out: dict[str, float], name: str, value: Any) -> None:
    found = number(value)
    if found is not None:
        out[name] = found
