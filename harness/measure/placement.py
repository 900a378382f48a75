# SPDX-License-Identifier: MIT
"""Which CPUs the server and the client run on. Derived from what this process may use."""
from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

CPU_SYSFS = Path("/sys/devices/system/cpu")


@dataclass(frozen=True)
class Placement:
    """name: split or shared, as it came out; note: why it is not what was asked for, or ''."""

    name: str
    server: tuple[int, ...]
    client: tuple[int, ...]
    note: str = ""


def place(wanted: str, allowed: Iterable[int] | None = None) -> Placement:
    """CPU sets for `split` (server and client apart) or `shared` (both on all CPUs).

    Split gives each side half of the cores; hyper-threads of one core stay on one side. With one
    core there is nothing to split: the result is shared, and says so.
    """
    cpus = sorted(os.sched_getaffinity(0) if allowed is None else allowed)
    if wanted == "shared":
        return Placement("shared", tuple(cpus), tuple(cpus))
    cores = _cores(cpus)
    if len(cores) < 2:
        note = f"split needs two cores, and this process may use CPU {cpu_list(cpus)} only: shared"
        return Placement("shared", tuple(cpus), tuple(cpus), note)
    half = len(cores) // 2
    server = sorted(cpu for core in cores[:half] for cpu in core)
    client = sorted(cpu for core in cores[half:] for cpu in core)
    return Placement("split", tuple(server), tuple(client))


def cpu_list(cpus: Iterable[int]) -> str:
    """ "0,1,2" – the form taskset, loadgen --cpus and the kernel share."""
    return ",".join(str(cpu) for cpu in sorted(cpus))


def parse_cpu_list(text: str) -> list[int]:
    """The kernel's list format, as "0-2,5". Raises ValueError."""
    cpus: set[int] = set()
    for part in text.strip().split(","):
        first, dash, last = part.partition("-")
        cpus.update(range(int(first), int(last if dash else first) + 1))
    return sorted(cpus)


def _cores(cpus: list[int]) -> list[list[int]]:
    """The allowed CPUs grouped by physical core, in order of their lowest CPU."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for cpu in cpus:
        path = CPU_SYSFS / f"cpu{cpu}" / "topology" / "thread_siblings_list"
        try:
            siblings = tuple(parse_cpu_list(path.read_text(encoding="ascii")))
        except (OSError, ValueError):
            siblings = (cpu,)
        groups.setdefault(siblings, []).append(cpu)
    return sorted(groups.values())


def crowded(placement: Placement, workers: Mapping[str, int]) -> str:
    """What is to be known of models with several workers where they have one CPU, or ''.

    workers: threads or processes that each model starts for good, by its name."""
    names = [name for name, count in workers.items() if count > 1]
    if placement.name != "split" or len(placement.server) > 1 or not names:
        return ""
    shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    return (
        f"split placement leaves the server CPU {cpu_list(placement.server)} alone: the threads or"
        f" processes of {shown} share it (--placement shared gives them all CPUs)"
    )
