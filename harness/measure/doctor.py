# SPDX-License-Identifier: MIT
"""What on this machine limits or disturbs a measurement, and the exact remedy for each.

Each check is a pure function from facts to a Finding; `facts()` reads them. A remedy is a command,
ready to be pasted.
"""
from __future__ import annotations

import os
import resource
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.measure import host, meter, syscalls
from harness.measure.meter import Sources

GOOD, NOTE, BAD = "ok", "note", "limit"
TEN_K = 10_000
STEAL_WATCH_S = 1.0


@dataclass(frozen=True)
class Facts:
    """What was read; None where this kernel does not say."""

    descriptors_hard: int
    ports: tuple[int, int] | None
    somaxconn: int | None
    conntrack: tuple[int, int] | None  # connections tracked now, and the most
    governor: str | None
    io_uring_disabled: int | None
    pids_max: int | None
    threads_max: int | None
    max_map_count: int | None
    cores: int
    memory_bytes: int
    steal_fraction: float | None
    load: float
    virtual: bool
    sources: Sources
    no_syscalls: str  # why system calls cannot be counted, or ""
    missing_programs: tuple[str, ...]
    netdev_max_backlog: int | None = None
    softnet_dropped: int | None = None  # packets since boot


@dataclass(frozen=True)
class Finding:
    """level: GOOD, NOTE (it disturbs or costs precision) or BAD (it stops an experiment)."""

    subject: str
    level: str
    found: str
    remedy: str = ""


def facts() -> Facts:
    """Read everything; watches steal time for a second."""
    steal_before = host.steal_seconds()
    time.sleep(STEAL_WATCH_S)
    steal_after = host.steal_seconds()
    cpus = len(os.sched_getaffinity(0))
    stolen = None
    if steal_before is not None and steal_after is not None:
        stolen = (steal_after - steal_before) / STEAL_WATCH_S / cpus
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    ports = (host.read_line("/proc/sys/net/ipv4/ip_local_port_range") or "").split()
    return Facts(
        descriptors_hard=hard if hard != resource.RLIM_INFINITY else 1 << 30,
        ports=(int(ports[0]), int(ports[1])) if len(ports) == 2 else None,
        somaxconn=_number("/proc/sys/net/core/somaxconn"),
        conntrack=_conntrack(),
        governor=host.read_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        io_uring_disabled=_number("/proc/sys/kernel/io_uring_disabled"),
        pids_max=_pids_max(),
        threads_max=_number("/proc/sys/kernel/threads-max"),
        max_map_count=_number("/proc/sys/vm/max_map_count"),
        cores=cpus,
        memory_bytes=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        steal_fraction=stolen,
        load=os.getloadavg()[0],
        virtual=bool(host.describe().get("virtual")),
        sources=meter.probe(),
        no_syscalls=_no_syscalls(),
        netdev_max_backlog=_number("/proc/sys/net/core/netdev_max_backlog"),
        softnet_dropped=host.softnet_dropped(),
        missing_programs=tuple(p for p in ("gcc", "make", "gnuplot") if not shutil.which(p)),
    )


def findings(given: Facts) -> list[Finding]:
    return [finding for check in CHECKS if (finding := check(given)) is not None]


def descriptors(f: Facts) -> Finding:
    need = TEN_K + 64
    found = f"hard limit {f.descriptors_hard} descriptors per process"
    if f.descriptors_hard >= need:
        return Finding("descriptors", GOOD, found)
    return Finding(
        "descriptors",
        BAD,
        f"{found}; 10,000 connections need {need}",
        "as root: ulimit -Hn 65536 (this shell), or"
        " `* hard nofile 65536` in /etc/security/limits.conf and log in again",
    )


def local_ports(f: Facts) -> Finding | None:
    if f.ports is None:
        return None
    count = f.ports[1] - f.ports[0] + 1
    found = f"{count} local ports ({f.ports[0]} to {f.ports[1]})"
    if count >= TEN_K * 4 // 3:
        return Finding("local ports", GOOD, found)
    return Finding(
        "local ports", NOTE, found, 'sysctl -w net.ipv4.ip_local_port_range="15000 60999"'
    )


def backlog(f: Facts) -> Finding | None:
    if f.somaxconn is None:
        return None
    found = f"net.core.somaxconn = {f.somaxconn}"
    if f.somaxconn >= 4096:
        return Finding("listen backlog", GOOD, found)
    return Finding(
        "listen backlog",
        NOTE,
        f"{found}: bursts of connects overflow the accept queue and wait for retransmission",
        "sysctl -w net.core.somaxconn=4096",
    )


def packet_backlog(f: Facts) -> Finding | None:
    if f.netdev_max_backlog is None:
        return None
    found = f"net.core.netdev_max_backlog = {f.netdev_max_backlog}"
    if f.softnet_dropped:
        found += f"; {f.softnet_dropped} packets dropped on the whole machine since boot"
    if f.netdev_max_backlog >= TEN_K:
        return Finding("packet backlog", GOOD, found)
    return Finding(
        "packet backlog",
        NOTE,
        f"{found}: bursts on loopback overflow it, and a dropped packet comes again 200 ms later,"
        " which looks like the server's tail",
        f"sysctl -w net.core.netdev_max_backlog={3 * TEN_K}",
    )


def conntrack(f: Facts) -> Finding | None:
    subject = "connection tracking"
    if f.conntrack is None:
        return Finding(subject, GOOD, "not in this kernel")
    tracked, most = f.conntrack
    if tracked == 0:
        return Finding(subject, GOOD, "tracks nothing at the moment")
    found = f"{tracked} connections tracked, at most {most}: every packet is looked up"
    remedy = (
        "iptables -t raw -A OUTPUT -o lo -j NOTRACK; iptables -t raw -A PREROUTING -i lo -j NOTRACK"
    )
    return Finding(subject, NOTE if most >= 4 * TEN_K else BAD, found, remedy)


