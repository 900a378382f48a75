# SPDX-License-Identifier: MIT
"""Which system calls a server makes, and how often it sleeps: tracepoints, event by event.

For each CPU two rings shared with the kernel get a record per event of the server's control group:
one per system call (raw_syscalls:sys_enter), one per context switch away from one of its tasks
(sched:sched_switch). Nothing is read while it counts. A full ring drops what comes after; what is
there still says how the calls share the total that harness.measure.syscalls counts.

A record costs the server some hundred nanoseconds, so this is done during warm-up and never in the
window. Needs what counting needs (root), and a control group of version 2.
"""
from __future__ import annotations

import fcntl
import mmap
import os
import re
import shutil
import struct
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.measure import syscalls
from harness.measure.syscalls import Unavailable

# linux/perf_event.h
_SAMPLE_RAW = 1 << 10
_IOC_ENABLE, _IOC_DISABLE = 0x2400, 0x2401
_RECORD_LOST, _RECORD_SAMPLE = 2, 9
_DATA_HEAD, _DATA_TAIL = 1024, 1032  # struct perf_event_mmap_page
# Bytes of a ring's data, a power of two: a record has 80, so 100,000 of them.
RING_BYTES = 8 << 20
_PAGE = mmap.PAGESIZE
# Every record of one tracepoint has the same length, and its number this far after its header: the
# raw size (4 bytes), then the fields that all tracepoints have (8 bytes), then its own.
_HEADER, _RAW_SIZE = 8, 4
# Of prev_state: the bits that say that a task sleeps. One that was only pushed aside has none.
_ASLEEP = 0xFF


@dataclass(frozen=True)
class Tracepoint:
    """number: its `id` file. offset: of the field that is looked at (8 bytes), in the raw data."""

    number: int
    offset: int


@dataclass(frozen=True)
class Points:
    """What has to be known of this kernel. names: system calls by number."""

    enter: Tracepoint
    switch: Tracepoint
    names: dict[int, str]


@dataclass(frozen=True)
class Events:
    """What was seen between start and stop.

    calls: system calls by name. switches: away from a task of the group; sleeps: those of them in
    which it waits for something, each of which ends with a wake-up. full: a ring had no room for
    more, so that the numbers say how things share a total, and not how many there were.
    """

    calls: dict[str, int]
    switches: int
    sleeps: int
    full: bool


def probe() -> Points:
    """Raises Unavailable where this machine does not let us."""
    return Points(
        _tracepoint("raw_syscalls/sys_enter", "id"),
        _tracepoint("sched/sched_switch", "prev_state"),
        names(),
    )


def _tracepoint(name: str, field: str) -> Tracepoint:
    text = syscalls.tracefs(f"events/{name}/format")
    number = re.search(r"^ID: (\d+)$", text, re.M)
    at = re.search(rf"field:[^;]*\b{field};\s*offset:(\d+);\s*size:8;", text)
    if not number or not at:
        raise Unavailable(f"tracepoint {name}: its format is another one")
    return Tracepoint(int(number.group(1)), int(at.group(1)))


