# SPDX-License-Identifier: MIT
"""A control group for one run of foreign code: how many processes, how much memory, what share of
the CPUs.

Version 2 (one tree) and version 1 (a tree for each controller) are both used, as the machine has
them. It takes the right to make a directory there: root has it, others where it was given to them.
"""
from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
CONTROLLERS = ("pids", "memory", "cpu")
PREFIX = "tenk-"
REMOVE_S = 2.0  # the last process of a group is gone a little later than it has ended


@dataclass(frozen=True)
class Group:
    """Directories that are one group: controller → directory, the same for all in version 2."""

    folders: Mapping[str, Path]

    @property
    def procs(self) -> list[Path]:
        """The files a process writes "0" to, in order to enter."""
        return [folder / "cgroup.procs" for folder in dict.fromkeys(self.folders.values())]

    @property
    def names(self) -> list[str]:
        return sorted(self.folders)

    def exceeded(self) -> list[str]:
        """Which bounds were met: "processes", "memory"."""
        found = []
        if "pids" in self.folders and _count(self.folders["pids"] / "pids.events", "max"):
            found.append("processes")
        if "memory" in self.folders:
            folder = self.folders["memory"]
            events = [folder / "memory.events", folder / "memory.oom_control"]
            if any(_count(path, "oom_kill") for path in events):
                found.append("memory")
        return found

    def remove(self) -> None:
        """Kill what is left in it and take it away."""
        for folder in dict.fromkeys(self.folders.values()):
            deadline = time.monotonic() + REMOVE_S
            while folder.exists() and time.monotonic() < deadline:
                with contextlib.suppress(OSError):
                    (folder / "cgroup.kill").write_text("1", "ascii")  # version 2, from Linux 5.14
                try:
                    folder.rmdir()
                except OSError:
                    time.sleep(0.01)


def make(title: str, processes: int, memory_bytes: int) -> Group | None:
    """A new group with those bounds; None where this machine does not let us.

    Its share of the CPUs is a quarter of the usual one, so that the machine answers beside it.
    """
    settings = {
        "pids": {"pids.max": str(processes)},
        "memory": {
            "memory.max": str(memory_bytes),
            "memory.swap.max": "0",
            "memory.limit_in_bytes": str(memory_bytes),
        },
        "cpu": {"cpu.weight": "25", "cpu.shares": "256"},
    }
    folders: dict[str, Path] = {}
    for controller in CONTROLLERS:
        parent = _parent(controller)
        if parent is None:
            continue
        folder = parent / title
        try:
            folder.mkdir(exist_ok=True)
            written = [_set(folder / file, text) for file, text in settings[controller].items()]
        except OSError:
            continue
        if any(written):
            folders[controller] = folder
    return Group(folders) if folders else None


def name(purpose: str) -> str:
    """Of a group of this process."""
    return f"{PREFIX}{os.getpid()}-{purpose}"


def remove_stale() -> None:
    """Groups of a grader that was killed outright: its pid is gone."""
    for parent in {folder for one in CONTROLLERS if (folder := _parent(one)) is not None}:
        for folder in parent.glob(f"{PREFIX}*-*"):
            owner = folder.name.removeprefix(PREFIX).split("-")[0]
            if owner.isdigit() and not Path(f"/proc/{owner}").exists():
                Group({"": folder}).remove()


def _set(path: Path, text: str) -> bool:
    """Whether it could be set; a file that is not there is the other version's."""
    try:
        with open(path, "r+", encoding="ascii") as file:
            file.write(text)
        return True
    except OSError:
        return False


def _parent(controller: str) -> Path | None:
    """Where a group with that controller may be made."""
    lines = Path("/proc/self/cgroup").read_text("ascii").splitlines()
    rows = [line.split(":", 2) for line in lines]
    for _, controllers, path in rows:
        if controller in controllers.split(","):
            mine = ROOT / controller / path.lstrip("/")
            return mine if os.access(mine, os.W_OK) else None
    for _, controllers, path in rows:
        if not controllers and (ROOT / "cgroup.controllers").exists():
            return _delegated(ROOT / path.lstrip("/"), controller)
    return None


def _delegated(mine: Path, controller: str) -> Path | None:
    """Version 2: the nearest directory upwards that hands the controller on. A group with processes
    of its own cannot, only the root can."""
    for folder in (mine, *mine.parents):
        if not folder.is_relative_to(ROOT):
            break
        if not os.access(folder, os.W_OK):
            continue
        control = folder / "cgroup.subtree_control"
        with contextlib.suppress(OSError):
            if controller not in control.read_text("ascii").split():
                control.write_text(f"+{controller}", "ascii")
            return folder
    return None


def _count(path: Path, word: str) -> int:
    with contextlib.suppress(OSError):
        found = re.search(rf"^{word} (\d+)$", path.read_text("ascii"), re.M)
        return int(found[1]) if found else 0
    return 0
