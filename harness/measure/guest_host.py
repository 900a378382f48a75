# SPDX-License-Identifier: MIT
"""Host a server that is not ours: start it, say `ready` once it is, end it on SIGTERM.

    harness/guest NAME [-p PORT] [-P PROTOCOL] [--describe]     a guest of servers/guests
    harness/guest --cmd 'node app.js {port}' …                  any command
    harness/guest --url URL [--pid N] …                         a server that runs already

It behaves on its command line as a model does (servers/lib/model.h), so that nothing else need know
that the server is not ours. The pid of its ready line is that of the server itself: this process
sleeps beside it. It counts nothing: its counters say so by being absent.

Should this process be killed, the server ends too: a keeper waits on a pipe that closes then.
"""
from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from harness.design import guest as design
from harness.design.guest import Guest
from harness.errors import EXIT_USAGE, TenkError
from harness.measure.listener import listening, owner, port_of
from harness.paths import ROOT, build_dir

EXIT_CANNOT_RUN_HERE = 77
READY_S = 9.0  # less than the harness waits for the ready line
STOP_S = 1.5  # from SIGTERM until it is killed; the harness waits longer
BUILD_S = 300.0
ATTEMPTS = 3  # somebody else may take the free port first
_POLL_S = 0.005
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class Unable(Exception):
    """One line for stderr, and the exit status."""

    def __init__(self, text: str, status: int = 1) -> None:
        super().__init__(text)
        self.status = status


def main(argv: Sequence[str]) -> int:
    """See the module; returns the exit status."""
    try:
        args = _arguments(argv)
        one = _guest(args)
        if args.describe:
            return _describe(one, args)
        if args.build:
            _build(one)
            return 0
        if args.protocol not in one.protocols:
            raise Unable(f"-P: '{args.protocol}' is not one of {', '.join(one.protocols)}", 2)
        if args.url:
            return _attach(args)
        return _host(one, args)
    except TenkError as error:
        return _complain(str(error), error.status)
    except Unable as error:
        return _complain(str(error), error.status)


def missing(one: Guest) -> str:
    """What is to be installed before this guest can run, as one sentence; '' if nothing is."""
    lacking = [
        need
        for need in one.needs
        if shutil.which(need.command, path=_path()) is None
        or (need.probe and _status(need.probe) != 0)
    ]
    if not lacking:
        return ""
    commands = ", ".join(need.command for need in lacking)
    packages = " ".join(dict.fromkeys(need.package for need in lacking))
    return f"{commands} is not installed: apt install {packages}"


# --- what is to be hosted -------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Unable(message, EXIT_USAGE)


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = _Parser(prog="guest", description="Start a server that is not ours.")
    add = parser.add_argument
    add("name", nargs="?", help=f"one of {', '.join(design.available())}")
    add("--cmd", help="a command with {port} in it")
    add("--url", help="a server that runs already")
    add("--pid", type=int, default=0, help="with --url: its process; default: who listens there")
    add(
        "--ready", default="", help="with --cmd: a line it prints; default: its port is listened on"
    )
    add("-p", "--port", type=int, default=0, help="0: a free one")
    add("-b", "--address", default="127.0.0.1", choices=["127.0.0.1"])
    add("-P", "--protocol", default="http")
    add("-w", "--workers", default="cpus", help="CPUs it is told to use; cpus: those it may use")
    add("--describe", action="store_true")
    add("--build", action="store_true", help="make what it needs, and end")
    args = parser.parse_args(list(argv))
    if sum(bool(one) for one in (args.name, args.cmd, args.url)) != 1:
        raise Unable("give the name of a guest, --cmd or --url", EXIT_USAGE)
    if args.pid and not Path(f"/proc/{args.pid}").exists():
        raise Unable(f"--pid: '{args.pid}' is not a process that runs")
    try:
        re.compile(args.ready)
        if args.cmd:
            design.check_command(args.cmd)
    except re.error as error:
        raise Unable(f"--ready: {error}", EXIT_USAGE) from None
    except ValueError as error:
        raise Unable(f"--cmd: {error}", EXIT_USAGE) from None
    if not 0 <= args.port < 65536:
        raise Unable(f"-p: '{args.port}' is not a port", EXIT_USAGE)
    return args


def _guest(args: argparse.Namespace) -> Guest:
    if args.name:
        if args.name not in design.available():
            raise Unable(
                f"guest: '{args.name}' is not one of {', '.join(design.available())}", EXIT_USAGE
            )
        return design.load(args.name)
    if args.url:
        url = urlsplit(args.url)
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        return Guest("url", args.url, "library", (url.scheme,), "", (path,))
    if "{port}" not in args.cmd:
        raise Unable(f"--cmd: '{args.cmd}' has no {{port}}", EXIT_USAGE)
    return Guest("cmd", args.cmd, "library", design.PROTOCOLS, args.cmd, ready=args.ready)