def names() -> dict[int, str]:
    """System calls by number, from the headers that the servers are compiled with; {} without a C
    compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return {}
    done = subprocess.run(
        [compiler, "-E", "-dM", "-include", "sys/syscall.h", "-x", "c", os.devnull],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    found = dict(re.findall(r"^#define __NR_(\w+) (\w+)$", done.stdout, re.M))
    other = dict(re.findall(r"^#define (__NR3264_\w+) (\d+)$", done.stdout, re.M))
    numbers = {name: other.get(value, value) for name, value in found.items()}
    return {int(value): name for name, value in numbers.items() if value.isdigit()}


class Recorder:
    """Records between start() and pause(). Making it takes milliseconds, starting it none."""

    def __init__(self, points: Points, group: Path) -> None:
        """group: the directory of a control group of version 2. Raises OSError."""
        self._points = points
        self._enter: list[_Ring] = []
        self._switch: list[_Ring] = []
        directory = os.open(group, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for cpu in syscalls.online():
                self._enter.append(_Ring(points.enter, directory, cpu))
                self._switch.append(_Ring(points.switch, directory, cpu))
        except BaseException:
            self.close()
            raise
        finally:
            os.close(directory)

    def start(self) -> None:
        """A record per event from now on."""
        for ring in (*self._enter, *self._switch):
            ring.enable(True)

    def pause(self) -> None:
        """No record from now on. Nothing is read yet: that takes time."""
        for ring in (*self._enter, *self._switch):
            ring.enable(False)

    def read(self) -> Events:
        """What was recorded so far."""
        calls: Counter[int] = Counter()
        full, switches, sleeps = False, 0, 0
        for ring in self._enter:
            values, no_room = ring.values()
            full |= no_room
            numbers, counts = np.unique(values, return_counts=True)
            calls.update({int(n): int(c) for n, c in zip(numbers, counts)})
        for ring in self._switch:
            values, no_room = ring.values()
            full |= no_room
            switches += len(values)
            sleeps += int(np.count_nonzero(values & _ASLEEP))
        known = self._points.names
        named = {known.get(n, f"system call {n}"): count for n, count in calls.most_common()}
        return Events(named, switches, sleeps, full)

    def close(self) -> None:
        """Release everything. Safe to call twice."""
        rings = [*self._enter, *self._switch]
        self._enter, self._switch = [], []
        for ring in rings:
            ring.close()


class _Ring:
    """One tracepoint on one CPU."""

    def __init__(self, point: Tracepoint, group: int, cpu: int) -> None:
        self._offset = point.offset
        self._fd = syscalls.open_event(
            point.number, group, cpu, syscalls.DISABLED, syscalls.FLAG_PID_CGROUP, 1, _SAMPLE_RAW
        )
        try:
            self._map = mmap.mmap(self._fd, _PAGE + RING_BYTES)
        except BaseException:
            os.close(self._fd)
            raise

    def enable(self, on: bool) -> None:
        fcntl.ioctl(self._fd, _IOC_ENABLE if on else _IOC_DISABLE, 0)

    def values(self) -> tuple["np.ndarray[tuple[int], np.dtype[np.int64]]", bool]:
        """The field of every record, and whether the ring was full."""
        (head,) = struct.unpack_from("=Q", self._map, _DATA_HEAD)
        # Nothing was consumed, so nothing has wrapped: the ring drops what does not fit.
        data = self._map[_PAGE : _PAGE + head]
        full, at, longest = False, 0, 0
        found: list[np.ndarray[tuple[int], np.dtype[np.int64]]] = []
        while at + _HEADER <= len(data):
            kind, _, size = struct.unpack_from("=IHH", data, at)
            if size < _HEADER:
                break
            if kind != _RECORD_SAMPLE:
                full |= kind == _RECORD_LOST
                at += size
                continue
            end = _same(data, at, size)
            field = _HEADER + _RAW_SIZE + self._offset
            rows = np.frombuffer(data, np.uint8, end - at, at).reshape(-1, size)
            found.append(np.ascontiguousarray(rows[:, field : field + 8]).view(np.int64).ravel())
            at, longest = end, max(longest, size)
        values = np.concatenate(found) if found else np.zeros(0, np.int64)
        return values, full or head + longest > RING_BYTES

    def close(self) -> None:
        self._map.close()
        os.close(self._fd)


def _same(data: bytes, start: int, size: int) -> int:
    """Where the run of records that begin like the one at `start` ends."""
    whole = (len(data) - start) // size
    heads = np.frombuffer(data, np.uint8, whole * size, start).reshape(-1, size)[:, :_HEADER]
    other = np.flatnonzero(np.any(heads != heads[0], axis=1))
    return start + size * (int(other[0]) if len(other) else whole)
