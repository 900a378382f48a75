# SPDX-License-Identifier: MIT
"""Running foreign code within bounds: what it may use, what it may touch, and that it ends.

run() forks. The child is shut in, as far as this machine allows (isolation.py, cgroup.py), and
calls a function of ours, which starts the foreign code. The function is the first process of its
PID namespace: when it ends or is killed, the kernel kills everything in there, whatever session or
group that has fled to. Where there are no namespaces, the child adopts all orphans and kills them,
and Landlock keeps files from the foreign code. Where there is no control group, run() looks after
processes and memory itself (watch.py).
"""
from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
import select
import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from harness.conformance.grading import cgroup, isolation, watch
from harness.measure import process

# Users that nobody has: systemd's manual of UIDs leaves this range free.
_FIRST_UID = 1_900_000_000
_KEPT = ("LANG", "LC_ALL", "TZ")  # of the environment: nothing that could be a secret
_MOST_ANSWER = 1 << 24  # bytes of JSON
CPU_SLACK_S = 5
_SWEEP_S = 20.0  # for a fork bomb without namespaces on a busy machine; else a moment
_GUARD_S = 30.0
_LOOK_S = 0.2
LAST_S = 2.0
_NICE = 19  # where nothing bounds a share, two thousand processes are to leave one to the grader
# Settings that keep user namespaces from users: the value that does, and one that does not.
_USERNS = {
    "kernel.apparmor_restrict_unprivileged_userns": ("1", "0"),
    "kernel.unprivileged_userns_clone": ("0", "1"),
    "user.max_user_namespaces": ("0", "10000"),
}


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
    uid; controllers: of the control group; missing: what is not held, in words; landlock: files are
    kept from it without a namespace."""

    namespaces: int
    own_user: bool
    controllers: tuple[str, ...]
    missing: tuple[str, ...] = ()
    landlock: bool = False

    @property
    def held(self) -> tuple[str, ...]:
        """What is held, in words."""
        spaces = ("own processes", "own network") if self.namespaces else ()
        spaces += ("own files",) if self.namespaces or self.landlock else ()
        user = ("own user",) if self.own_user else ()
        # Of processes and memory somebody looks after where no control group does (watch.py).
        share = ("a share of CPU",) if "cpu" in self.controllers else ()
        return (*user, *spaces, "a bound on processes", "a bound on memory", *share)


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
    exceeded = _bounds_met(group, bounds, pid)
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        os.close(theirs)
        text, in_time = _read(ours, start + bounds.seconds, exceeded)
    finally:
        os.close(ours)
        _end(pid)
        met = exceeded()
        if group:
            group.remove()
    said = _parse(text)
    met += [] if in_time else ["time"]
    return Ended(
        said.get("answer"),
        tuple(met),
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
    found = Means(0, False, ())
    ways = [(spaces, False), (spaces | isolation.CLONE_NEWUSER, False), (0, True), (0, False)]
    # A group that can be made need not be one that can be entered.
    for groups, (flags, landlock) in itertools.product(dict.fromkeys((controllers, ())), ways):
        user = root and not flags & isolation.CLONE_NEWUSER
        trial = Means(flags, user, groups, landlock=landlock)
        if run(lambda: True, Bounds(seconds=10), trial, stage).answer:
            found = trial
            break
    wanted = Means(spaces, True, cgroup.CONTROLLERS).held
    return dataclasses.replace(found, missing=tuple(w for w in wanted if w not in found.held))


def remedy(means: Means) -> str:
    """What the teacher can do about what is missing, in a sentence; '' where nothing is."""
    if not means.missing:
        return ""
    for name, (keeps, gives) in _USERNS.items() if not means.namespaces else ():
        with contextlib.suppress(OSError):
            if Path("/proc/sys", *name.split(".")).read_text("ascii").strip() == keeps:
                return f"sysctl {name}={gives} gives users namespaces; root has all of it"
    return "root on a machine or a virtual machine of its own has all of it"


def own(path: Path, means: Means) -> None:
    """Give a directory to the user that foreign code runs as."""
    if means.own_user:
        os.chown(path, uid(), uid())


def uid() -> int:
    """The user of foreign code that this process starts: nobody else's."""
    return _FIRST_UID + os.getpid()


