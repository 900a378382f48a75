# SPDX-License-Identifier: MIT
"""A control group for one run of foreign code: how many processes, how much memory, what share of
the CPUs.

Version 2 (one tree) and version 1 (a tree for each controller) are both used, as the machine has
them. It takes the right to make a directory there: root has it, others where it was given to them
(scope.py asks for it).
"""
from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CONTROLLERS = ("pids", "memory", "cpu")
PREFIX = "tenk-"
LEAF = f"{PREFIX}main"  # where we go ourselves, to have the group above us free of processes
REMOVE_S = 2.0  # the last process of a group is gone a little later than it has ended


@dataclass(frozen=True)
class Tree:
    """Where the control groups are seen, and what /proc/self/cgroup says."""

    root: Path = Path("/sys/fs/cgroup")
    mine: Path = Path("/proc/self/cgroup")

    def rows(self) -> list[tuple[list[str], Path]]:
        """Controllers → where this process is in their tree; no controllers: version 2."""
        lines = [line.split(":", 2) for line in self.mine.read_text("ascii").splitlines()]
        return [(names.split(",") if names else [], Path(path)) for _, names, path in lines]

    @property
    def unified(self) -> Path | None:
        """The tree of version 2; beside those of version 1 it has a name of its own."""
        for root in (self.root, self.root / "unified"):
            if (root / "cgroup.controllers").exists():
                return root
        return None


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


def make(title: str, processes: int, memory_bytes: int, tree: Tree = Tree()) -> Group | None:
    """A new group with those bounds; None where this machine does not let us.

    Its share of the CPUs is a quarter of the usual one, so that the machine answers beside it. It
    is a share and no ceiling: on an idle machine a server has all the CPU it can use.
    """
    settings = {
        "pids": {"pids.max": str(processes)},
        "memory": {
            "memory.max": str(memory_bytes),
            "memory.swap.max": "0",
            "memory.limit_in_bytes": str(memory_bytes),
            "memory.memsw.limit_in_bytes": str(memory_bytes),  # never below the one before
        },
        "cpu": {"cpu.weight": "25", "cpu.shares": "256"},
    }
    folders: dict[str, Path] = {}
    for controller, parent in _parents(tree).items():
        folder = parent / title
        try:
            folder.mkdir(exist_ok=True)
        except OSError:
            continue
        written = [_set(folder / file, text) for file, text in settings[controller].items()]
        if any(written):
            folders[controller] = folder
        elif folder not in folders.values():
            with contextlib.suppress(OSError):
                folder.rmdir()
    return Group(folders) if folders else None


def available(tree: Tree = Tree()) -> bool:
    """Whether a group can be made that bounds processes and memory."""
    group = make(name("try"), 64, 64 << 20, tree)
    if group:
        group.remove()
    return group is not None and {"pids", "memory"} <= set(group.names)


def name(purpose: str) -> str:
    """Of a group of this process."""
    return f"{PREFIX}{os.getpid()}-{purpose}"


def remove_stale(tree: Tree = Tree()) -> None:
    """Groups of a grader that was killed outright: its pid is gone."""
    for parent in set(_parents(tree).values()):
        for folder in parent.glob(f"{PREFIX}*-*"):
            owner = folder.name.removeprefix(PREFIX).split("-")[0]
            if owner.isdigit() and not Path(f"/proc/{owner}").exists():
                Group({"": folder}).remove()


def settle(tree: Tree = Tree()) -> None:
    """Go into a leaf of the group of version 2 that this process is in: a group hands controllers
    on only while no process is in itself. For a group that is all ours."""
    root = tree.unified
    for controllers, path in tree.rows():
        if root and not controllers and path.name != LEAF:
            leaf = root / str(path).lstrip("/") / LEAF
            with contextlib.suppress(OSError):
                leaf.mkdir(exist_ok=True)
                (leaf / "cgroup.procs").write_text("0", "ascii")


def _set(path: Path, text: str) -> bool:
    """Whether it could be set; a file that is not there is the other version's."""
    try:
        with open(path, "r+", encoding="ascii") as file:
            file.write(text)
        return True
    except OSError:
        return False


def _parents(tree: Tree) -> dict[str, Path]:
    """Controller → where a group with it may be made. A process is in one group of version 2, so
    that one directory stands for all of its controllers."""
    found: dict[str, Path] = {}
    for controllers, path in tree.rows():
        for controller in set(controllers) & set(CONTROLLERS):
            mine = tree.root / controller / str(path).lstrip("/")
            if os.access(mine, os.W_OK):
                found[controller] = mine
        if not controllers and (root := tree.unified):
            folder, handed_on = _delegated(root, root / str(path).lstrip("/"))
            found |= {one: folder for one in handed_on if one not in found}
    return {controller: found[controller] for controller in CONTROLLERS if controller in found}


def _delegated(root: Path, mine: Path) -> tuple[Path, list[str]]:
    """Version 2: the directory upwards that hands on the most of our controllers, the nearest of
    several, and which."""
    best: tuple[Path, list[str]] = (mine, [])
    for folder in (mine, *mine.parents):
        if not folder.is_relative_to(root) or ".." in folder.parts:
            break
        if not os.access(folder, os.W_OK) or _inhabited(folder):
            continue
        handed_on = _hand_on(folder)
        if len(handed_on) > len(best[1]):
            best = (folder, handed_on)
        if len(handed_on) == len(CONTROLLERS):
            break
    return best


def _inhabited(folder: Path) -> bool:
    """Whether processes are in the group itself. Only the root, which has no type, may then hand
    controllers on. Any other refuses memory; it takes the rest, and lets no process into its
    children afterwards."""
    with contextlib.suppress(OSError):
        procs = (folder / "cgroup.procs").read_text("ascii")
        return bool(procs.strip()) and (folder / "cgroup.type").exists()
    return True


def _hand_on(folder: Path) -> list[str]:
    """Our controllers that the children of a group of version 2 have, asked for if need be."""
    try:
        there = (folder / "cgroup.controllers").read_text("ascii").split()
        control = folder / "cgroup.subtree_control"
        already = control.read_text("ascii").split()
        for controller in CONTROLLERS:
            if controller in there and controller not in already:
                _set(control, f"+{controller}")
        handed_on = control.read_text("ascii").split()
    except OSError:
        return []
    return [controller for controller in CONTROLLERS if controller in handed_on]


def _count(path: Path, word: str) -> int:
    with contextlib.suppress(OSError):
        found = re.search(rf"^{word} (\d+)$", path.read_text("ascii"), re.M)
        return int(found[1]) if found else 0
    return 0
