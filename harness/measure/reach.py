# SPDX-License-Identifier: MIT
"""What this machine says of how many connections it can have open (harness.design.reach)."""
from __future__ import annotations

import contextlib
import resource
from pathlib import Path

from harness.design.reach import Machine
from harness.measure import host

PROC = Path("/proc")
GROUPS = Path("/sys/fs/cgroup")


def machine(proc: Path = PROC, groups: Path = GROUPS) -> Machine:
    """Read it now: memory, files and processes are those that nobody has yet."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    memory, of = _memory(proc, groups)
    ports = _numbers(proc / "sys/net/ipv4/ip_local_port_range")
    files = _numbers(proc / "sys/fs/file-nr")
    tracked = _numbers(proc / "sys/net/netfilter/nf_conntrack_count")
    track_most = _numbers(proc / "sys/net/netfilter/nf_conntrack_max")
    pids = _numbers(proc / "sys/kernel/pid_max")
    tasks = _numbers(proc / "sys/kernel/threads-max")
    nr_open = _numbers(proc / "sys/fs/nr_open")
    watches = _numbers(proc / "sys/fs/epoll/max_user_watches")
    running = sum(1 for entry in proc.iterdir() if entry.name.isdigit())
    most = min([*pids[:1], *tasks[:1]], default=None)
    return Machine(
        descriptors=hard if hard != resource.RLIM_INFINITY else 1 << 30,
        nr_open=nr_open[0] if nr_open else None,
        files=(files[0], files[2]) if len(files) == 3 else None,
        ports=(ports[0], ports[1]) if len(ports) == 2 else None,
        memory_bytes=memory,
        memory_of=of,
        processes=None if most is None else max(0, most - running),
        conntrack=(tracked[0], track_most[0]) if tracked and track_most else None,
        epoll_watches=watches[0] if watches else None,
    )


def _memory(proc: Path, groups: Path) -> tuple[int, str]:
    """What is free: of the machine, or of the tightest control group that this process is in."""
    found = (host.available_bytes(), "the machine")
    with contextlib.suppress(OSError):
        for line in (proc / "self/cgroup").read_text(encoding="ascii").splitlines():
            _, names, path = line.split(":", 2)
            if names and "memory" not in names.split(","):
                continue
            base = groups / "memory" if names else groups
            most_file, now_file = (
                ("memory.limit_in_bytes", "memory.usage_in_bytes")
                if names
                else ("memory.max", "memory.current")
            )
            here = base / path.lstrip("/")
            for group in (here, *here.parents):
                if not group.is_relative_to(base):
                    break
                most, now = _numbers(group / most_file), _numbers(group / now_file)
                if most and now:
                    found = min(found, (max(0, most[0] - now[0]), "the control group"))
    return found


def _numbers(path: Path) -> list[int]:
    """The numbers in a file; [] where there is none, or it is no number ("max")."""
    try:
        return [int(word) for word in path.read_text(encoding="ascii").split()]
    except (OSError, ValueError):
        return []
