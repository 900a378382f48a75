# SPDX-License-Identifier: MIT
"""Programs compared while all of them run: one goes on for a slice of time, the others are stopped.

A machine that others use too changes its speed within seconds, by more than the programs differ.
Run after run, each program meets another machine; a slice of a sixth of a second apart, they meet
nearly the same one. So every program is started once, stopped (SIGSTOP), and then each in turn goes
on (SIGCONT) for one slice per round, in random order. Their connections stay open meanwhile.

What each got done in its slice is read from the server, which is the same for all, and CPU time
from the kernel's clock of each process (clock_getcpuclockid(3)), which is exact to the moment of
reading, unlike the tick-wise /proc/PID/stat.
"""
from __future__ import annotations

import mmap
import os
import signal
import struct
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.measure import host
from harness.measure.process import tree
from harness.measure.process import Child, Exit, ProcessError, Server, task_state

# Of wall time, spent runnable but not running, or stolen by the host: above it a slice is
# disturbed.
DISTURBED_SHARE = 0.03
SETTLE_S = 0.02  # after SIGCONT, until the replies that had been waiting are dealt with
START_TIMEOUT_S = 10.0
END_TIMEOUT_S = 10.0
_POLL_S = 0.005
_BEGUN_REPLIES = 10  # per connection, before a client counts as started
_COUNTERS = struct.Struct("=7Q")  # struct counters of loadgen/bench/null.c


@dataclass(frozen=True)
class Slice:
    """One program in one slice: rate in requests/s, the others as fraction of wall time.

    block: the fresh server it ran against; round: within the block; order: within the round.
    """

    client: str
    connections: int
    block: int
    round: int
    order: int
    rate_rps: float
    client_cpu: float
    client_queued: float
    server_cpu: float
    server_queued: float
    steal: float

    @property
    def cost_us(self) -> float:
        """Client CPU time per request."""
        return self.client_cpu / self.rate_rps * 1e6

    @property
    def disturbed(self) -> bool:
        return max(self.client_queued, self.server_queued, self.steal) > DISTURBED_SHARE


@dataclass(frozen=True)
class Served:
    """What the null server has done since it started."""

    connections: int
    requests: int


class CountingServer(Server):
    """The null server, with its counters in view."""

    def __init__(self, binary: Path, cpus: Sequence[int]) -> None:
        # The mapping outlives the file's name and descriptor.
        with tempfile.NamedTemporaryFile() as file:
            super().__init__([str(binary), "-s", "-m", file.name], cpus)
            self._view = mmap.mmap(file.fileno(), _COUNTERS.size, prot=mmap.PROT_READ)

    def served(self) -> Served:
        """As of now."""
        connections, requests, *_ = _COUNTERS.unpack(self._view[: _COUNTERS.size])
        return Served(connections, requests)


@dataclass(frozen=True)
class Times:
    """Of some processes, in seconds: CPU used, and time runnable without a CPU."""

    cpu: float
    queued: float

    def __sub__(self, earlier: Times) -> Times:
        return Times(self.cpu - earlier.cpu, self.queued - earlier.queued)


def times(pids: Sequence[int]) -> Times:
    """Raises ProcessError when one of them has ended."""
    cpu = queued = 0.0
    try:
        for pid in pids:
            cpu += time.clock_gettime(~pid << 3 | 2)  # what clock_getcpuclockid(3) returns
            for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                queued += int(task.read_text(encoding="ascii").split()[1]) / 1e9
    except OSError as error:
        raise ProcessError(f"process {pid}: {error.strerror}: it has ended") from None
    return Times(cpu, queued)


