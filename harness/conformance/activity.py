# SPDX-License-Identifier: MIT
"""What a server is doing while nothing comes of it: its CPU use, and the system call it is in."""
from __future__ import annotations

import contextlib
import functools
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path

from harness.measure import process

WATCHED_S = 0.1
BUSY = 0.5  # of that time: more is computing, not waiting
# Calls whose first argument is a descriptor: its number helps to find the place.
_OF_DESCRIPTOR = re.compile(
    r"^(p?(read|write)v?(64)?|recv\w*|send\w*|accept4?|connect|epoll_p?wait2?|fsync|flock"
    r"|io_uring_enter)$"
)


def describe(pid: int) -> str:
    """ "waiting in recvfrom(5), with 0 % of a CPU": its busiest thread, or else its main one.

    Watches it for WATCHED_S seconds. '' if it is gone.
    """
    before, start = _ran(pid), time.monotonic()
    time.sleep(WATCHED_S)
    after, elapsed = _ran(pid), time.monotonic() - start
    if not after:
        return ""
    shares = {task: (ran - before.get(task, ran)) / 1e9 / elapsed for task, ran in after.items()}
    busiest = max(shares, key=lambda task: (shares[task], -int(task.name)))
    more = f", {len(after)} threads or processes" if len(after) > 1 else ""
    # One that is ready to run computes, too, however little of a CPU it is given.
    share = f"{100 * min(shares[busiest], 1):.0f} % of a CPU{more}"
    call = _call(busiest)
    if shares[busiest] > BUSY or process.task_state(busiest) == "R":
        return f"computing, with {share}" + (f", last seen in {call}" if call else "")
    main = Path(f"/proc/{pid}/task/{pid}")
    call = _call(main) or call
    return f"waiting in {call}, with {share}" if call else f"waiting, with {share}"


def count(pid: int) -> int:
    """How many threads the server and its children have, those that have ended and were not waited
    for included."""
    found = 0
    for member in process.tree(pid):
        with contextlib.suppress(OSError):
            found += len(os.listdir(f"/proc/{member}/task"))
    return found


def _ran(pid: int) -> dict[Path, int]:
    """Each thread of the server and its children, and for how many ns it has run."""
    found = {}
    for member in process.tree(pid):
        with contextlib.suppress(OSError, ValueError):
            for name in os.listdir(f"/proc/{member}/task"):
                task = Path(f"/proc/{member}/task/{name}")
                found[task] = int((task / "schedstat").read_text("ascii").split()[0])
    return found


def _call(task: Path) -> str:
    """The system call a thread is in, "recvfrom(5)"; '' where the kernel does not say."""
    try:
        words = (task / "syscall").read_text("ascii").split()
    except OSError:
        return ""
    if len(words) < 2 or not words[0].isdigit():  # "running", or -1: in no call
        return ""
    name = names().get(int(words[0]), f"system call {words[0]}")
    return f"{name}({int(words[1], 16)})" if _OF_DESCRIPTOR.match(name) else name


@functools.cache
def names() -> Mapping[int, str]:
    """System calls by number, from the kernel's header for this machine; {} where it is missing."""
    machine = os.uname().machine
    places = (
        f"/usr/include/{machine}-linux-gnu/asm/unistd_64.h",
        "/usr/include/asm/unistd_64.h",
        "/usr/include/asm-generic/unistd.h",
    )
    for place in map(Path, places):
        if place.exists():
            text = place.read_text(encoding="utf-8", errors="replace")
            rows = re.findall(r"^#define __NR3?(?:264)?_(\w+)\s+(\d+)\s*$", text, re.M)
            return {int(number): name for name, number in rows}
    return {}
