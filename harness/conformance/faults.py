# SPDX-License-Identifier: MIT
"""Faults below the server: each system call it makes fails, or is cut short, in its turn.

Most are injected with strace into the running server; what strace cannot do is done by the two
LD_PRELOAD shims in tests/faults: transfers of a few bytes, and requests of io_uring, which are no
system calls. A fault counts as tried only if it was seen to happen; a model that never makes the
call is n/a.

A fault is named by what the call is for, because models make different calls for the same purpose.
"""
from __future__ import annotations

import contextlib
import dataclasses
import errno
import functools
import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.measure import process
from harness.conformance.core import Case
from harness.conformance.outcome import Failed, NotApplicable
from harness.conformance.subject import DidNotStart, Subject, wait_until
from harness.conformance.trial import Trial
from harness.errors import SetupError
from harness.paths import ROOT, build_dir

SHIMS = ROOT / "tests" / "faults"
BULK = 150_000
DYING_S = 0.3  # from the first sign of its end to the end
TIMEOUT_S = 4.0  # for one answer
EDGE_S = 0.5  # for one that must come by an edge: after that, a server at rest was told of none
ENOUGH = 4  # clients lost: more would only take time
PROTOCOLS = ("http", "rot13", "echo")  # the first of these that a model speaks

# What each call is for. "?" lets strace pass over what this machine does not have.
CALLS = {
    "accept": ("accept", "accept4"),
    "receive": ("recvfrom", "recvmsg", "read", "readv"),
    "send": ("sendto", "sendmsg", "write", "writev"),
    "wait": (
        *("select", "pselect6", "poll", "ppoll", "epoll_wait", "epoll_pwait", "epoll_pwait2"),
        *("rt_sigtimedwait", "io_uring_enter", "io_getevents", "io_pgetevents"),
    ),
    "register": ("epoll_ctl",),
    "start_task": ("clone", "clone3", "fork", "vfork"),
    "allocate": ("mmap", "mremap"),
    "signal_itself": ("rt_sigqueueinfo", "tgkill"),
    "socket": ("socket",),
    "bind": ("bind",),
    "listen": ("listen",),
    "set_option": ("setsockopt",),
    "make_queue": ("epoll_create", "epoll_create1", "io_uring_setup", "io_setup"),
}
URING = {"accept": "accept", "receive": "recv", "send": "send"}

UNSEEN = "no client may notice"
ONE_PEER = "clients it hits may be lost; the server and all later clients may not"
OWN = "it goes on, or ends with exit status 1 and a line that names the call"
START = "it ends at once: exit status 1 (or 77) and a line that names the call"
OWED = "edge-triggered: after EAGAIN the kernel owes it an edge"

# Names under which a message may speak of a call.
ALIASES = {
    "pselect6": "select",
    "accept4": "accept",
    "ppoll": "poll",
    "rt_sigtimedwait": "sigwait|sigtimedwait",
    "clone": "fork|pthread_create|clone",
    "clone3": "fork|pthread_create|clone",
    "io_uring_setup": "io_uring",
}


@dataclass(frozen=True)
class Fault:
    """Some of the calls for `purpose` fail with `error`."""

    purpose: str
    error: str
    expect: str
    why: str

    @property
    def name(self) -> str:
        return f"{self.purpose}_{self.error}"

    @property
    def when(self) -> str:
        """Which of the calls of a thread, in strace's syntax: every second one, and none after the
        last of them, so that strace does not let go of the server in the middle of a fault (the
        call that it was about to replace would fail with ENOSYS). Few of those that an idle server
        is always in, for that reason."""
        if self.expect == START:
            return "1+"
        if self.expect == OWN:
            return "2"
        return {"accept": "1..5+2", "wait": "1..9+2"}.get(self.purpose, "1..39+2")


