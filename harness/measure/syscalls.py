# SPDX-License-Identifier: MIT
"""How many system calls a server makes: the kernel's tracepoint raw_syscalls:sys_enter, counted.

Counted are the server's own tasks, whatever they are called: those in its control group (version
2), or, where no such group can be made, the tasks of its tree when counting begins and those they
make (perf_event_open with `inherit`). A group is better: a counter per CPU does for 10,000 tasks,
and is not attached to any of them, which would make each of their context switches dearer. Counting
costs the server some 170 ns per call (dd(1) on a virtual machine), so it is done during warm-up and
never in the window.

Needs root (or CAP_PERFMON with perf_event_paranoid <= 0). Nothing is left behind: the tracepoint's
number is read from a tracefs mounted in a mount namespace that ends with the reading.
"""
from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import functools
import os
import platform
import struct
import subprocess
import threading
from collections.abc import Iterable
from pathlib import Path

from harness.measure.process import tree

PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241, "riscv64": 241}
_TYPE_TRACEPOINT = 2
_ATTR_BYTES = 64  # PERF_ATTR_SIZE_VER0: all that is needed is in the first version of the struct
FLAG_PID_CGROUP = 4
FLAG_FD_CLOEXEC = 8
_IOC_ENABLE = 0x2400
DISABLED = 1  # bits of attr.flags
_INHERIT = 2
_TRACEPOINT = "events/raw_syscalls/sys_enter/id"
# With more tasks than this attached to, opening the counters would be what is measured.
MAX_TASKS = 256
TRACEFS = "/sys/kernel/tracing"
_libc = ctypes.CDLL(None, use_errno=True)


GROUP, TASKS = "control group", "tasks and what they make"


class Unavailable(Exception):
    """System calls cannot be counted here; the text says why."""


def probe() -> int:
    """The tracepoint's number, after trying that it can be counted. Raises Unavailable."""
    number = _tracepoint()
    try:
        Counter.of_tasks(number, [os.getpid()]).close()
    except OSError as error:
        raise Unavailable(f"perf_event_open: {error.strerror}") from None
    return number


def _tracepoint() -> int:
    text = tracefs(_TRACEPOINT)
    if not text.strip().isdigit():
        raise Unavailable(f"{TRACEFS}/{_TRACEPOINT}: not a number")
    return int(text)


@functools.lru_cache(maxsize=None)
def tracefs(name: str) -> str:
    """The text of a file below tracefs, read once: it holds until the next boot. Raises
    Unavailable."""
    script = f"mount -t tracefs tracefs {TRACEFS} && cat {TRACEFS}/{name}"
    try:
        text = Path(TRACEFS, name).read_text(encoding="ascii")
    except OSError:
        try:
            done = subprocess.run(
                ["unshare", "--mount", "sh", "-c", script],
                capture_output=True,
                text=True,
                timeout=10,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unavailable(f"unshare: {error}") from None
        text = done.stdout
        if done.returncode != 0 or not text:
            why = done.stderr.strip().splitlines() or ["cannot be read"]
            raise Unavailable(f"{TRACEFS}: {why[-1]}") from None
    return text


class Counter:
    """Counts from when it is made until close()."""

    def __init__(self, source: str) -> None:
        """Empty: in_group() and of_tasks() make a counter that counts. source: GROUP or TASKS."""
        self.source = source
        self._fds: list[int] = []
        self._closing: threading.Thread | None = None

    @staticmethod
    def of(tracepoint: int, group: Path | None, root: int) -> "Counter":
        """For a server: its control group where that can be done, else the tree of process `root`.

        Raises OSError when the kernel refuses, Unavailable where there are too many tasks.
        """
        if group is not None:
            with contextlib.suppress(OSError):  # perf_event may belong to another hierarchy
                return Counter.in_group(tracepoint, group)
        return Counter.of_tasks(tracepoint, tree(root))

    @staticmethod
    def in_group(tracepoint: int, group: Path) -> "Counter":
        """For all tasks of a control group (its directory), now and later. Raises OSError."""
        directory = os.open(group, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        counter = Counter(GROUP)
        try:
            for cpu in range(os.cpu_count() or 1):
                try:
                    counter._add(tracepoint, directory, cpu, DISABLED, FLAG_PID_CGROUP)
                except OSError as error:
                    if error.errno != errno.ENODEV:  # a CPU that is offline
                        raise
            counter._enable()
        except BaseException:
            counter.close()
            raise
        finally:
            os.close(directory)
        return counter

    @staticmethod
    def of_tasks(tracepoint: int, pids: Iterable[int]) -> "Counter":
        """For every thread of these processes, and what they make from now on. Raises OSError, or
        Unavailable for more than MAX_TASKS of them."""
        tasks = [task for pid in pids for task in _threads(pid)]
        if len(tasks) > MAX_TASKS:
            raise Unavailable(f"{len(tasks)} tasks; without a control group at most {MAX_TASKS}")
        counter = Counter(TASKS)
        try:
            for task in tasks:
                with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
                    counter._add(tracepoint, task, -1, DISABLED | _INHERIT, 0)
            counter._enable()
        except BaseException:
            counter.close()
            raise
        return counter

    def _add(self, tracepoint: int, whom: int, cpu: int, bits: int, flags: int) -> None:
        self._fds.append(open_event(tracepoint, whom, cpu, bits, flags))

    def _enable(self) -> None:
        for fd in self._fds:
            fcntl.ioctl(fd, _IOC_ENABLE, 0)

    def read(self) -> int:
        """System calls entered so far."""
        return sum(int(struct.unpack("=q", os.read(fd, 8))[0]) for fd in self._fds)

    def end(self) -> None:
        """Stop counting at once; taking the tracepoint down (some 50 ms) goes on without us."""
        fds, self._fds = self._fds, []
        self._closing = threading.Thread(target=lambda: list(map(os.close, fds)))
        self._closing.start()

    def close(self) -> None:
        """Release everything. Safe to call twice."""
        if self._closing is not None:
            self._closing.join()
        fds, self._fds = self._fds, []
        for fd in fds:
            os.close(fd)


def _threads(pid: int) -> list[int]:
    try:
        return [int(name) for name in os.listdir(f"/proc/{pid}/task")]
    except OSError:
        return []


def online() -> list[int]:
    """The CPUs there are. Raises OSError, ValueError."""
    text = Path("/sys/devices/system/cpu/online").read_text(encoding="ascii")
    found: list[int] = []
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def open_event(
    tracepoint: int, whom: int, cpu: int, bits: int, flags: int, period: int = 0, sample: int = 0
) -> int:
    """perf_event_open(2): whom is a task, or the directory of a control group. period, sample: of
    records in a ring, one for so many events, with these fields; 0: it only counts."""
    number = PERF_EVENT_OPEN.get(platform.machine())
    if number is None:
        raise OSError(errno.ENOSYS, f"perf_event_open is not known for {platform.machine()}")
    # struct perf_event_attr: type, size, config, period, sample, read_format, flags, and zeros.
    words = (_TYPE_TRACEPOINT, _ATTR_BYTES, tracepoint, period, sample, 0, bits)
    attr = struct.pack("=IIQQQQQ", *words)
    attr = attr.ljust(_ATTR_BYTES, b"\0")
    fd = int(_libc.syscall(number, attr, whom, cpu, -1, flags | FLAG_FD_CLOEXEC))
    if fd < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return fd
