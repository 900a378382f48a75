# SPDX-License-Identifier: MIT
"""Running foreign code within bounds: what it may use, what it may touch, and that it ends.

run() forks. The child is shut in, as far as this machine allows (isolation.py, cgroup.py), and
calls a function of ours, which starts the foreign code. The function is the first process of its
PID namespace: when it ends or is killed, the kernel kills everything in there, whatever session or
group that has fled to. Where there are no namespaces, the child adopts all orphans and kills them.
"""
from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import select
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from harness.conformance.grading import cgroup, isolation
from harness.measure import process

# Users that nobody has: systemd's manual of UIDs leaves this range free.
_FIRST_UID = 1_900_000_000
_KEPT = ("LANG", "LC_ALL", "TZ")  # of the environment: nothing that could be a secret
_MOST_ANSWER = 1 << 24  # bytes of JSON
CPU_SLACK_S = 5
_GUARD_S = 5.0
_LOOK_S = 0.2
LAST_S = 2.0


@dataclass(frozen=True)
class Bounds:
    """seconds: of wall-clock time, after which it is killed; processes: threads count too;
    memory_bytes: with what the kernel keeps for it; file_bytes: the largest file it may write."""

    seconds: float = 30.0
    processes: int = 2_048
    memory_bytes: int = 512 << 20
    file_bytes: int = 4 << 20


@dataclass(frozen=True)
class Means:
    """What this machine allows. namespaces: flags for unshare(2), 0 for none; own_user: another
    uid; controllers: of the control group; missing: what is not held, in words."""

    namespaces: int
    own_user: bool
    controllers: tuple[str, ...]
    missing: tuple[str, ...] = ()

    @property
    def held(self) -> tuple[str, ...]:
        """What is held, in words."""
        spaces = ("own processes", "own network", "own files") if self.namespaces else ()
        groups = {"pids": "a bound on processes", "memory": "on memory", "cpu": "a share of CPU"}
        user = ("own user",) if self.own_user else ()
        return (*user, *spaces, *(groups[c] for c in groups if c in self.controllers))


@dataclass(frozen=True)
class Ended:
    """What came of it. answer: what the function returned, None if it did not get that far;
    exceeded: the bounds that were met ("time", "processes", "memory"); left: how many processes
    the foreign code had left behind."""

    answer: Any
    exceeded: tuple[str, ...]
    left: int
    seconds: float
    fault: str = field(default="")


def run(
    body: Callable[[], Any],
    bounds: Bounds,
    means: Means,
    stage: Path,
    readable: Sequence[Path] = (),
    writable: Sequence[Path] = (),
) -> Ended:
    """Call body() shut in, and give back what it returns (it must be fit for JSON).

    stage: an empty directory to put the new root on. readable, writable: directories that it sees
    besides the system's; those it writes to must be its user's (own()).
    """
    start = time.monotonic()
    name = cgroup.name(str(time.monotonic_ns()))
    group = cgroup.make(name, bounds.processes, bounds.memory_bytes) if means.controllers else None
    ours, theirs = os.pipe()
    cell = _Cell(body, bounds, means, stage, tuple(readable), tuple(writable), group, theirs, uid())
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, process.INTERRUPTIONS)
    pid = os.fork()
    if pid == 0:
        os.close(ours)
        _first(cell)
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        os.close(theirs)
        text, in_time = _read(ours, start + bounds.seconds, group)
    finally:
        os.close(ours)
        _end(pid)
        exceeded = group.exceeded() if group else []
        if group:
            group.remove()
    said = _parse(text)
    exceeded += [] if in_time else ["time"]
    return Ended(
        said.get("answer"),
        tuple(exceeded),
        int(said.get("left", 0)),
        time.monotonic() - start,
        str(said.get("fault", "")),
    )


def means(stage: Path) -> Means:
    """What this machine allows, found by trying it; stage: an empty directory."""
    root = os.geteuid() == 0
    cgroup.remove_stale()
    group = cgroup.make(cgroup.name("try"), 64, 64 << 20)
    controllers = tuple(group.names) if group else ()
    if group:
        group.remove()
    spaces = isolation.NAMESPACES
    for flags in (spaces, spaces | isolation.CLONE_NEWUSER, 0):
        found = Means(flags, root and not flags & isolation.CLONE_NEWUSER, controllers)
        tried = run(lambda: True, Bounds(seconds=10), found, stage)
        if tried.answer:
            break
    wanted = Means(spaces, True, cgroup.CONTROLLERS).held
    return dataclasses.replace(found, missing=tuple(w for w in wanted if w not in found.held))


def own(path: Path, means: Means) -> None:
    """Give a directory to the user that foreign code runs as."""
    if means.own_user:
        os.chown(path, uid(), uid())


def uid() -> int:
    """The user of foreign code that this process starts: nobody else's."""
    return _FIRST_UID + os.getpid()