def _table() -> list[Fault]:
    again = "The call was not made. Make it again."
    queued = "The client stays in the backlog. Stop accepting for a moment, then go on."
    peer = "This connection is broken. Close it, and it alone."
    rows = [
        Fault("accept", "EINTR", UNSEEN, again),
        Fault("accept", "EAGAIN", UNSEEN, "The client has gone, or another took it. Wait again."),
        Fault("accept", "ECONNABORTED", UNSEEN, "The client gave up in the backlog. Go on."),
        Fault("accept", "EPROTO", UNSEEN, "As ECONNABORTED, on some networks."),
        *(Fault("accept", e, UNSEEN, queued) for e in ("EMFILE", "ENFILE", "ENOBUFS", "ENOMEM")),
        Fault("accept", "EBADF", OWN, "The listening socket is gone: nothing can be served."),
        Fault("receive", "EINTR", UNSEEN, again),
        Fault("receive", "EAGAIN", UNSEEN, "A false alarm. Wait again."),
        *(Fault("receive", e, ONE_PEER, peer) for e in ("ECONNRESET", "ETIMEDOUT", "ENOMEM")),
        Fault("send", "EINTR", UNSEEN, again),
        Fault("send", "EAGAIN", UNSEEN, "The send buffer is full. Wait until it can be written."),
        *(Fault("send", e, ONE_PEER, peer) for e in ("EPIPE", "ECONNRESET", "ENOBUFS", "ENOMEM")),
        Fault("wait", "EINTR", UNSEEN, again),
        Fault("wait", "EINVAL", OWN, "This is a mistake of the program's own."),
        Fault("register", "ENOSPC", ONE_PEER, "No more can be watched (max_user_watches)."),
        Fault("register", "ENOMEM", ONE_PEER, "As ENOSPC."),
        Fault(
            "start_task", "EAGAIN", ONE_PEER, "No more processes or threads. Turn this one away."
        ),
        Fault("start_task", "ENOMEM", ONE_PEER, "As EAGAIN."),
        Fault("allocate", "ENOMEM", ONE_PEER, "No memory for this client. Turn it away."),
        Fault("signal_itself", "EAGAIN", ONE_PEER, "The queue of signals is full (ulimit -i)."),
    ]
    starts = {
        "socket": ("EMFILE", "ENFILE", "ENOBUFS"),
        "set_option": ("ENOPROTOOPT",),
        "bind": ("EACCES", "EADDRINUSE"),
        "listen": ("EADDRINUSE",),
        "make_queue": ("EMFILE", "ENOMEM"),
    }
    for purpose, errors in starts.items():
        for error in errors:
            rows.append(Fault(purpose, error, START, "Nothing can be served without it."))
    return rows


def discover() -> Sequence[Case]:
    """Every fault as a case, for the runner and the matrix."""
    return [_case(fault) for fault in _table()] + [
        Case("receive_short", _receives_little, PROTOCOLS, True, False, False, 60.0),
        Case("send_short", _sends_little, PROTOCOLS, True, False, False, 60.0),
    ]


