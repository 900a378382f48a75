# SPDX-License-Identifier: MIT
"""The server under test: a process, seen from outside only.

Everything the suite knows of it comes from its command line, its sockets, its two output streams
and /proc. It cannot outlive the suite (harness.measure.process.Child).
"""
from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from harness import shape
from harness.measure import process
from harness.conformance.outcome import Failed

OUTPUT_BOUND = 1 << 20  # bytes on stdout: a ready line and one of counters are far less
STOP_BOUND_S = 2.0  # from SIGTERM to gone: what every model promises
COUNTERS = ("connections", "requests", "bytes_in", "bytes_out", "waits", "events", "eagain")
REPORTS = ("AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "runtime error:")

_libc = ctypes.CDLL(None)


@dataclass(frozen=True)
class Conditions:
    """How the suite is run; the defaults are those of `tenk check`.

    patience: multiplies every time-out (sanitizers and valgrind slow a server down).
    give_up_s: how long a client waits for an answer, or for the ready line, before it is given up.
    holds_end: every case also holds the servers to what they promise for their end. A grader leaves
        that to the cases that are about it, so that one mistake there does not fail all others.
    connections: how many the ten_thousand case opens.
    prefix: a program that runs the server, such as valgrind and its options.
    environment: variables for it.
    measures_memory: False where the memory of the process is not what the server asked for.
    believes_ready: what a ready line says beyond port and pid is heeded: that it is a guest, or ran
        before, and where. A grader believes nobody, and no pid but the server's own.
    tells_main_thread: signals go to the main thread, not to any thread of the process; the one that
        ends it goes there twice, if once was not enough.
    """

    patience: float = 1.0
    give_up_s: float = 10.0
    holds_end: bool = True
    connections: int = 10_000
    prefix: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    measures_memory: bool = True
    believes_ready: bool = True
    tells_main_thread: bool = False


def conditions_for(build: Path) -> Conditions:
    """The defaults; or, for a build directory of `make SAN=…`, what suits an instrumented server:
    it is several times slower, needs several times the memory, and reports by its exit status."""
    if not build.name.startswith("san-"):
        return Conditions()
    return Conditions(
        patience=4.0,
        connections=1_000,
        # A shadow beyond the usual address range is what TSan cannot do: no randomisation for it.
        prefix=("setarch", "-R") if "thread" in build.name else (),
        environment=(
            ("ASAN_OPTIONS", "exitcode=99:detect_leaks=1"),
            ("UBSAN_OPTIONS", "print_stacktrace=1:exitcode=99"),
            ("TSAN_OPTIONS", "exitcode=99:second_deadlock_stack=1"),
        ),
        measures_memory=False,
        # TSan (gcc 12) keeps a signal back while its thread computes, and then for as long as it is
        # in recv(2) or accept4(2): in a thread whose client says nothing for ever, in the main
        # thread until another signal interrupts that.
        tells_main_thread="thread" in build.name,
    )


LOOKS = 10  # at a thread that wants a CPU and is not given one
SPIN = 0.5  # of one CPU: more than this while there is nothing to do is spinning
WATCHED_S = 0.5  # ten of the pauses after which accepting is tried again
ROUNDS_S = 0.02  # CPU time in which a server that never waits has looked at all its sockets


@dataclass(frozen=True)
class Spent:
    """CPU use of a process tree over a while: total, and the share of the busiest thread, which
    counts the time it waited for a CPU, so that a spinning thread shows on a loaded machine too.
    `ran` is the greatest share without that time."""

    cpu_s: float
    busiest: float
    ran: float


def wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Poll a condition that nothing can be waited on for (a number in /proc)."""
    deadline = time.monotonic() + timeout_s
    pause = 0.001
    while not condition():
        if time.monotonic() >= deadline:
            return condition()
        time.sleep(pause)
        pause = min(0.05, pause * 1.5)
    return True


class DidNotStart(Failed):
    """It ended before it said `ready`: with which status, and its last words."""

    def __init__(self, status: int, errors: str) -> None:
        super().__init__(f"did not start: exit status {status}: {errors}")
        self.status, self.errors = status, errors


class Subject(process.Child):
    """A server that has said `ready`. finish() holds it to what it promises for its end."""

    def __init__(self, argv: Sequence[str], conditions: Conditions) -> None:
        environment = [f"{name}={value}" for name, value in conditions.environment]
        prefix = (["env", *environment] if environment else []) + list(conditions.prefix)
        self._conditions = conditions
        try:
            super().__init__([*prefix, *argv], stdout=subprocess.PIPE)
        except process.ProcessError as error:
            raise Failed(str(error)) from None
        assert self._popen.stdout is not None
        self._out = self._popen.stdout.fileno()
        self._text = b""
        self.finished = False
        self.never_waits = False  # it says so (busy_polls)
        self.port = 0
        self.server_pid = self.pid
        self.host = ""  # where it is not the usual one
        try:
            self.ready = self._await_ready()
            self.port = int(self.ready["port"])
            self.server_pid = int(self.ready["pid"])
            self.host = urlsplit(self.ready.get("url", "")).hostname or ""
        except BaseException:
            self.close()
            raise

    def _await_ready(self) -> dict[str, str]:
        timeout_s = self._conditions.give_up_s * self._conditions.patience
        if not self._read_output(lambda: b"\n" in self._text, timeout_s):
            ended = self.wait(1.0)
            if ended is None:
                raise Failed(f"no ready line within {timeout_s:g} s: {self.errors()}")
            raise DidNotStart(ended.status, self.errors())
        line, _, self._text = self._text.partition(b"\n")
        text = line.decode(errors="replace")
        try:
            said = process.parse_ready(text)
        except ValueError as error:
            raise Failed(str(error)) from None
        return said if self._conditions.believes_ready else self._believed(said)

    def _believed(self, said: dict[str, str]) -> dict[str, str]:
        """The words of a ready line that promise what is tried, and excuse from nothing. What is
        looked at, signalled and limited is the process `pid`: it must be one that was started."""
        if int(said["pid"]) not in process.tree(self.pid):
            raise Failed(f"not a ready line: pid={said['pid']} is no process of the server")
        return {word: said.get(word, "") for word in ("model", "port", "pid")}

    def _read_output(self, enough: Callable[[], bool], timeout_s: float) -> bool:
        """Read stdout until enough() or its end; whether enough() holds."""
        deadline = time.monotonic() + timeout_s
        while not enough() and (left := deadline - time.monotonic()) > 0:
            poller = select.poll()
            poller.register(self._out, select.POLLIN)
            if not poller.poll(left * 1000):
                break
            chunk = os.read(self._out, 65536)
            if not chunk:
                break
            self._text += chunk
            if len(self._text) > OUTPUT_BOUND:
                raise Failed(f"it wrote more than {OUTPUT_BOUND >> 20} MiB to stdout")
        return enough()

    # --- looking at it -----------------------------------------------------------------------

    def errors(self) -> str:
        """All of its stderr."""
        size = os.fstat(self._stderr.fileno()).st_size
        return os.pread(self._stderr.fileno(), min(size, 1 << 20), 0).decode(errors="replace")

    def alive(self) -> bool:
        return self.wait(0.0) is None

    def descriptors(self) -> int:
        """Open descriptors of the server and all its children."""
        count = 0
        for pid in process.tree(self.server_pid):
            with contextlib.suppress(OSError):
                count += len(os.listdir(f"/proc/{pid}/fd"))
        return count

    def own_descriptors(self) -> list[int]:
        """The descriptor numbers of the main process."""
        return sorted(int(name) for name in os.listdir(f"/proc/{self.server_pid}/fd"))

    def memory_bytes(self) -> int:
        """Anonymous memory of the server and its children, shared pages counted in proportion."""
        total = 0
        for pid in process.tree(self.server_pid):
            with contextlib.suppress(OSError):
                rows = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").split("\n")
                kib = {row.split(":")[0]: row.split()[1] for row in rows[1:] if ":" in row}
                total += 1024 * int(kib.get("Pss_Anon", kib.get("Anonymous", "0")))
        return total

    def busy(self, window_s: float, at_most: float = 1.0) -> Spent:
        """Watch what it uses for window_s seconds of wall-clock time.

        On a crowded machine a thread that has little to do waits long for the CPU to do it on. So
        where a thread is above at_most only with the time it waited, it is watched again, up to
        LOOKS times in all: one that spins is above it each time, however little it is given.
        """
        for _ in range(LOOKS - 1):
            spent = self._spent(window_s)
            if spent.busiest <= at_most or spent.ran > at_most:
                return spent
        return self._spent(window_s)

    def _spent(self, window_s: float) -> Spent:
        before, start = self._schedstat(), time.monotonic()
        time.sleep(window_s)
        after, elapsed = self._schedstat(), time.monotonic() - start
        total = ran = wanted = 0.0
        for thread, (run, wait) in after.items():
            run0, wait0 = before.get(thread, (0, 0))
            total += (run - run0) / 1e9
            ran = max(ran, (run - run0) / 1e9)
            used_or_waited = (run - run0 + wait - wait0) / 1e9
            # A wait is counted when it ends: that of a thread which got no CPU at all has not yet.
            if not used_or_waited and process.task_state(Path(thread)) == "R":
                used_or_waited = elapsed
            wanted = max(wanted, used_or_waited)
        return Spent(total, wanted / elapsed, ran / elapsed)

    def must_rest(self, state: str) -> None:
        """Raises Failed if one of its threads wants more than SPIN of a CPU while `state`."""
        spent = self.busy(WATCHED_S, SPIN)
        if spent.busiest > SPIN:
            raise Failed(
                f"it spins while {state}: a thread wants a CPU {100 * spent.busiest:.0f} % of the"
                f" time ({spent.cpu_s:.2f} s used in {WATCHED_S:g} s; bound {100 * SPIN:.0f} %)"
            )

    def settle(self, timeout_s: float = 5.0, quiet_s: float = 0.03) -> bool:
        """Wait until it waits: all its threads sleep, and none has run for quiet_s. False if that
        never was the case. For one that says it never waits, ROUNDS_S of CPU time do as well: it
        may sleep all the same while nobody asks, and then it uses none."""
        used = self.cpu_s()
        deadline = time.monotonic() + timeout_s
        seen = self._schedstat()
        while time.monotonic() < deadline:
            time.sleep(quiet_s)
            now = self._schedstat()
            # One that is ready to run, but was not given a CPU, has not run either.
            if now == seen and all(process.task_state(Path(task)) not in "RT" for task in now):
                return True
            if self.never_waits and self.cpu_s() >= used + ROUNDS_S:
                return True
            seen = now
        return False

    def cpu_s(self) -> float:
        """CPU time of its live threads so far, in seconds."""
        return sum(run for run, _ in self._schedstat().values()) / 1e9

    def kept_waiting(self) -> Callable[[], float]:
        """From now on: what is returned says for how many seconds other programs have kept it
        from its CPU: of its threads, the one that waited longest."""
        before = self._schedstat()

        def so_far() -> float:
            now = self._schedstat()
            waits = (wait - before.get(thread, (0, 0))[1] for thread, (_, wait) in now.items())
            return max(waits, default=0) / 1e9

        return so_far

    def _schedstat(self) -> dict[str, tuple[int, int]]:
        found = {}
        for pid in process.tree(self.server_pid):
            with contextlib.suppress(OSError):
                tasks = [
                    Path(f"/proc/{pid}/task/{name}") for name in os.listdir(f"/proc/{pid}/task")
                ]
                found.update(_times(tasks))
        return found

    # --- doing things to it ------------------------------------------------------------------

    def send_signal(self, number: int) -> None:
        """To the server itself, not to its children: ending those is its own task."""
        if self._conditions.tells_main_thread:
            _libc.tgkill(self.server_pid, self.server_pid, number)
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.server_pid, number)

    def pause(self) -> None:
        """Stop the server and its children (SIGSTOP), so that what clients do meanwhile is all
        there at once."""
        for pid in self._signal_tree(signal.SIGSTOP):
            task = Path(f"/proc/{pid}")
            if not wait_until(lambda: process.task_state(task) in "TtXZ", 5.0):
                raise Failed("the server did not stop at SIGSTOP")

    def resume(self) -> None:
        self._signal_tree(signal.SIGCONT)

    def _signal_tree(self, number: int) -> list[int]:
        self.send_signal(number)
        members = process.tree(self.server_pid)
        for pid in members[1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        return members

    def limit_descriptors(self, soft: int) -> tuple[int, int]:
        """Set RLIMIT_NOFILE of the running server and its children; returns what it was."""
        old = resource.prlimit(self.server_pid, resource.RLIMIT_NOFILE)
        self.restore_descriptors((soft, old[1]))
        return old

    def restore_descriptors(self, limits: tuple[int, int]) -> None:
        for pid in process.tree(self.server_pid):
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)

    # --- ending it ---------------------------------------------------------------------------

    def finish(self, number: int = signal.SIGTERM, told: bool = False) -> dict[str, Any]:
        """Signal it and hold it to its promises: gone in time, status 0, counters, nothing left.

        told: it got the signal already. Returns the counters. Raises Failed.
        """
        if not told and not self.alive():
            status = self.exit.status if self.exit else "?"
            raise Failed(f"the server ended by itself, status {status}: {self.gist()}")
        # Of a server that ran before, only our host of it ends.
        attached = "attached" in self.ready
        if attached or "guest" in self.ready:
            number, told = signal.SIGTERM, self._tell_host(told)
        members = [] if attached else process.tree(self.server_pid)
        bound = STOP_BOUND_S * self._conditions.patience
        start = time.monotonic()
        if not told:
            self.send_signal(number)
        self.finished = True
        # Its output is read while it ends: a full pipe must not be what keeps it.
        if self._conditions.tells_main_thread:
            self._read_output(lambda: False, bound / 4)
            if self.alive():
                self.send_signal(number)
        self._read_output(lambda: False, max(0.0, start + bound - time.monotonic()))
        ended = self.wait(max(0.1, start + bound - time.monotonic()))
        if ended is None:
            raise Failed(f"still there {bound:g} s after {signal.Signals(number).name}")
        if ended.status:
            raise Failed(
                f"exit status {ended.status} instead of 0 after "
                f"{signal.Signals(number).name}: {self.gist()}"
            )
        self._check_reports()
        counters = self._counters()
        if not wait_until(lambda: not self.group_left(), 1.0 * self._conditions.patience):
            raise Failed("the server ended, but left a process of its group behind")
        left = [pid for pid in members[1:] if Path(f"/proc/{pid}").exists()]
        if left and not wait_until(lambda: not any(map(_lives, left)), 1.0):
            raise Failed(f"the server ended, but left children behind: {left}")
        if not attached:
            self._check_port()
        return counters

    def _tell_host(self, told: bool) -> bool:
        """A guest is ended by its host, which speaks for it."""
        if not told:
            os.kill(self.pid, signal.SIGTERM)
        return True

    def _counters(self) -> dict[str, Any]:
        text = self._text.decode(errors="replace")
        lines = text.strip().splitlines()
        if len(lines) != 1:
            raise Failed(f"wanted one line of counters on stdout at the end, got {text[:300]!r}")
        try:
            said = shape.parse(lines[0])
        except ValueError:
            raise Failed(f"the counters are not JSON: {lines[0][:300]!r}") from None
        for name in () if "guest" in self.ready else COUNTERS:
            value = said.get(name) if isinstance(said, dict) else None
            if not isinstance(value, int) or value < 0:
                raise Failed(f"counter {name!r} is {value!r}, not a count: {lines[0][:300]}")
        if said.get("model") != self.ready.get("model"):
            raise Failed(f"counters of model {said.get('model')!r}, not {self.ready['model']!r}")
        assert isinstance(said, dict)
        return said

    def _check_reports(self) -> None:
        text = self.errors()
        for mark in REPORTS:
            if mark in text:
                raise Failed(f"{mark} reported: {self.gist()}")

    def _check_port(self) -> None:
        """Nobody listens any more. (To bind it would fail for a stranger's connection from
        there.)"""
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.settimeout(1.0)
            try:
                probe.connect(("127.0.0.1", self.port))
            except ConnectionRefusedError:
                return
            except OSError as error:
                raise Failed(f"port {self.port} is not free after the end: {error}") from None
        raise Failed(f"port {self.port} is still listened on after the end")

    def gist(self) -> str:
        """The part of stderr that tells most: a report's first lines, or the end."""
        text = self.errors()
        marks = [at for at in (text.find(mark) for mark in REPORTS) if at >= 0]
        if marks:
            return text[max(0, min(marks) - 60) :][:1500].strip()
        return text.strip()[-500:] or "nothing on stderr"


def _times(tasks: Sequence[Path]) -> dict[str, tuple[int, int]]:
    """Per thread: time it ran and time it waited for a CPU, in ns."""
    found = {}
    for task in tasks:
        with contextlib.suppress(OSError, ValueError):
            run, wait, _ = (task / "schedstat").read_text(encoding="ascii").split()
            found[str(task)] = int(run), int(wait)
    return found


def _lives(pid: int) -> bool:
    """Exists, and is not merely waiting to be reaped by init."""
    return process.task_state(Path(f"/proc/{pid}")) not in "ZX"
