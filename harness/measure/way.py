# SPDX-License-Identifier: MIT
"""One request's way: the parts of its time, from the client's stamps and the server's switches.

The load generator writes for every request when it was due, when it was sent, when the kernel gave
it to the network device, when the kernel took its reply in, and when the client had read that
(`--way`). What lies between departure and reply is the server's. When a task of it got a CPU the
kernel says, in a record for each context switch of the machine (perf_event_open, `context_switch`:
no tracepoint, nothing is asked of the server), by the same clock. So:

    late     intended start -> send        the client was not ready, or the connection not free
    send     send -> departure             the client's system call, as far as the network device
    wake     departure -> server on a CPU  delivery, and waking the server; 0 if it was running
    work     server on a CPU -> reply      its waiting call returns, it reads, works, and sends
    client   reply -> received             waking the client, and its system calls

On the loopback a packet is taken in within the call that sends it. Needs root (CAP_PERFMON, or
perf_event_paranoid of 0 or less).
"""
from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import platform
import struct
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from harness.design.metrics import WAY_PARTS, WAY_SUM
from harness.measure import syscalls

Times: TypeAlias = "np.ndarray[Any, np.dtype[np.int64]]"

# linux/perf_event.h
_TYPE_SOFTWARE, _DUMMY = 1, 9
_ATTR_BYTES = 96  # PERF_ATTR_SIZE_VER3: with the clock's number
_DISABLED, _SAMPLE_ID_ALL, _USE_CLOCKID, _CONTEXT_SWITCH = 1, 1 << 18, 1 << 25, 1 << 26
_SAMPLE_TID, _SAMPLE_TIME = 1 << 1, 1 << 2
_CLOCK_MONOTONIC = 1
_IOC_ENABLE, _IOC_DISABLE = 0x2400, 0x2401
_RECORD_SWITCH_CPU_WIDE, _MISC_SWITCH_OUT = 15, 1 << 13
_DATA_HEAD = 1024  # of struct perf_event_mmap_page
_RECORD = np.dtype(
    [
        ("type", "<u4"),
        ("misc", "<u2"),
        ("size", "<u2"),
        ("other", "<u4", 2),  # the task before or after
        ("pid", "<i4"),
        ("tid", "<i4"),
        ("time", "<i8"),
    ]
)
RING_BYTES = 16 << 20  # of each CPU, a power of two: half a million records
_PAGE = mmap.PAGESIZE
_FOREVER = np.iinfo(np.int64).max
_libc = ctypes.CDLL(None, use_errno=True)

# With fewer requests, or more of them whose way is not known, nothing is said.
LEAST_REQUESTS = 100
LEAST_KNOWN = 0.9
# How closely the mean of all rows must be the load generator's own mean: it has three digits.
SUM_TOLERANCE = 0.01


class Unknown(Exception):
    """The way cannot be told; the text says why."""


@dataclass(frozen=True)
class Requests:
    """Columns of --way, ns of CLOCK_MONOTONIC, a row for each request; 0: not known."""

    intended: Times
    sent: Times
    departed: Times
    arrived: Times
    received: Times


@dataclass(frozen=True)
class OnCpu:
    """When at least one task of the server had a CPU: begins[i] to ends[i], ascending, apart."""

    begins: Times
    ends: Times


def read(path: Path) -> Requests:
    """What the load generator wrote. Raises Unknown where it is not that."""
    names = ("intended_ns", "sent_ns", "departed_ns", "arrived_ns", "received_ns")
    try:
        lines = path.read_text(encoding="ascii").splitlines()
        places = [lines[0].split(",").index(name) for name in names]
        rows = [[int(line.split(",")[at] or 0) for at in places] for line in lines[1:]]
    except (OSError, ValueError, IndexError) as error:
        raise Unknown(f"the load generator's file: {error}") from None
    table = np.array(rows, np.int64).reshape(-1, len(names))
    return Requests(*(np.ascontiguousarray(table[:, n]) for n in range(len(names))))


def on_cpu(cpus: Sequence[tuple[Sequence[int], Sequence[bool]]]) -> OnCpu:
    """From the switches of each CPU, of the server's tasks alone: their times, ascending, and
    whether they are away from its task. A first switch away means that it had run from before, a
    last one to it, that it ran on."""
    changes: list[tuple[int, int]] = []
    for times, away in cpus:
        running = bool(len(away)) and bool(away[0])
        if running:
            changes.append((0, 1))
        for at, leaves in zip(times, away):
            if bool(leaves) == running:
                changes.append((int(at), -1 if leaves else 1))
                running = not leaves
        if running:
            changes.append((int(_FOREVER), -1))
    # Where one ends as another begins, the server has gone on.
    changes.sort(key=lambda change: (change[0], -change[1]))
    begins, ends, count = [], [], 0
    for at, step in changes:
        if count == 0:
            begins.append(at)
        count += step
        if count == 0:
            ends.append(at)
    return OnCpu(np.array(begins, np.int64), np.array(ends, np.int64))


