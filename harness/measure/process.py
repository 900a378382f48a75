# SPDX-License-Identifier: MIT
"""Child processes that cannot outlive the harness: servers and the load generator.

Each starts in a process group of its own (so that Ctrl-C in the terminal reaches the harness alone,
and a whole tree ends with one killpg) and asks the kernel to be killed when the harness dies
(PR_SET_PDEATHSIG). A context manager ends them on every way out.
"""
from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import resource
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness import shape
from harness.errors import HOST_ERRNOS, host_fault

INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
READY_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 5.0
# A server that closes 10,000 connections on a busy machine takes longer. As long as it works at it,
# which its CPU clock tells, it has so much time in all.
STOP_AT_WORK_S = 60.0
EXIT_CANNOT_RUN_HERE = 77
KILLED = 128 + signal.SIGKILL
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class ProcessError(Exception):
    """A child did not do what was agreed; the text is fit for a cell's reason.

    host_fault: it is the machine that failed (out of memory, of descriptors, of disk), and not the
    program.
    """

    def __init__(self, text: str, host_fault: bool = False) -> None:
        super().__init__(text)
        self.host_fault = host_fault


class CannotRunHere(ProcessError):
    """The server says that this machine cannot run it (exit status 77)."""


@dataclass(frozen=True)
class Exit:
    """How a child ended: status as in a shell (128 + signal), and its rusage, reaped children
    included (wait4)."""

    status: int
    user_s: float
    system_s: float
    context_switches: int

    def is_host_fault(self, complaint: str) -> bool:
        """Whether the machine ended it: what it said last (`complaint`) names something that the
        machine ran out of, or it was killed. Nobody here kills a child before its end is read, so
        it was the kernel, for want of memory, or somebody at the keyboard."""
        return self.status == KILLED or (self.status != 0 and bool(host_fault(complaint)))

    def words(self, complaint: str) -> str:
        """ "exit 1: its last line" for people."""
        if self.status == KILLED:
            return "killed (signal 9), by the kernel for want of memory or by somebody"
        return f"exit {self.status}: {complaint}"


def parse_ready(line: str) -> dict[str, str]:
    """The words of a server's `ready model=NAME port=N pid=N`; ValueError where it is not one."""
    words = dict(word.partition("=")[::2] for word in line.split())
    numbers = words.get("port", ""), words.get("pid", "")
    right = all(n.isascii() and n.isdigit() for n in numbers) and int(numbers[0]) < 65536
    if not line.startswith("ready ") or not right:
        raise ValueError(f"not a ready line ('ready model=NAME port=N pid=N'): {line[:200]!r}")
    return words


def tree(pid: int) -> list[int]:
    """pid and all its descendants that live now, by /proc/PID/task/TID/children. Processes and
    threads may begin and end while it is read."""
    found, queue = [], [pid]
    while queue:
        current = queue.pop()
        found.append(current)
        with contextlib.suppress(OSError):  # the process may end while its tasks are listed,
            for task in os.listdir(f"/proc/{current}/task"):
                children = Path(f"/proc/{current}/task/{task}/children")
                with contextlib.suppress(OSError):  # and a task before it is read
                    queue.extend(map(int, children.read_text(encoding="ascii").split()))
    return found