def _describe(one: Guest, args: argparse.Namespace) -> int:
    lacking = missing(one)
    if lacking:
        return _complain(lacking, EXIT_CANNOT_RUN_HERE)
    limits: dict[str, object] = {"connections": one.max_connections or 0}
    if one.limit_reason:
        limits["reason"] = one.limit_reason
    said = {
        "name": one.summary if one.name in ("cmd", "url") else design.PREFIX + one.name,
        "summary": one.summary,
        "family": one.family,
        "protocols": one.protocols,
        "limits": limits,
        "options": ["-w"],
        "guest": {
            "paths": one.paths,
            "options": one.options,
            "start": one.start,
            "attached": not one.start,
            **({} if one.start else {"pid": _pid(args)}),
        },
    }
    print(json.dumps(said))
    return 0


# --- a server that we start -----------------------------------------------------------------------


def _host(one: Guest, args: argparse.Namespace) -> int:
    lacking = missing(one)
    if lacking:
        raise Unable(lacking, EXIT_CANNOT_RUN_HERE)
    told = _until_told()
    workers = len(os.sched_getaffinity(0)) if args.workers == "cpus" else int(args.workers)
    with tempfile.TemporaryDirectory(prefix="tenk-guest.") as scratch, _keeper():
        built = _build(one)
        for attempt in range(ATTEMPTS):
            port = args.port or _free_port()
            places = {
                "port": port,
                "workers": workers,
                "scratch": scratch,
                "dir": one.folder if args.name else Path.cwd(),
                "build": built,
            }
            for name in one.files:
                text = (one.folder / name).read_text(encoding="utf-8")
                Path(scratch, name).write_text(design.fill(text, places), encoding="utf-8")
            server = _start(one, places)
            try:
                status = _await_ready(one, server, port, told)
                if status is None:
                    _prepare(one, places)
                    name = design.PREFIX + one.name
                    print(f"ready model={name} port={port} pid={server.pid} guest=1", flush=True)
                    return _serve(server, name, told)
                if told() or args.port or attempt == ATTEMPTS - 1:
                    text = shlex.split(design.fill(one.start, places))[0]
                    raise Unable(f"{text}: ended with status {status} before it was ready")
            finally:
                _end(server)
    return 1


def _build(one: Guest) -> Path:
    """Make what is to be started, if its sources are newer; where it lies."""
    folder = build_dir() / "guests" / one.name
    if not one.build:
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / ".built"
    newest = max(path.stat().st_mtime for path in one.folder.rglob("*") if path.is_file())
    with open(folder / ".lock", "w", encoding="ascii") as lock:
        import fcntl  # pylint: disable=import-outside-toplevel

        fcntl.flock(lock, fcntl.LOCK_EX)
        if done.exists() and done.stat().st_mtime >= newest:
            return folder
        for command in one.build:
            own = {"HOME": str(folder), "GOCACHE": str(folder / "cache")}
            filled = design.fill(command, {"dir": one.folder, "build": folder})
            _finish(filled, BUILD_S, _environment() | own, one.folder)
        done.touch()
    return folder


def _start(one: Guest, places: Mapping[str, object]) -> "subprocess.Popen[str]":
    words = shlex.split(design.fill(one.start, places))
    parent = os.getpid()

    def prepare() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(127)

    try:
        return subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if one.ready else subprocess.DEVNULL,
            env=_environment(),
            text=True,
            errors="replace",  # it may print what it likes
            preexec_fn=prepare,
        )
    except OSError as error:
        raise Unable(f"{words[0]}: cannot start: {error.strerror}") from None


def _await_ready(
    one: Guest, server: "subprocess.Popen[str]", port: int, told: Callable[[], bool]
) -> int | None:
    """None once it serves; its exit status if it has ended, -SIGTERM if we are to end."""
    deadline = time.monotonic() + READY_S
    seen = threading.Event()
    if one.ready:
        threading.Thread(target=_watch, args=(server, one.ready, seen), daemon=True).start()
    while not (seen.is_set() if one.ready else listening(port)):
        if server.poll() is not None:
            return server.returncode
        if told():
            return -signal.SIGTERM
        if time.monotonic() >= deadline:
            what = f"no line like '{one.ready}'" if one.ready else f"nothing listens on port {port}"
            raise Unable(f"{shlex.split(one.start)[0]}: {what} after {READY_S:g} s")
        time.sleep(_POLL_S)
    return None


def _prepare(one: Guest, places: Mapping[str, object]) -> None:
    """What it is to hold before it is asked."""
    for command in one.prepare:
        _finish(design.fill(command, places), READY_S, _environment())


