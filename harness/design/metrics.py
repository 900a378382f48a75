# SPDX-License-Identifier: MIT
"""The catalogue of metrics: what every cell, table, claim and figure can name.

harness.measure.derive says how each comes out of the records.
"""
from __future__ import annotations

from dataclasses import dataclass

from harness.design.load import RARE, USUAL


@dataclass(frozen=True)
class Metric:
    """unit: of the number in cells and summary.tsv. better: "higher", "lower", or "" (neither).

    inverse_of: this metric is `per` divided by that one. It is another view of the same numbers,
    not a second piece of evidence: its estimates, intervals and verdicts are those of the other,
    turned round. No cell stores it.
    """

    name: str
    unit: str
    better: str
    label: str
    inverse_of: str = ""
    per: float = 1.0


# What one request's time is made of (harness.measure.way), in order, and their sum.
WAY_PARTS = ("way_late_ns", "way_send_ns", "way_wake_ns", "way_work_ns", "way_client_ns")
WAY_SUM = "way_ns"
PERCENTILES = ("p50", "p75", "p90", "p99", "p99_9", "p99_99")


def _percentile_label(name: str) -> str:
    return name.replace("_", ".")


METRICS: dict[str, Metric] = {
    m.name: m
    for m in [
        Metric("throughput_rps", "requests/s", "higher", "throughput"),
        *(
            Metric(f"{p}_ns", "ns", "lower", f"response time {_percentile_label(p)}")
            for p in PERCENTILES
        ),
        *(
            Metric(f"service_{p}_ns", "ns", "lower", f"service time {_percentile_label(p)}")
            for p in PERCENTILES
        ),
        *(
            Metric(f"predicted_{p}_ns", "ns", "", f"response time {_percentile_label(p)} in theory")
            for p in PERCENTILES
        ),
        *(
            Metric(
                f"{of}_{p}_ns",
                "ns",
                "lower",
                f"response time {_percentile_label(p)} of {of} requests",
            )
            for of in (USUAL, RARE)
            for p in PERCENTILES
        ),
        Metric("max_ns", "ns", "lower", "longest response time"),
        Metric("service_max_ns", "ns", "lower", "longest service time"),
        *(
            Metric(f"arrival_{p}_ns", "ns", "lower", f"arrival {_percentile_label(p)}")
            for p in PERCENTILES
        ),
        Metric("way_late_ns", "ns", "lower", "client late"),
        Metric("way_send_ns", "ns", "lower", "client's send"),
        Metric("way_wake_ns", "ns", "lower", "server's wake-up"),
        Metric("way_work_ns", "ns", "lower", "server's work"),
        Metric("way_client_ns", "ns", "lower", "client's wake-up"),
        Metric("way_ns", "ns", "lower", "response time of typical requests"),
        Metric("lag_p99_ns", "ns", "lower", "client lag p99"),
        Metric("connect_p50_ns", "ns", "lower", "connect time p50"),
        Metric("connect_p99_ns", "ns", "lower", "connect time p99"),
        Metric("connects_per_s", "connections/s", "higher", "connections opened per second"),
        Metric("errors_per_request", "errors", "lower", "share of requests without an answer"),
        Metric("server_cpu_fraction", "cpus", "lower", "server CPUs in use"),
        Metric("server_cpu_us_per_request", "us", "lower", "server CPU per request"),
        Metric(
            "requests_per_cpu_second",
            "requests/cpu-s",
            "higher",
            "requests per second of server CPU",
            inverse_of="server_cpu_us_per_request",
            per=1e6,
        ),
        Metric("server_user_us_per_request", "us", "lower", "server CPU per request, user"),
        Metric("server_system_us_per_request", "us", "lower", "server CPU per request, system"),
        Metric("user_bytes_per_connection", "bytes", "lower", "user memory per connection"),
        Metric(
            "kernel_bytes_per_connection",
            "bytes",
            "lower",
            "kernel memory per connection, whole machine",
        ),
        Metric(
            "client_bytes_per_connection",
            "bytes",
            "lower",
            "client memory per connection",
        ),
        Metric("open_s", "s", "lower", "seconds to open all connections"),
        Metric("syscalls_per_request", "calls", "lower", "system calls per request"),
        Metric("context_switches_per_request", "switches", "lower", "context switches per request"),
        Metric("switches_per_request", "switches", "lower", "context switches while it serves"),
        Metric("wakeups_per_request", "wake-ups", "lower", "wake-ups per request"),
        Metric("waits_per_request", "waits", "lower", "waiting calls per request"),
        Metric("events_per_wait", "events", "", "events per wake-up"),
        Metric("probe_worked", "of 1", "", "what the probe tried worked"),
        Metric("threads", "threads", "", "threads beside the program's own"),
        Metric("switch_ns", "ns", "lower", "time to switch to another connection's code"),
        Metric("syscall_ns", "ns", "lower", "the shortest system call"),
        Metric("signals_per_request", "signals", "lower", "signals per request"),
        Metric("receives_per_pass", "receives", "", "receives per pass over all connections"),
        Metric("kernel_shared_bytes", "bytes", "", "memory shared with the kernel"),
        Metric("client_cpu_fraction", "cpus/worker", "", "client CPU in use"),
        Metric("jain_fairness", "index", "higher", "fairness between connections (Jain)"),
        Metric("busiest_worker_share", "share", "lower", "share of the busiest worker"),
        Metric("worker_jain", "index", "higher", "evenness between workers (Jain)"),
    ]
}