class Contender:
    """A client that is stopped except in its slices. Starts when made; use as a context manager."""

    def __init__(
        self, name: str, argv: Sequence[str], connections: int, server: CountingServer, cpu: int
    ) -> None:
        """Returns with all connections open, load running, and then stopped; or raises."""
        self.name = name
        self._out = tempfile.TemporaryFile()  # pylint: disable=consider-using-with
        self._server = server
        before = server.served()
        self.child: Child | None = None
        self.pids: list[int] = []
        try:
            self.child = Child(argv, [cpu], stdout=self._out.fileno())
            self._await_load(self.child, before, connections)
            self.pids = tree(self.child.pid)
            self._stop(self.child)
        except BaseException:
            self.close()
            raise

    def _await_load(self, child: Child, before: Served, connections: int) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            if (ended := child.wait(_POLL_S)) is not None:
                raise ProcessError(f"{self.name}: {self.why(ended)}")
            now = self._server.served()
            if (
                now.connections - before.connections >= connections
                and now.requests - before.requests >= connections * _BEGUN_REPLIES
            ):
                return
            if time.monotonic() > deadline:
                raise ProcessError(f"{self.name}: no load within {START_TIMEOUT_S:g} s")

    def _stop(self, child: Child) -> None:
        """Returns when all of it stands still: a signal takes its time to another CPU."""
        child.signal(signal.SIGSTOP)
        deadline = time.monotonic() + START_TIMEOUT_S
        while any(task_state(Path(f"/proc/{pid}")) not in "TZX" for pid in self.pids):
            if time.monotonic() > deadline:
                raise ProcessError(
                    f"{self.name}: still running {START_TIMEOUT_S:g} s after SIGSTOP"
                )

    def __enter__(self) -> Contender:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it, whatever it does."""
        if self.child is not None:
            self.child.close()
        self._out.close()

    def why(self, ended: Exit) -> str:
        """How it ended, for a reason."""
        assert self.child is not None
        return f"exit {ended.status}: {self.child.stderr_tail()}"

    def measure(self, seconds: float) -> tuple[float, Times, Times]:
        """One slice: requests/s; CPU and queued time per wall time of the client and the server."""
        assert self.child is not None
        self.child.signal(signal.SIGCONT)
        if (ended := self.child.wait(SETTLE_S)) is not None:
            raise ProcessError(f"{self.name}: {self.why(ended)}")
        server = [self._server.pid]
        begin, done = time.monotonic(), self._server.served().requests
        own, others = times(self.pids), times(server)
        if (ended := self.child.wait(seconds)) is not None:
            raise ProcessError(f"{self.name}: {self.why(ended)}")
        wall_s, done = time.monotonic() - begin, self._server.served().requests - done
        own, others = times(self.pids) - own, times(server) - others
        self._stop(self.child)
        if not done:
            raise ProcessError(f"{self.name}: nothing was answered for {wall_s:.2f} s")
        return (
            done / wall_s,
            Times(own.cpu / wall_s, own.queued / wall_s),
            Times(others.cpu / wall_s, others.queued / wall_s),
        )

    def finish(self) -> tuple[str, int]:
        """Let it go on, interrupt it (SIGINT), and return what it wrote and its exit status."""
        assert self.child is not None
        self.child.signal(signal.SIGCONT)
        # Only threads that run again can be told apart: until then the kernel may give SIGINT to
        # any of them, and wrk heeds it in its main thread alone.
        ended = self.child.wait(SETTLE_S)
        if ended is None:
            self.child.signal(signal.SIGINT)
            ended = self.child.wait(END_TIMEOUT_S)
        if ended is None:
            raise ProcessError(f"{self.name}: still running {END_TIMEOUT_S:g} s after SIGINT")
        self._out.seek(0)
        return self._out.read().decode(errors="replace"), ended.status


def take_slice(
    contender: Contender, connections: int, place: tuple[int, int, int], seconds: float
) -> Slice:
    """place: block, round and order."""
    steal, begin = host.steal_seconds() or 0.0, time.monotonic()
    rate, own, server = contender.measure(seconds)
    stolen = ((host.steal_seconds() or 0.0) - steal) / (time.monotonic() - begin)
    return Slice(
        contender.name,
        connections,
        *place,
        rate_rps=rate,
        client_cpu=own.cpu,
        client_queued=own.queued,
        server_cpu=server.cpu,
        server_queued=server.queued,
        steal=stolen / (os.cpu_count() or 1),
    )
