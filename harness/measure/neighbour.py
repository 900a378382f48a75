# SPDX-License-Identifier: MIT
"""A neighbour: a process that keeps one CPU busy for a known share of its time, beside a duel.

It is a child of the harness in a process group of its own, killed with it.
"""
from __future__ import annotations

import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.measure.process import Child, ProcessError

PROGRAM = Path(__file__).with_name("half_busy.py")


class Neighbour:
    """Busy for `share` of the time of one CPU, 0 < share < 1. A context manager: gone at its
    end."""

    def __init__(self, cpu: int, share: float, seed: int) -> None:
        # -I -S: nothing of the user's settings, and no site packages, which it does not need.
        argv = [sys.executable, "-I", "-S", str(PROGRAM), f"{share:g}", str(seed)]
        self.cpu = cpu
        self._child = Child(argv, [cpu])
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._child.close()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._child.pid

    def share(self) -> float:
        """What it has had of its CPU so far. Raises ProcessError if it is gone."""
        if self._child.wait(0) is not None:
            raise ProcessError(
                f"the neighbour on CPU {self.cpu} ended: {self._child.stderr_tail()}"
            )
        busy = time.clock_gettime(~self._child.pid << 3 | 2)  # as clock_getcpuclockid(3) says
        return busy / (time.monotonic() - self._began)