def governor(f: Facts) -> Finding:
    if f.governor is None:
        return Finding("CPU frequency", GOOD, "not under this kernel's control")
    if f.governor == "performance":
        return Finding("CPU frequency", GOOD, "governor performance")
    return Finding(
        "CPU frequency",
        NOTE,
        f"governor {f.governor}: latency at low load depends on it",
        "cpupower frequency-set -g performance",
    )


def io_uring(f: Facts) -> Finding:
    if not f.io_uring_disabled:
        return Finding("io_uring", GOOD, "allowed")
    return Finding(
        "io_uring",
        BAD,
        f"kernel.io_uring_disabled = {f.io_uring_disabled}: the io_uring models are unsupported",
        "sysctl -w kernel.io_uring_disabled=0",
    )


def processes(f: Facts) -> Finding | None:
    limits = {"pids": f.pids_max, "kernel.threads-max": f.threads_max}
    known = {name: value for name, value in limits.items() if value is not None}
    if not known:
        return None
    name = min(known, key=lambda n: known[n])
    found = f"{name} allows {known[name]} processes and threads"
    if known[name] >= TEN_K + 1000:
        return Finding("processes", GOOD, found)
    remedy = "sysctl -w kernel.pid_max=65536 kernel.threads-max=65536; raise pids.max of the cgroup"
    return Finding("processes", BAD, f"{found}; fork and thread need 10,000", remedy)


def mappings(f: Facts) -> Finding | None:
    if f.max_map_count is None:
        return None
    found = f"vm.max_map_count = {f.max_map_count}"
    if f.max_map_count >= 2 * TEN_K + 1000:
        return Finding("memory mappings", GOOD, found)
    remedy = "sysctl -w vm.max_map_count=65530"
    return Finding("memory mappings", BAD, f"{found}; 10,000 threads need two each", remedy)


def cpus(f: Facts) -> Finding:
    if f.cores >= 2:
        return Finding("CPUs", GOOD, f"{f.cores} for this process")
    return Finding(
        "CPUs",
        NOTE,
        "one: server and client share it (placement shared), rates are those of both together",
        "taskset, the container's CPU set, or another machine",
    )


def steal(f: Facts) -> Finding | None:
    if f.steal_fraction is None:
        return None
    found = f"{100 * f.steal_fraction:.1f} % of the CPU time stolen in the last second"
    if f.virtual:
        found += " (virtual machine)"
    if f.steal_fraction <= 0.01:
        return Finding("steal", GOOD, found)
    return Finding("steal", NOTE, found, "another time, or a machine of its own")


def busy(f: Facts) -> Finding:
    found = f"load average {f.load:.1f} on {f.cores} CPU{'s' * (f.cores != 1)}"
    if f.load <= 0.3 * f.cores:
        return Finding("other work", GOOD, found)
    return Finding("other work", NOTE, found, "end what else runs (top), then measure")


def accounting(f: Facts) -> Finding:
    found = f"CPU time by {f.sources.cpu_name}, memory by {f.sources.memory_name}"
    if f.sources.cpu and f.sources.memory:
        return Finding("cost accounting", GOOD, found)
    return Finding(
        "cost accounting",
        NOTE,
        f"{found}; a control group is exact and costs nothing with 10,000 processes",
        "run as root, or: systemd-run --user --scope -p Delegate=yes harness/tenk run …",
    )


def system_calls(f: Facts) -> Finding:
    if not f.no_syscalls:
        return Finding("system calls", GOOD, "can be counted")
    remedy = f"run as root; in a chroot also: mount -t tracefs tracefs {syscalls.TRACEFS}"
    return Finding("system calls", NOTE, f"cannot be counted: {f.no_syscalls}", remedy)


def programs(f: Facts) -> Finding:
    if not f.missing_programs:
        return Finding("programs", GOOD, "compiler, make and gnuplot found")
    missing = ", ".join(f.missing_programs)
    return Finding("programs", BAD, f"missing: {missing}", "make deps")


CHECKS: tuple[Callable[[Facts], Finding | None], ...] = (
    descriptors,
    local_ports,
    backlog,
    packet_backlog,
    conntrack,
    processes,
    mappings,
    io_uring,
    cpus,
    governor,
    steal,
    busy,
    accounting,
    system_calls,
    programs,
)


def _number(path: str) -> int | None:
    text = host.read_line(path)
    return int(text) if text is not None and text.lstrip("-").isdigit() else None


def _conntrack() -> tuple[int, int] | None:
    count = _number("/proc/sys/net/netfilter/nf_conntrack_count")
    most = _number("/proc/sys/net/netfilter/nf_conntrack_max")
    return None if count is None or most is None else (count, most)


def _no_syscalls() -> str:
    try:
        syscalls.probe()
    except syscalls.Unavailable as error:
        return str(error)
    return ""


def _pids_max() -> int | None:
    """The tightest of kernel.pid_max and the limits of the control groups this process is in."""
    limits = [value for value in [_number("/proc/sys/kernel/pid_max")] if value is not None]
    try:
        memberships = Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines()
    except OSError:
        memberships = []
    for line in memberships:
        _, names, path = line.split(":", 2)
        base = "/sys/fs/cgroup/pids" if "pids" in names.split(",") else "/sys/fs/cgroup"
        value = _number(f"{base}{path.rstrip('/')}/pids.max")
        if value is not None and (not names or "pids" in names.split(",")):
            limits.append(value)
    return min(limits) if limits else None