def task_state(task: Path) -> str:
    """The letter of /proc/PID/stat, or of a thread's; X if it is gone."""
    try:
        stat = (task / "stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return "X"
    return stat.rpartition(")")[2].split()[0]


def clock_s(pid: int) -> float:
    """CPU time of a process and all its threads, in seconds; 0 when it is gone."""
    try:
        return time.clock_gettime(~pid << 3 | 2)  # what clock_getcpuclockid(3) returns
    except OSError:
        return 0.0


class Child:
    """A running child in its own process group. stderr is kept in a file of its own."""

    def __init__(
        self,
        argv: Sequence[str],
        cpus: Iterable[int] = (),
        pass_fds: Sequence[int] = (),
        stdout: int | None = subprocess.DEVNULL,
        join: Sequence[Path] = (),
    ) -> None:
        """join: cgroup.procs files that the child enters before it becomes the program.

        Raises ProcessError when the program cannot be started, OSError when something runs out.
        """
        parent = os.getpid()
        cpu_set = set(cpus)
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._stderr = tempfile.TemporaryFile()  # pylint: disable=consider-using-with

        def prepare() -> None:
            # Runs between fork and exec; the harness has no other threads.
            signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(127)
            for path in join:
                with open(path, "w", encoding="ascii") as procs:
                    procs.write("0")
            if cpu_set:
                os.sched_setaffinity(0, cpu_set)
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

        # Python drops an exception that a signal raises in its hooks around fork(2): no signal
        # then.
        unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTIONS)
        try:
            self._popen = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=self._stderr,
                pass_fds=tuple(pass_fds),
                process_group=0,
                preexec_fn=prepare,
            )
        except (OSError, subprocess.SubprocessError) as error:
            signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
            self._stderr.close()
            # SubprocessError: what `prepare` does failed, in which the program has no part.
            lacking = not isinstance(error, OSError) or error.errno in HOST_ERRNOS | {errno.EAGAIN}
            raise ProcessError(f"{argv[0]}: cannot start: {error}", lacking) from None
        self.argv = list(argv)
        self.pid = self._popen.pid
        try:
            self.pidfd = os.pidfd_open(self.pid)
        except OSError:
            self._popen.kill()
            self._popen.wait()
            self._stderr.close()
            signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
            raise
        self.exit: Exit | None = None
        try:
            signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def signal(self, number: int) -> None:
        """Send a signal to the whole group; it may be gone already."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def wait(self, timeout_s: float) -> Exit | None:
        """Reap the child; None when it still runs after timeout_s."""
        if self.exit is None and select.select([self.pidfd], [], [], max(0.0, timeout_s))[0]:
            _, status, usage = os.wait4(self.pid, 0)
            code = os.waitstatus_to_exitcode(status)
            self._popen.returncode = code
            self.exit = Exit(
                128 - code if code < 0 else code,
                usage.ru_utime,
                usage.ru_stime,
                usage.ru_nvcsw + usage.ru_nivcsw,
            )
        return self.exit

    def group_left(self) -> bool:
        """Whether some process of the group still exists after the child itself was reaped."""
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    def stderr_tail(self, most: int = 300) -> str:
        """The last non-empty line of stderr, cut to `most` characters; '' if there is none."""
        size = os.fstat(self._stderr.fileno()).st_size
        text = os.pread(self._stderr.fileno(), 4096, max(0, size - 4096)).decode(errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return lines[-1][:most] if lines else ""

    def close(self) -> None:
        """Kill whatever is left of the group and release everything. Safe to call twice."""
        if self._stderr.closed:
            return
        # Before the leader is reaped its number cannot be another group's; after that, the group
        # may live on in its children, and then the number is still taken.
        self.signal(signal.SIGKILL)
        if self.exit is None:
            self.wait(STOP_TIMEOUT_S)
        if self._popen.stdout is not None:
            self._popen.stdout.close()
        os.close(self.pidfd)
        self._stderr.close()

    def cpu_s(self) -> float:
        """CPU time of the process and all its threads so far, in seconds; 0 when it is gone."""
        return clock_s(self.pid)


class Server(Child):
    """A server model that has said `ready`. Use as a context manager; stop() gives its counters."""

    def __init__(
        self, argv: Sequence[str], cpus: Iterable[int] = (), join: Sequence[Path] = ()
    ) -> None:
        super().__init__(argv, cpus, stdout=subprocess.PIPE, join=join)
        assert self._popen.stdout is not None
        self._out = self._popen.stdout.fileno()
        self._text = b""
        self._told = False
        self.left_behind = False
        # Of a guest, of which the child that we started is only the host.
        self.server_pid = self.pid
        self.url = ""  # where it is not PROTOCOL://127.0.0.1:PORT
        self.attached = False  # it ran before, and goes on
        self.unseen = False  # and which process it is, is not known: server_pid is its host's
        try:
            self.port = self._await_ready()
        except BaseException:
            self.close()
            raise

    def _await_ready(self) -> int:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while b"\n" not in self._text:
            left = deadline - time.monotonic()
            if left <= 0:
                raise ProcessError(f"server: no ready line within {READY_TIMEOUT_S:g} s")
            if not select.select([self._out], [], [], left)[0]:
                continue
            chunk = os.read(self._out, 65536)
            if not chunk:
                raise self._did_not_start()
            self._text += chunk
        line, _, self._text = self._text.partition(b"\n")
        try:
            words = parse_ready(line.decode(errors="replace"))
            self.server_pid = int(words["pid"])
            self.url = words.get("url", "")
            self.attached = "attached" in words
            self.unseen = "unseen" in words
            return int(words["port"])
        except ValueError as error:
            raise ProcessError(f"server: {error}") from None

    def _did_not_start(self) -> ProcessError:
        ended, complaint = self.wait(STOP_TIMEOUT_S), self.stderr_tail()
        if ended is None:
            return ProcessError(f"server did not start: closed its output: {complaint}")
        if ended.status == EXIT_CANNOT_RUN_HERE:
            return CannotRunHere(complaint or f"exit status {EXIT_CANNOT_RUN_HERE}")
        text = f"server did not start: {ended.words(complaint)}"
        return ProcessError(text, ended.is_host_fault(complaint))

    def cpu_s(self) -> float:
        """As Child's; of a guest, that of the server itself and not of its host."""
        return clock_s(self.server_pid)

    def terminate(self) -> None:
        """Tell it to stop, and do not wait: so several stop at the same time."""
        if self.exit is None and not self._told:  # once reaped, the number may be another's
            self._told = True
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)

    def stop(self) -> dict[str, Any]:
        """SIGTERM, then the counters it prints. Raises ProcessError if it does not end properly."""
        # The model ends its own children: the contract says so, and doing it here would hide a
        # server that does not.
        self.terminate()
        began = time.monotonic()
        deadline, used = began + STOP_TIMEOUT_S, self.cpu_s()
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self._out], [], [], left)[0]:
                chunk = os.read(self._out, 65536)
                if not chunk:
                    break
                self._text += chunk
            elif self.cpu_s() > used and time.monotonic() < began + STOP_AT_WORK_S:
                deadline, used = time.monotonic() + STOP_TIMEOUT_S, self.cpu_s()
        ended = self.wait(max(0.1, deadline - time.monotonic()))
        if ended is None:
            waited = time.monotonic() - began
            raise ProcessError(f"server did not stop within {waited:.0f} s of SIGTERM")
        self.left_behind = self.group_left()
        if ended.status != 0:
            complaint = self.stderr_tail()
            text = f"server ended with status {ended.status}: {complaint}"
            if ended.status == KILLED:
                text = f"server was {ended.words(complaint)}"
            raise ProcessError(text, ended.is_host_fault(complaint))
        try:
            counters = shape.parse(self._text.decode().strip().splitlines()[-1])
            if not isinstance(counters, dict):
                raise ValueError("not an object")
        except (ValueError, IndexError):
            raise ProcessError("server printed no counters at the end") from None
        return counters