def _finish(command: str, most_s: float, env: Mapping[str, str], cwd: Path | None = None) -> None:
    """Run a command to its end; Unable with its last words, or why there are none."""
    words = shlex.split(command)
    try:
        ended = subprocess.run(
            words,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=most_s,
            check=False,
        )
    except OSError as error:
        raise Unable(f"{words[0]}: cannot start: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise Unable(f"{shlex.join(words)}: not done after {most_s:g} s") from None
    if ended.returncode:
        last = (ended.stderr.strip() or ended.stdout.strip() or "no message").splitlines()[-1]
        raise Unable(f"{shlex.join(words)}: {last}")


def _watch(server: "subprocess.Popen[str]", wanted: str, seen: threading.Event) -> None:
    """Read its output for as long as it lives, so that it never blocks on a full pipe."""
    assert server.stdout is not None
    for line in server.stdout:
        if re.search(wanted, line):
            seen.set()


def _serve(server: "subprocess.Popen[str]", name: str, told: Callable[[], bool]) -> int:
    """Sleep until SIGTERM; then end it."""
    waiter = os.pidfd_open(server.pid)
    import select  # pylint: disable=import-outside-toplevel

    while not told():
        with contextlib.suppress(InterruptedError):
            if select.select([waiter, _wakeup()], [], [])[0] == [waiter] and not told():
                server.wait()
                raise Unable(f"{name}: ended by itself, status {server.returncode}")
    _end(server)
    print(json.dumps({"model": name}), flush=True)
    return 0


def _end(server: "subprocess.Popen[str]") -> None:
    """SIGTERM, and SIGKILL to all that is left of it."""
    if server.poll() is None:
        server.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(STOP_S)
    deadline = time.monotonic() + 0.5
    while _others() and time.monotonic() < deadline:
        server.poll()
        time.sleep(_POLL_S)
    for pid in _others():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    server.wait()


def _others() -> list[int]:
    """The processes of our group beside us: the server and its children, whoever reaps them."""
    found, group = [], os.getpgid(0)
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            with contextlib.suppress(OSError):
                if os.getpgid(int(entry)) == group and not _is_zombie(int(entry)):
                    found.append(int(entry))
    return found


def _is_zombie(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    return stat.rpartition(")")[2].split()[0] in "ZX"


@contextlib.contextmanager
def _keeper() -> Iterator[None]:
    """Ends our whole group should we be killed: the children of the server would live on."""
    if os.getpgid(0) != os.getpid():
        os.setpgid(0, 0)
    script = 'read -r word; [ "$word" = end ] || kill -KILL -"$1"'
    with subprocess.Popen(
        ["/bin/sh", "-c", script, "keeper", str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        process_group=0,
    ) as keeper:
        try:
            yield
        finally:
            assert keeper.stdin is not None
            with contextlib.suppress(OSError):
                keeper.stdin.write("end\n")
                keeper.stdin.close()
            keeper.wait()


# --- a server that runs already -------------------------------------------------------------------


def _attach(args: argparse.Namespace) -> int:
    told = _until_told()
    url = urlsplit(args.url)
    port = port_of(args.url)
    deadline = time.monotonic() + READY_S
    while port and url.hostname in ("127.0.0.1", "localhost", "::1") and not listening(port):
        if told():
            return 0
        if time.monotonic() >= deadline:
            raise Unable(f"--url: nothing listens on port {port}: start the server first")
        time.sleep(_POLL_S)
    pid = _pid(args)
    # Nobody's CPU time is ours to tell then; the number is only a process that lives as long.
    known = f"pid={pid}" if pid else f"pid={os.getpid()} unseen=1"
    print(f"ready model=url port={port} {known} url={args.url} guest=1 attached=1", flush=True)
    import select  # pylint: disable=import-outside-toplevel

    while not told():
        with contextlib.suppress(InterruptedError):
            select.select([_wakeup()], [], [])
    print(json.dumps({"model": "url"}), flush=True)
    return 0


def _pid(args: argparse.Namespace) -> int:
    """Whose CPU time it is: as we are told, or who listens there; 0 where that cannot be seen."""
    if args.pid:
        return int(args.pid)
    host = urlsplit(args.url).hostname
    return owner(host, port_of(args.url)) if host else 0


# --- small things ---------------------------------------------------------------------------------

_pipe: list[int] = []


def _until_told() -> Callable[[], bool]:
    """Whether SIGTERM or SIGINT has come."""
    asked = threading.Event()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    _pipe[:] = [reader]
    signal.set_wakeup_fd(writer)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked.set())
    return asked.is_set


def _wakeup() -> int:
    return _pipe[0]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _path() -> str:
    """Debian keeps servers in sbin, which a user's PATH may lack."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def _environment() -> dict[str, str]:
    return {**os.environ, "PATH": _path(), "PYTHONPATH": str(ROOT)}


def _status(command: str) -> int:
    """127, as a shell has it, where the command is not there."""
    try:
        return subprocess.run(
            shlex.split(command),
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        ).returncode
    except OSError:
        return 127


def _complain(text: str, status: int) -> int:
    print(f"guest: {text}", file=sys.stderr)
    return status