def missing() -> str:
    """What this machine lacks for faults, or ''."""
    if not shutil.which("strace"):
        return "strace is not installed"
    done = subprocess.run(
        ["strace", "-f", "-qq", "-e", "inject=getppid:error=EPERM", "true"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        return f"strace cannot trace here: {done.stderr.strip()[:200]}"
    return ""


def _case(fault: Fault) -> Case:
    def body(t: Trial) -> None:
        _inject(t, fault)

    calls = ", ".join(CALLS[fault.purpose])
    body.__doc__ = f"{fault.error} from {calls}: {fault.expect}.\n\n{fault.why}"
    return Case(fault.name, body, PROTOCOLS, True, False, False, 60.0)


# --- strace ----------------------------------------------------------------------------------


def _inject(t: Trial, fault: Fault) -> None:
    t.timeout_s = TIMEOUT_S * t.conditions.patience
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "strace.log"
        if fault.expect == START:
            _at_start(t, fault, log)
            return
        subject = t.start()
        with _strace(subject, fault, log):
            owed = (
                (fault.error, fault.expect) == ("EAGAIN", UNSEEN)
                and _is_owed_an_edge(t, subject, fault.purpose)
                and _injected(log) > 0
            )
            lost = [] if owed else _traffic(t, subject)
        if owed:
            raise NotApplicable(OWED)
        tried = _injected(log)
        if not tried and fault.purpose in URING and _uses_uring(t):
            lost, tried, subject = _through_the_ring(t, subject, fault)
        if not tried:
            raise NotApplicable(
                f"makes no call to {fault.purpose.replace('_', ' ')} while it serves"
            )
        if lost and fault.error == "EAGAIN" and _is_told_of_changes(log):
            raise NotApplicable(OWED)
        _judge(t, subject, fault, lost, tried)


def _judge(t: Trial, subject: Subject, fault: Fault, lost: list[str], tried: int) -> None:
    # What clients notice may be the first sign of its end.
    ended = subject.wait(DYING_S if lost else 0)
    unserved: Failed | None = None
    if ended is None:
        if lost and fault.expect == UNSEEN:
            raise Failed(f"{len(lost)} clients noticed (after {tried} faults): {lost[0]}")
        try:
            for i in range(3):
                t.probe(subject, f"when the faults were over, client {i + 1}")
        except Failed as failed:
            unserved, ended = failed, subject.wait(DYING_S)
    if ended is not None:
        aborts = fault.purpose == "register" and t.model.describe.get("library_aborts")
        if fault.expect != OWN and not aborts:
            raise Failed(f"it died of {fault.name} (status {ended.status}): {subject.errors()}")
        if ended.status != 1 or not re.search(_names(fault), subject.errors()):
            raise Failed(
                f"it ended with status {ended.status} and without a line that names the call "
                f"({_names(fault)}): {subject.errors()!r}"
            )
        subject.finished = True
    elif unserved:
        raise unserved


def _is_told_of_changes(log: Path) -> bool:
    """By epoll, or by signals: strace calls O_ASYNC by its older name."""
    told = log.read_text("utf-8", "replace")
    return "EPOLLET" in told or "FASYNC" in told


def _is_owed_an_edge(t: Trial, subject: Subject, purpose: str) -> bool:
    """Whether the first client waits in vain for a server that rests, and that has asked to be told
    of changes. Nothing ever changes for that client, so there is no need to let others wait too."""
    before = edges(subject)
    with t.connect(subject) as peer:
        peer.timeout_s = EDGE_S * t.conditions.patience
        try:
            t.talk.converse(peer, 3, 20, BULK)
        except Failed:
            # It is told of changes of its listening socket, or of that of this client.
            its = before if purpose == "accept" else edges(subject) - before
            return bool(its) and subject.settle(EDGE_S)
    return False


def edges(subject: Subject) -> set[tuple[int, int]]:
    """Process and number of the descriptors whose changes it is told of: by epoll with EPOLLET, or
    by signals (O_ASYNC). See proc_pid_fdinfo(5)."""
    found = set()
    for pid in process.tree(subject.server_pid):
        for info in Path(f"/proc/{pid}/fdinfo").glob("*"):
            with contextlib.suppress(OSError):
                text = info.read_text("ascii", "replace")
                for fd, events in re.findall(r"^tfd:\s*(\d+) events:\s*([0-9a-f]+)", text, re.M):
                    if int(events, 16) & select.EPOLLET:
                        found.add((pid, int(fd)))
                flags = re.search(r"^flags:\s*([0-7]+)", text, re.M)
                if flags and int(flags[1], 8) & os.O_ASYNC:
                    found.add((pid, int(info.name)))
    return found


def _names(fault: Fault) -> str:
    return "|".join(ALIASES.get(call, call) for call in CALLS[fault.purpose])


@contextmanager
def _strace(subject: Subject, fault: Fault, log: Path) -> Iterator[None]:
    """Inject into the running server, all its threads and the children to come, until the end."""
    members = process.tree(subject.server_pid)
    argv = ["strace", "-f", "-qq", *_inject_options(fault, log)]
    with process.Child([*argv, *(f"--attach={pid}" for pid in members)]) as tracer:
        attached = wait_until(
            lambda: tracer.wait(0) is not None or all(map(_is_traced, _tasks(members))), 10.0
        )
        if (not attached or tracer.wait(0) is not None) and subject.alive():
            raise Failed(f"strace did not attach: {tracer.stderr_tail()}")
        yield
        subject.settle()
        # It lets go of the server and ends. (Not SIGKILL: that could leave it stopped.)
        tracer.signal(signal.SIGTERM)
        if tracer.wait(10.0) is None:
            raise Failed("strace did not let go of the server")


def _tasks(pids: Sequence[int]) -> list[Path]:
    found: list[Path] = []
    for pid in pids:
        with contextlib.suppress(OSError):
            found.extend(Path(f"/proc/{pid}/task").iterdir())
    return found


def _is_traced(task: Path) -> bool:
    try:
        status = (task / "status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return True
    return re.search(r"^TracerPid:\t0$", status, re.M) is None


def _inject_options(fault: Fault, log: Path) -> list[str]:
    calls = ",".join("?" + call for call in CALLS[fault.purpose])
    options = ["-o", str(log), "-e", f"trace={calls},epoll_ctl,fcntl,brk"]
    if fault.purpose == "allocate":
        # brk(2) says no by giving back the old end; malloc(3) tries mmap(2) then. All of them: one
        # that fails and is made again at once would prove nothing.
        return options + ["-e", f"inject={calls}:error={fault.error}", "-e", "inject=brk:retval=0"]
    return options + ["-e", f"inject={calls}:error={fault.error}:when={fault.when}"]


def _injected(log: Path) -> int:
    try:
        return log.read_text(encoding="utf-8", errors="replace").count("(INJECTED)")
    except OSError:
        return 0


def _at_start(t: Trial, fault: Fault, log: Path) -> None:
    # With a filter the kernel stops it for these calls alone. (Not where strace is attached.)
    prefix = ("strace", "-f", "--seccomp-bpf", "-qq", *_inject_options(fault, log))
    conditions = dataclasses.replace(t.conditions, prefix=prefix)
    try:
        subject = t.start(conditions=conditions)
        # Some of what it needs may be made only after the ready line; then it must end now.
        subject.settle(0.5)
        if _injected(log) and (ended := subject.wait(2.0)):
            subject.finished = True
            raise DidNotStart(ended.status, subject.errors())
    except DidNotStart as ended_so:
        if not _injected(log):
            raise
        if ended_so.status not in (1, 77):
            raise Failed(f"exit status {ended_so.status}, not 1: {ended_so.errors}") from None
        lines = ended_so.errors.strip().splitlines()
        if len(lines) != 1 or not re.search(_names(fault), lines[0]):
            raise Failed(f"not one line that names the call: {ended_so.errors!r}") from None
        return
    subject.finish()
    if not _injected(log):
        raise NotApplicable(f"makes no call to {fault.purpose.replace('_', ' ')} when it starts")
    raise Failed(f"it said that it is ready, though {fault.purpose} gave {fault.error}")


# --- shims -----------------------------------------------------------------------------------


def _receives_little(t: Trial) -> None:
    """Every receive gives a few bytes: no client may notice.

    The kernel may give less than was asked for, at every call.
    """
    _little(t, "receive")


def _sends_little(t: Trial) -> None:
    """Every send takes a few bytes: no client may notice.

    A short send is no error. What is left must be sent next, and nothing of it twice.
    """
    _little(t, "send")


def _little(t: Trial, purpose: str) -> None:
    name, variables = "short_io", {"TENK_SHORT": purpose}
    if _uses_uring(t):
        name, variables = "uring", {"TENK_URING": URING[purpose], "TENK_RESULT": "short"}
    lost, tried, subject = _with_shim(t, name, variables, bulk=20_000)
    if not tried and _uses_uring(t):  # it may use the ring to wait, and call recv(2) itself
        subject.finish()
        name, variables = "short_io", {"TENK_SHORT": purpose}
        lost, tried, subject = _with_shim(t, name, variables, bulk=20_000)
    if not tried:
        raise NotApplicable(f"no {purpose} went through the shim (tests/faults/{name}.c)")
    if lost:
        raise Failed(f"{len(lost)} clients noticed: {lost[0]}")
    t.probe(subject)


def _through_the_ring(t: Trial, first: Subject, fault: Fault) -> tuple[list[str], int, Subject]:
    """The same fault for requests that io_uring carries."""
    first.finish()
    code = getattr(errno, fault.error)
    variables = {"TENK_URING": URING[fault.purpose], "TENK_RESULT": f"-{code}"}
    return _with_shim(t, "uring", variables, BULK)


def _with_shim(
    t: Trial, name: str, variables: dict[str, str], bulk: int
) -> tuple[list[str], int, Subject]:
    """Traffic while the shim does its work; what clients noticed, and a count of the faults."""
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "log"
        log.touch()
        variables |= {"LD_PRELOAD": str(shim(name)), "TENK_LOG": str(log)}
        environment = (*t.conditions.environment, *variables.items())
        subject = t.start(conditions=dataclasses.replace(t.conditions, environment=environment))
        lost = _traffic(t, subject, bulk)
        subject.settle()
        return lost, log.stat().st_size, subject  # without its log the shim does nothing more


def _uses_uring(t: Trial) -> bool:
    return _is_linked_with(t.model.path, "liburing")


@functools.cache
def _is_linked_with(program: Path, library: str) -> bool:
    done = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False)
    return library in done.stdout


def shim(name: str) -> Path:
    """tests/faults/NAME.c as a shared object, compiled when it is not there or not up to date."""
    source, made = SHIMS / f"{name}.c", build_dir() / "faults" / f"{name}.so"
    if made.exists() and made.stat().st_mtime >= source.stat().st_mtime:
        return made
    made.parent.mkdir(parents=True, exist_ok=True)
    part = made.with_suffix(f".{os.getpid()}")
    compiler = os.environ.get("CC", "cc")
    argv = [compiler, "-std=gnu17", "-D_GNU_SOURCE", "-O2", "-shared", "-fPIC"]
    done = subprocess.run(
        [*argv, "-o", str(part), str(source)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SetupError(f"cannot compile {source}: {done.stderr.strip()[:300]}")
    part.replace(made)  # two of us may make it at a time
    return made


# --- traffic ---------------------------------------------------------------------------------


def _traffic(t: Trial, subject: Subject, bulk: int = BULK) -> list[str]:
    """Clients of all kinds, one after the other and many at once; what went wrong for those that
    noticed something."""
    lost: list[str] = []
    for _ in range(4):
        try:
            with t.connect(subject) as peer:
                t.talk.converse(peer, 3, 20, bulk)
        except Failed as failed:
            lost.append(str(failed))
    if subject.alive() and t.serves(24) and len(lost) < ENOUGH:
        lost += _crowd(t, subject)
    return lost


def _crowd(t: Trial, subject: Subject) -> list[str]:
    """All are connected before the first is answered, with half a request each if that can be."""
    request = t.talk.request(0)
    half = t.talk.partial() if request.startswith(t.talk.partial()) else b""
    lost = []
    peers = []
    for _ in range(24):
        try:
            peers.append(t.connect(subject))
            peers[-1].send(half)
        except Failed as failed:
            lost.append(str(failed))
    subject.settle(1.0)  # all halves are with it: it holds a buffer for each
    for peer in peers:
        if len(lost) >= ENOUGH:
            break
        try:
            peer.send(request[len(half) :])
            t.talk.check(peer, 0)
        except Failed as failed:
            lost.append(str(failed))
    for peer in peers:
        peer.close()
    return lost