def _end(guard: int) -> None:
    """Kill what is shut in; its guard then ends what is left, and itself."""
    for inner in process.tree(guard)[1:]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(inner, signal.SIGKILL)
    pidfd = os.pidfd_open(guard)
    try:
        if not select.select([pidfd], [], [], _GUARD_S)[0]:
            os.kill(guard, signal.SIGKILL)
        os.waitpid(guard, 0)
    finally:
        os.close(pidfd)


def _read(descriptor: int, deadline: float, group: cgroup.Group | None) -> tuple[bytes, bool]:
    """All that comes, and whether its end came in time. One that has met a bound of its group is
    given LAST_S seconds to say so."""
    got, met = b"", False
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([descriptor], [], [], min(left, _LOOK_S))[0]:
            if group and not met and group.exceeded():
                met, deadline = True, min(deadline, time.monotonic() + LAST_S)
            continue
        chunk = os.read(descriptor, 1 << 16)
        if not chunk:
            return got, True
        got += chunk
        if len(got) > _MOST_ANSWER:
            break
    return got, met


def _parse(text: bytes) -> dict[str, Any]:
    with contextlib.suppress(ValueError):
        said = json.loads(text)
        if isinstance(said, dict):
            return said
    return {}


# --- in the child --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Cell:
    """What run() was given, as the child needs it; pipe: where the answer goes."""

    body: Callable[[], Any]
    bounds: Bounds
    means: Means
    stage: Path
    readable: Sequence[Path]
    writable: Sequence[Path]
    group: cgroup.Group | None
    pipe: int
    user: int


def _first(cell: _Cell) -> NoReturn:
    """The forked child, the guard: enters group and namespaces, forks the process that is shut in,
    and sees to it that nothing of that remains."""
    try:
        isolation.die_with_parent(signal.SIGKILL)
        os.setpgid(0, 0)  # Ctrl-C in the terminal is for the parent
        for number in process.INTERRUPTIONS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        for path in cell.group.procs if cell.group else ():
            path.write_text("0", "ascii")
        isolation.adopt_orphans()
        if cell.means.namespaces:
            isolation.unshare(cell.means.namespaces, os.getuid(), os.getgid())
        pid = os.fork()
        if pid == 0:
            _inside(cell)
        os.close(cell.pipe)
        os.waitpid(pid, 0)
        _sweep()
        os._exit(0)
    except BaseException as error:  # pylint: disable=broad-except
        _tell(cell.pipe, {"fault": f"{type(error).__name__}: {error}"})
        os._exit(1)


def _inside(cell: _Cell) -> NoReturn:
    """Shut in, call the function, say what came of it, and end what it left."""
    bounds, means = cell.bounds, cell.means
    said: dict[str, Any]
    try:
        if means.namespaces:
            isolation.loopback_up()
            isolation.small_root(cell.stage, cell.readable, cell.writable)
        isolation.adopt_orphans()
        if means.own_user:
            isolation.become(cell.user)
        isolation.harden()
        isolation.die_with_parent(signal.SIGKILL)  # a change of user had cleared it
        counted_apart = means.own_user or means.namespaces & isolation.CLONE_NEWUSER
        # The control group counts what meets its bound; the limit is the net below it.
        most = 2 * bounds.processes if "pids" in means.controllers else bounds.processes
        most += 0 if counted_apart else _mine()
        isolation.limit(int(bounds.seconds) + CPU_SLACK_S, bounds.file_bytes, most)
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        os.environ.clear()
        os.environ.update(kept, PATH="/usr/local/bin:/usr/bin:/bin", HOME="/tmp", TMPDIR="/tmp")
        said = {"answer": cell.body()}
    except BaseException as error:  # pylint: disable=broad-except
        said = {"fault": f"{type(error).__name__}: {error}"}
    said["left"] = _sweep()
    _tell(cell.pipe, said)
    os._exit(0)


def _mine() -> int:
    """How many threads this user has already: the limit counts them too."""
    count = 0
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and entry.stat().st_uid == os.getuid():
                count += len(os.listdir(entry / "task"))
    return count


def _tell(pipe: int, said: Any) -> None:
    data = json.dumps(said).encode()
    with contextlib.suppress(OSError):
        while data:
            data = data[os.write(pipe, data) :]


def _sweep() -> int:
    """End what is left of the foreign code; how many there were."""
    left: set[int] = set()
    deadline = time.monotonic() + 2.0
    while True:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        found = [pid for pid in process.tree(os.getpid())[1:] if _lives(pid)]
        if not found or time.monotonic() > deadline:
            return len(left)
        left.update(found)
        for pid in found:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.002)


def _lives(pid: int) -> bool:
    return process.task_state(Path(f"/proc/{pid}")) not in "ZX"
