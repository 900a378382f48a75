# SPDX-License-Identifier: MIT
"""What a server costs while it runs: CPU time and memory of its whole process tree.

A control group is the best source: one small file covers 10,000 forked children, live and reaped,
with microsecond resolution. Where no group can be made, /proc is summed over the tree instead.
Which source was used is recorded with every cell.

CPU time: only the total is precise. Where the kernel accounts by ticks (CONFIG_TICK_CPU_ACCOUNTING,
the usual case) user and system are the total split in the ratio of ticks seen in either mode.

User memory is the anonymous memory of the group (what was touched, shared program text left out);
without a memory group it is the anonymous part of the proportional set size (PSS) of the tree, for
a large tree that of 64 of its processes scaled up. The rest of PSS shrinks whenever a stranger maps
the same libraries, as the load generator does between the two readings. Kernel memory is the growth
of slab, kernel stacks and page tables of the whole machine (/proc/meminfo): both ends of every
connection are on it, the client's too.
"""
from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.measure.derive import CpuUse
from harness.measure.process import tree

_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
_PSS_SAMPLE = 64
_PREFIX = "tenk."
_serial = itertools.count(1)


@dataclass(frozen=True)
class Hierarchy:
    """Where control groups for one purpose can be made. version: 1 or 2."""

    version: int
    directory: Path


@dataclass(frozen=True)
class Sources:
    """Which control groups this machine lets us make; None where /proc must do."""

    cpu: Hierarchy | None
    memory: Hierarchy | None

    @property
    def cpu_name(self) -> str:
        return f"cgroup v{self.cpu.version}" if self.cpu else "/proc/PID/stat"

    @property
    def memory_name(self) -> str:
        return f"cgroup v{self.memory.version}" if self.memory else "/proc/PID/smaps_rollup"


def probe(
    mounts: Path = Path("/proc/self/mounts"), own: Path = Path("/proc/self/cgroup")
) -> Sources:
    """Find what works by doing it: make a group, look for its files, remove it again."""
    found = list(_hierarchies(mounts, own))
    cpu = memory = None
    for hierarchy, controllers in found:
        _remove_stale(hierarchy.directory)
        files = _try_group(hierarchy.directory)
        v2 = hierarchy.version == 2
        if "cgroup.procs" not in files:
            continue
        if cpu is None and ("cpu.stat" if v2 else "cpuacct.usage") in files:
            cpu = hierarchy
        if memory is None and "memory.stat" in files and (v2 or "memory" in controllers):
            memory = hierarchy
    return Sources(cpu, memory)


