# SPDX-License-Identifier: MIT
"""Looking after processes and memory of foreign code where no control group does.

What is found over its bound is killed. Between two looks a program can go over it: it is a net, and
keeps a machine usable, where a control group would be a wall.
"""
from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

from harness.measure import process

NEARLY = 0.9  # RLIMIT_NPROC ends the making of more; it counts some that are not seen here
_REST = 10.0  # a look may take one part in that many of the time


@dataclass
class Watch:
    """Of all that descends from `guard`, the forked child of sandbox.py, and its only child, the
    case. most_processes (threads count too), most_bytes: 0 for no bound."""

    guard: int
    most_processes: int
    most_bytes: int
    _met: list[str] = field(default_factory=list)
    _next: float = 0.0

    def exceeded(self) -> list[str]:
        """Which bounds were met so far: "processes", "memory"."""
        began = time.monotonic()
        if (self.most_processes or self.most_bytes) and not self._met and began >= self._next:
            self._look()
            self._next = began + _REST * (time.monotonic() - began)
        return list(self._met)

    def _look(self) -> None:
        pids = process.tree(self.guard)
        if self.most_processes and sum(map(_threads, pids)) > NEARLY * self.most_processes:
            self._met.append("processes")
            # Those that make others are not to be had one by one: their guard knows how.
            with contextlib.suppress(OSError, IndexError):
                os.kill(pids[1], signal.SIGKILL)
            return
        if self.most_bytes and bytes_of(pids, self.most_bytes) > self.most_bytes:
            self._met.append("memory")
        # The case itself stays, and says what it has seen.
        for pid in pids[2:] if self._met else ():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def bytes_of(pids: list[int], enough: int) -> int:
    """Memory of their own that these processes have. Pages that several share are counted once, but
    only where that decides whether it is more than `enough`: it takes the kernel long."""
    counted = {pid: _own_bytes(pid) for pid in pids}
    if sum(counted.values()) <= enough:
        return sum(counted.values())
    return sum(_shared_out(pid, most) for pid, most in counted.items())


def _threads(pid: int) -> int:
    with contextlib.suppress(OSError):
        return len(os.listdir(f"/proc/{pid}/task"))
    return 0


def _own_bytes(pid: int) -> int:
    """Without pages of files, which others may have, too. Memory that it shares is no file."""
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{pid}/status").read_text("ascii", errors="replace")
        return _kib(text, "RssAnon", "RssShmem") * 1024
    return 0


def _shared_out(pid: int, otherwise: int) -> int:
    """Its pages, those that n processes have counted as 1/n; `otherwise` where we may not look."""
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii")
        if "Pss_Anon:" in text:
            return _kib(text, "Pss_Anon", "Pss_Shmem") * 1024
    return otherwise


def _kib(text: str, *names: str) -> int:
    """The sum of those rows of a file in /proc."""
    rows = re.findall(r"^(\w+):\s*(\d+) kB$", text, re.M)
    return sum(int(number) for name, number in rows if name in names)