def parts(requests: Requests, server: OnCpu) -> dict[str, Times]:
    """The parts of each request whose way is known, by metric; WAY_SUM is their sum, the response
    time."""
    departed, arrived = requests.departed, requests.arrived
    begins, ends = np.append(server.begins, _FOREVER), np.append(server.ends, _FOREVER)
    last = np.searchsorted(begins, departed, side="right") - 1
    running = (last >= 0) & (departed < ends[last])
    awake = np.where(running, departed, begins[last + 1])
    known = (departed > 0) & (arrived > 0) & (awake <= arrived)
    moments = [requests.intended, requests.sent, departed, awake, arrived, requests.received]
    found = {
        name: (after - before)[known]
        for name, before, after in zip(WAY_PARTS, moments, moments[1:])
    }
    found[WAY_SUM] = (requests.received - requests.intended)[known]
    return found


def typical(found: Mapping[str, Times]) -> dict[str, float]:
    """The mean of each part over the same requests: the middle half of all, by response time. So
    the parts add up, and a few requests that something disturbed do not count."""
    count = len(found[WAY_SUM])
    order = np.argsort(found[WAY_SUM], kind="stable")
    middle = order[count // 4 : count - count // 4]
    return {name: float(np.mean(values[middle])) for name, values in found.items()}


def metrics(requests: Requests, server: OnCpu, report: Mapping[str, Any]) -> dict[str, float]:
    """The metrics of a cell. Raises Unknown where too little is known, or it does not add up."""
    total = len(requests.sent)
    if total < LEAST_REQUESTS:
        raise Unknown(f"{total} requests; {LEAST_REQUESTS} needed")
    told = (report.get("latency_ns") or {}).get("response") or {}
    mean = float(np.mean(requests.received - requests.intended))
    known = told.get("mean_finite")
    if not isinstance(known, (int, float)) or abs(mean - known) > SUM_TOLERANCE * known:
        raise Unknown(f"the rows have a mean of {mean:.0f} ns, the load generator says {known}")
    found = parts(requests, server)
    share = len(found[WAY_SUM]) / total
    if share < LEAST_KNOWN:
        raise Unknown(f"of {share:.0%} of the requests is known when the server woke up")
    return typical(found)


class Recorder:
    """Every context switch of the machine, between start() and pause()."""

    def __init__(self) -> None:
        """Raises Unknown where this machine does not let us."""
        self._rings: list[_Ring] = []
        try:
            for cpu in syscalls.online():
                self._rings.append(_Ring(cpu))
        except (OSError, ValueError) as error:
            self.close()
            raise Unknown(f"context switches cannot be recorded: {error}") from None

    def start(self) -> None:
        """A record per switch from now on."""
        for ring in self._rings:
            ring.enable(True)

    def pause(self) -> None:
        """No record from now on. Nothing is read yet."""
        for ring in self._rings:
            ring.enable(False)

    def of(self, pids: Collection[int]) -> OnCpu:
        """When these processes, all threads of them, had a CPU. Raises Unknown for a ring that was
        full."""
        return on_cpu([ring.switches(pids) for ring in self._rings])

    def close(self) -> None:
        """Release everything. Safe to call twice."""
        rings, self._rings = self._rings, []
        for ring in rings:
            ring.close()


class _Ring:
    """The switches of one CPU."""

    def __init__(self, cpu: int) -> None:
        number = syscalls.PERF_EVENT_OPEN.get(platform.machine())
        if number is None:
            raise OSError(f"perf_event_open is not known for {platform.machine()}")
        bits = _DISABLED | _SAMPLE_ID_ALL | _USE_CLOCKID | _CONTEXT_SWITCH
        head = (_TYPE_SOFTWARE, _ATTR_BYTES, _DUMMY, 0, _SAMPLE_TID | _SAMPLE_TIME, 0, bits)
        attr = struct.pack("=IIQQQQQ", *head).ljust(_ATTR_BYTES - 4, b"\0")
        attr += struct.pack("=i", _CLOCK_MONOTONIC)
        self._fd = int(_libc.syscall(number, attr, -1, cpu, -1, syscalls.FLAG_FD_CLOEXEC))
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        try:
            self._map = mmap.mmap(self._fd, _PAGE + RING_BYTES)
        except BaseException:
            os.close(self._fd)
            raise

    def enable(self, on: bool) -> None:
        fcntl.ioctl(self._fd, _IOC_ENABLE if on else _IOC_DISABLE, 0)

    def switches(self, pids: Collection[int]) -> tuple[list[int], list[bool]]:
        (head,) = struct.unpack_from("=Q", self._map, _DATA_HEAD)
        # Nothing was consumed, so nothing has wrapped: the ring drops what does not fit.
        if head + 2 * _RECORD.itemsize > RING_BYTES:
            raise Unknown("more context switches than there was room for: a shorter window")
        records = np.frombuffer(self._map[_PAGE : _PAGE + head], _RECORD)
        if not np.all(records["type"] == _RECORD_SWITCH_CPU_WIDE):
            raise Unknown("the kernel's records have another form")
        ours = records[np.isin(records["pid"], list(pids))]
        away = (ours["misc"] & _MISC_SWITCH_OUT) != 0
        return ours["time"].tolist(), away.tolist()

    def close(self) -> None:
        self._map.close()
        os.close(self._fd)