@dataclass
class Meter:
    """Meters one server. Make it before the server, start the server with `join`, then give its
    pid. Without one and without groups, nothing is known.

    close() removes the groups; every process must be gone by then.
    """

    sources: Sources
    pid: int = 0
    _groups: dict[Path, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        name = f"{_PREFIX}{os.getpid()}.{next(_serial)}"
        for hierarchy in (self.sources.cpu, self.sources.memory):
            if hierarchy is not None and hierarchy.directory not in self._groups:
                group = hierarchy.directory / name
                group.mkdir()
                self._groups[hierarchy.directory] = group

    @property
    def join(self) -> Sequence[Path]:
        return [group / "cgroup.procs" for group in self._groups.values()]

    @property
    def group(self) -> Path | None:
        """Directory of the server's control group of version 2, by which the kernel can tell its
        tasks from all others; None where there is none."""
        for hierarchy in (self.sources.cpu, self.sources.memory):
            if hierarchy is not None and hierarchy.version == 2:
                return self._groups.get(hierarchy.directory)
        return None

    def cpu(self) -> CpuUse | None:
        """CPU time used since the server started; None when it cannot be read any more."""
        hierarchy = self.sources.cpu
        if hierarchy is None:
            return tree_cpu(self.pid) if self.pid else None
        group = self._groups[hierarchy.directory]
        try:
            if hierarchy.version == 2:
                return parse_cpu_stat((group / "cpu.stat").read_text(encoding="ascii"))
            total = int((group / "cpuacct.usage").read_text(encoding="ascii")) / 1e9
            ticks = _pairs((group / "cpuacct.stat").read_text(encoding="ascii"))
            return split_total(total, ticks.get("user", 0), ticks.get("system", 0))
        except (OSError, ValueError):
            return None

    def user_bytes(self) -> float | None:
        """User memory of the tree now, in bytes."""
        hierarchy = self.sources.memory
        if hierarchy is None:
            return tree_pss(self.pid, "Pss_Anon") if self.pid else None
        group = self._groups[hierarchy.directory]
        with contextlib.suppress(OSError, ValueError):
            stat = _pairs((group / "memory.stat").read_text(encoding="ascii"))
            found = stat.get("anon" if hierarchy.version == 2 else "total_rss")
            return None if found is None else float(found)
        return None

    def close(self) -> None:
        for group in self._groups.values():
            _remove(group)
        self._groups.clear()


def kernel_bytes(meminfo: Path = Path("/proc/meminfo")) -> float | None:
    """Slab, kernel stacks and page tables of the machine now, in bytes.

    Read it before scanning /proc/PID: the scan itself makes directory entries, which are slab.
    """
    try:
        values = _pairs(meminfo.read_text(encoding="ascii").replace(":", " "))
        return 1024.0 * (values["Slab"] + values["KernelStack"] + values["PageTables"])
    except (OSError, ValueError, KeyError):
        return None


def split_total(total: float, user_ticks: float, system_ticks: float) -> CpuUse:
    """The precise total in the ratio of the ticks; all of it system when there was no tick."""
    ticks = user_ticks + system_ticks
    user = total * user_ticks / ticks if ticks else 0.0
    return CpuUse(total, user, total - user)


def parse_cpu_stat(text: str) -> CpuUse:
    """cpu.stat of cgroup v2; raises ValueError where it lacks the fields."""
    values = _pairs(text)
    try:
        total, user = values["usage_usec"] / 1e6, values["user_usec"] / 1e6
        return CpuUse(total, user, values["system_usec"] / 1e6)
    except KeyError as missing:
        raise ValueError(f"cpu.stat without {missing}") from None


def cpu_between(before: CpuUse | None, after: CpuUse | None) -> CpuUse | None:
    if before is None or after is None:
        return None
    return CpuUse(
        after.total - before.total,
        max(0.0, after.user - before.user),
        max(0.0, after.system - before.system),
    )


def tree_cpu(pid: int) -> CpuUse | None:
    """utime, stime and those of reaped children, over the live tree; 10 ms resolution each."""
    user = system = 0
    for member in tree(pid):
        try:
            text = Path(f"/proc/{member}/stat").read_text(encoding="ascii", errors="replace")
        except OSError:
            if member == pid:
                return None
            continue
        # The command name may hold anything, so fields count from the last ")": state is field 3.
        fields = text.rpartition(")")[2].split()
        user += int(fields[11]) + int(fields[13])
        system += int(fields[12]) + int(fields[14])
    return CpuUse((user + system) / _CLOCK_TICKS, user / _CLOCK_TICKS, system / _CLOCK_TICKS)


def has_children(pid: int) -> bool:
    """Whether a process has children now, or has reaped some that used CPU time (10 ms or more)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    # Fields 16 and 17 count from the last ")", after which field 3 comes first.
    fields = text.rpartition(")")[2].split()
    return int(fields[13]) + int(fields[14]) > 0 or len(tree(pid)) > 1


def tree_pss(pid: int, part: str = "Pss") -> float | None:
    """PSS of the tree in bytes; of a large tree, that of evenly spaced members, scaled up.

    `part` is a field of smaps_rollup (proc(5)): Pss_Anon is without files and shared memory.
    """
    members = tree(pid)
    step = max(1, len(members[1:]) // _PSS_SAMPLE)
    sampled = members[1::step]
    own = _pss(pid, part)
    others = [p for p in (_pss(p, part) for p in sampled) if p is not None]
    if own is None:
        return None
    scale = (len(members) - 1) / len(others) if others else 0.0
    return own + scale * sum(others)


def _pss(pid: int, part: str) -> float | None:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith(f"{part}:"):
                return 1024.0 * int(line.split()[1])
    return None


def _pairs(text: str) -> dict[str, int]:
    rows = (line.split() for line in text.splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) >= 2 and row[1].isdigit()}


def _hierarchies(mounts: Path, own: Path) -> list[tuple[Hierarchy, set[str]]]:
    """The directories of this process's own groups: v2 first, then v1 cpuacct and memory."""
    try:
        memberships = [line.split(":", 2) for line in own.read_text().splitlines()]
        mounted = [line.split() for line in mounts.read_text().splitlines()]
    except OSError:
        return []
    found = []
    for _, names, path in memberships:
        controllers = set(names.split(",")) if names else set()
        if controllers and not controllers & {"cpuacct", "memory"}:
            continue
        for row in mounted:
            kind, options = row[2], set(row[3].split(","))
            if (not controllers and kind == "cgroup2") or (
                controllers and kind == "cgroup" and controllers <= options
            ):
                directory = Path(row[1]) / path.lstrip("/")
                found.append((Hierarchy(1 if controllers else 2, directory), controllers))
                break
    return sorted(found, key=lambda item: -item[0].version)


def _try_group(directory: Path) -> set[str]:
    """The files a fresh group below `directory` has, if this process may put children into it."""
    group = directory / f"{_PREFIX}{os.getpid()}.probe"
    try:
        group.mkdir()
    except OSError:
        return set()
    try:
        writable = os.access(group / "cgroup.procs", os.W_OK) and _may_join(group)
        return {entry.name for entry in group.iterdir()} if writable else set()
    finally:
        _remove(group)


def _may_join(group: Path) -> bool:
    """Whether a child can move there: on v2 that also needs rights on the group it comes from."""
    child = os.fork()
    if child == 0:
        try:
            (group / "cgroup.procs").write_text("0", encoding="ascii")
            os._exit(0)
        except OSError:
            os._exit(1)
    return os.waitpid(child, 0)[1] == 0


def _remove(group: Path) -> None:
    """rmdir says EBUSY for a moment after the last process was reaped."""
    for attempt in range(50):
        try:
            group.rmdir()
            return
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.002 * (attempt + 1))


def _remove_stale(directory: Path) -> None:
    """Groups of a harness that was killed outright: theirs are empty, and its pid is gone."""
    for group in directory.glob(f"{_PREFIX}*.*"):
        owner = group.name.split(".")[1]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists():
            with contextlib.suppress(OSError):
                group.rmdir()