def _end(guard: int) -> None:
    """Kill what is shut in; its guard then ends what is left, and itself."""
    with contextlib.suppress(OSError, ValueError):
        for inner in Path(f"/proc/{guard}/task/{guard}/children").read_text("ascii").split():
            os.kill(int(inner), signal.SIGKILL)
    pidfd = os.pidfd_open(guard)
    try:
        if not select.select([pidfd], [], [], _GUARD_S)[0]:
            os.kill(guard, signal.SIGKILL)
        os.waitpid(guard, 0)
    finally:
        os.close(pidfd)


def _bounds_met(group: cgroup.Group | None, bounds: Bounds, guard: int) -> Callable[[], list[str]]:
    """A function that says which bounds were met: the group's, and those it does not hold."""
    have = group.names if group else []
    processes = 0 if "pids" in have else bounds.processes
    look = watch.Watch(guard, processes, 0 if "memory" in have else bounds.memory_bytes)
    return lambda: [*(group.exceeded() if group else ()), *look.exceeded()]


def _read(
    descriptor: int, deadline: float, exceeded: Callable[[], list[str]]
) -> tuple[bytes, bool]:
    """All that comes, and whether its end came in time. One that has met another bound is given
    LAST_S seconds to say so."""
    got, met, look = b"", False, 0.0
    while (left := deadline - time.monotonic()) > 0:
        if time.monotonic() >= look:
            if not met and exceeded():
                met, deadline = True, min(deadline, time.monotonic() + LAST_S)
            look = time.monotonic() + _LOOK_S
        if not select.select([descriptor], [], [], min(left, _LOOK_S))[0]:
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
    os.umask(0o022)  # the user it becomes must read what is made here, whatever the teacher's is
    try:
        if means.namespaces:
            isolation.loopback_up()
            isolation.small_root(cell.stage, cell.readable, cell.writable)
        isolation.adopt_orphans()
        place = cell.stage if means.landlock else Path("/tmp")
        if means.own_user:
            if means.landlock:
                os.chown(place, cell.user, cell.user)
            isolation.become(cell.user)
        elif means.namespaces:
            isolation.drop_capabilities()
        isolation.harden()
        if means.landlock:
            isolation.confine(cell.readable, [place, *cell.writable])
        isolation.die_with_parent(signal.SIGKILL)  # a change of user had cleared it
        counted_apart = means.own_user or means.namespaces & isolation.CLONE_NEWUSER
        # The control group counts what meets its bound; the limit is the net below it.
        most = 2 * bounds.processes if "pids" in means.controllers else bounds.processes
        most += 0 if counted_apart else _mine()
        isolation.limit(int(bounds.seconds) + CPU_SLACK_S, bounds.file_bytes, most)
        if "cpu" not in means.controllers:
            os.nice(_NICE)
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        os.environ.clear()
        os.environ.update(kept, PATH="/usr/local/bin:/usr/bin:/bin")
        os.environ.update(HOME=str(place), TMPDIR=str(place))
        tempfile.tempdir = None  # what it was outside
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
    deadline = time.monotonic() + _SWEEP_S
    while True:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        found = [pid for pid in process.tree(os.getpid())[1:] if _lives(pid)]
        if not found or time.monotonic() > deadline:
            return len(left)
        # Stopped first: what makes others makes no more, and holds the places they could take.
        number = signal.SIGKILL if left.issuperset(found) else signal.SIGSTOP
        left.update(found)
        for pid in found:
            with contextlib.suppress(OSError):
                os.kill(pid, number)
        time.sleep(0.002)


def _lives(pid: int) -> bool:
    return process.task_state(Path(f"/proc/{pid}")) not in "ZX"
