# SPDX-License-Identifier: MIT
"""What the numbers were measured on: machine, kernel, limits, and the state of the source tree."""
from __future__ import annotations

import contextlib
import os
import platform
import re
import resource
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.paths import ROOT


def describe() -> dict[str, Any]:
    """The host as it goes into run.json; what cannot be read is left out, not guessed."""
    info: dict[str, Any] = {
        "machine": machine_name(),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "cpu": _cpu_model(),
        "cpus_online": os.cpu_count(),
        "cpus_allowed": sorted(os.sched_getaffinity(0)),
        "memory_bytes": _memory_bytes(),
        "virtual": _is_virtual(),
        "governor": read_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "clocksource": read_line(
            "/sys/devices/system/clocksource/clocksource0/current_clocksource"
        ),
        "netdev_max_backlog": read_line("/proc/sys/net/core/netdev_max_backlog"),
        "descriptor_limit": descriptor_limit(),
        "somaxconn": read_line("/proc/sys/net/core/somaxconn"),
        "tcp_congestion_control": read_line("/proc/sys/net/ipv4/tcp_congestion_control"),
        "mitigations": _mitigations(),
        "loadavg": list(os.getloadavg()),
        "python": platform.python_version(),
    }
    return {key: value for key, value in info.items() if value not in (None, "", {})}


def machine_name() -> str:
    """The host name, fit for a directory."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", platform.node().split(".")[0]).strip("-.") or "unknown"


def git_state() -> dict[str, Any]:
    """{"commit": short hash or "nogit", "dirty": whether tracked files differ from it}."""
    commit = _git("rev-parse", "--short=10", "HEAD")
    if not commit:
        return {"commit": "nogit", "dirty": None}
    return {"commit": commit, "dirty": bool(_git("status", "--porcelain", "-uno"))}


def steal_seconds() -> float | None:
    """CPU time the hypervisor gave to others since boot, over all CPUs."""
    line = read_line("/proc/stat")
    fields = (line or "").split()
    if len(fields) < 9:
        return None
    return int(fields[8]) / os.sysconf("SC_CLK_TCK")


def softnet_dropped(path: Path = Path("/proc/net/softnet_stat")) -> int | None:
    """Packets this machine has dropped since boot because the backlog of a CPU was full, loopback's
    among them: the second column (hexadecimal) of a row per CPU. Such a packet comes again after a
    retransmission time-out of 200 ms or more."""
    try:
        rows = [line.split() for line in path.read_text(encoding="ascii").splitlines()]
        return sum(int(row[1], 16) for row in rows)
    except (OSError, ValueError, IndexError):
        return None


def counters() -> dict[str, float | None]:
    """Totals since boot, of the whole machine and of whoever uses it; None where unknown."""
    return {"softnet_dropped_packets": softnet_dropped(), "steal_s": steal_seconds()}


def grown(
    before: Mapping[str, float | None], after: Mapping[str, float | None]
) -> dict[str, float | None]:
    """How much each of `counters` grew in between."""
    out: dict[str, float | None] = {}
    for name, then in before.items():
        now = after.get(name)
        out[name] = None if then is None or now is None else round(now - then, 6)
    return out


def descriptor_limit() -> int | None:
    """The most descriptors a process may have here (hard limit); None where there is no limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if hard == resource.RLIM_INFINITY else hard


def available_bytes() -> int:
    """Memory that programs can still have; all of it where the kernel does not say."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1])
    return _memory_bytes()


def read_line(path: str) -> str | None:
    """First line of a file, stripped; None when it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.readline().strip()
    except OSError:
        return None


def _git(*arguments: str) -> str:
    # Root in a user's checkout: git would refuse to look at what belongs to another.
    command = ["git", "-c", f"safe.directory={ROOT}", *arguments]
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _cpu_model() -> str | None:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    match = re.search(r"^(?:model name|Model|cpu model)\s*:\s*(.+)$", text, re.MULTILINE)
    return match.group(1).strip() if match else None


def _memory_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _is_virtual() -> bool:
    try:
        return " hypervisor" in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def _mitigations() -> dict[str, str]:
    folder = Path("/sys/devices/system/cpu/vulnerabilities")
    found = {p.name: read_line(str(p)) or "" for p in sorted(folder.glob("*"))}
    return {name: text for name, text in found.items() if text.startswith("Mitigation")}
