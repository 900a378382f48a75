# SPDX-License-Identifier: MIT
"""How many system calls a server makes: the kernel's tracepoint raw_syscalls:sys_enter, counted.

A counter on every CPU counts only for tasks of the server's name (`comm`), so that its threads and
children are in it without being attached to, which would make each of their context switches dearer.
Counting costs the server some 170 ns per call (dd(1) on a virtual machine), so it is done during warm-up and never in the window.

Needs root (or CAP_PERFMON with perf_event_paranoid <= 0). Nothing is left behind: the tracepoint's
number is read from a tracefs mounted in a mount namespace that ends with the reading.
"""
from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import platform
import struct
import subprocess
import threading
from pathlib import Path

_SYS_PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241, "riscv64": 241}
_TYPE_TRACEPOINT = 2
_ATTR_BYTES = 64  # PERF_ATTR_SIZE_VER0: all that is needed is in the first version of the struct
_FLAG_FD_CLOEXEC = 8
_IOC_ENABLE = 0x2400
_IOC_SET_FILTER = 0x40082406
_DISABLED = 1  # the first bit of attr.flags
_TRACEPOINT = "events/raw_syscalls/sys_enter/id"
TRACEFS = "/sys/kernel/tracing"
_libc = ctypes.CDLL(None, use_errno=True)


class Unavailable(Exception):
    """System calls cannot be counted here; the text says why."""


def probe() -> int:
    """The tracepoint's number, after trying that it can be counted. Raises Unavailable."""
    number = _tracepoint()
    try:
        Counter(number, "nobody").close()
    except OSError as error:
        raise Unavailable(f"perf_event_open: {error.strerror}") from None
    return number


def _tracepoint() -> int:
    script = f"mount -t tracefs tracefs {TRACEFS} && cat {TRACEFS}/{_TRACEPOINT}"
    try:
        text = Path(TRACEFS, _TRACEPOINT).read_text(encoding="ascii")
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
        if not text.strip().isdigit():
            why = done.stderr.strip().splitlines() or ["cannot be read"]
            raise Unavailable(f"{TRACEFS}: {why[-1]}") from None
    return int(text)


class Counter:
    """Counts from when it is made until close(). Raises OSError when the kernel refuses."""

    def __init__(self, tracepoint: int, comm: str) -> None:
        """comm: name of the tasks to count for, as in /proc/PID/comm."""
        if '"' in comm or "\\" in comm:
            raise OSError(errno.EINVAL, f"a filter cannot hold the name {comm!r}")
        self._fds: list[int] = []
        self._closing: threading.Thread | None = None
        try:
            for cpu in range(os.cpu_count() or 1):
                try:
                    self._fds.append(_open(tracepoint, cpu))
                except OSError as error:
                    if error.errno != errno.ENODEV:  # a CPU that is offline
                        raise
            for fd in self._fds:
                fcntl.ioctl(fd, _IOC_SET_FILTER, f'comm == "{comm}"'.encode() + b"\0")
                fcntl.ioctl(fd, _IOC_ENABLE, 0)
        except BaseException:
            self.close()
            raise

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


def _open(tracepoint: int, cpu: int) -> int:
    number = _SYS_PERF_EVENT_OPEN.get(platform.machine())
    if number is None:
        raise OSError(errno.ENOSYS, f"perf_event_open is not known for {platform.machine()}")
    # struct perf_event_attr: type, size, config, three words of sampling (none), flags, and zeros.
    attr = struct.pack("=IIQQQQQ", _TYPE_TRACEPOINT, _ATTR_BYTES, tracepoint, 0, 0, 0, _DISABLED)
    attr = attr.ljust(_ATTR_BYTES, b"\0")
    fd = int(_libc.syscall(number, attr, -1, cpu, -1, _FLAG_FD_CLOEXEC))
    if fd < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return fd
