# SPDX-License-Identifier: MIT
"""What the load generator's end-to-end tests share: running it, right servers and faulty ones."""
from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BUILD = Path(os.environ.get("TENK_BUILD") or Path(__file__).resolve().parent.parent / "build")
LOADGEN = BUILD / "loadgen" / "loadgen"
LIMIT_S = 60.0  # a run that takes longer hangs

VALID, FAILED, USAGE, SUSPECT, VOID, UNSUPPORTED, INTERRUPTED = 0, 1, 2, 3, 4, 77, 130


@dataclass(frozen=True)
class Run:
    """How a run of the load generator ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.out)
        assert value["schema"] == "tenk.loadgen/2"
        return value

    @property
    def codes(self) -> set[str]:
        return {str(reason["code"]) for reason in self.json["verdict"]["reasons"]}

    @property
    def errors(self) -> dict[str, int]:
        """Errors of requests and of connections, all populations together, by kind."""
        total: dict[str, int] = {}
        for population in self.json["populations"].values():
            for errors in (population["requests"]["errors"], population["connection_errors"]):
                for kind, n in errors.items():
                    total[kind] = total.get(kind, 0) + n
        return total


def run(*args: str) -> Run:
    """Run the load generator to its end; a hang fails the test."""
    done = subprocess.run(
        [LOADGEN, *args], capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    return Run(done.returncode, done.stdout, done.stderr)


def measure(url: str, *args: str, seconds: float = 0.5, warmup: float = 0.1) -> Run:
    """A short run with JSON on standard output."""
    return run("-d", f"{seconds}s", "--warmup", f"{warmup}s", "--json", "-", *args, url)


@contextlib.contextmanager
def started(*args: str) -> Iterator[subprocess.Popen[str]]:
    """The load generator as it runs; killed if the test leaves it behind."""
    with subprocess.Popen(
        [LOADGEN, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        try:
            yield child
        finally:
            if child.poll() is None:
                child.kill()


def finish(child: subprocess.Popen[str]) -> Run:
    out, err = child.communicate(timeout=LIMIT_S)
    return Run(child.returncode, out, err)


def workers_of(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(child) for child in children.split()]


@dataclass
class Model:
    """A running server of build/servers."""

    pid: int
    port: int
    child: subprocess.Popen[str]

    def url(self, protocol: str, path: str = "") -> str:
        return f"{protocol}://127.0.0.1:{self.port}{path}"

    def stop(self) -> dict[str, Any]:
        """SIGTERM; its counters."""
        self.child.send_signal(signal.SIGTERM)
        out, _ = self.child.communicate(timeout=LIMIT_S)
        counters: dict[str, Any] = json.loads(out)
        return counters


@contextlib.contextmanager
def model(name: str, protocol: str, *args: str) -> Iterator[Model]:
    argv = [str(BUILD / "servers" / name), "-p", "0", "-P", protocol, *args]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            words = child.stdout.readline().split()
            assert words and words[0] == "ready", f"{name} is not ready: {words}"
            facts = dict(word.split("=", 1) for word in words[1:])
            yield Model(int(facts["pid"]), int(facts["port"]), child)
        finally:
            if child.poll() is None:
                child.send_signal(signal.SIGCONT)
                child.kill()


# What a faulty server does with one connection; its number counts from 0.
Handler = Callable[[socket.socket, int], None]


class Server:
    """A server in Python, one thread per connection, that may do anything wrong."""

    def __init__(self, handler: Handler, backlog: int = 128, accepts: bool = True) -> None:
        self._handler = handler
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(backlog)
        self.port: int = self._listener.getsockname()[1]
        self.accepted = 0
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self.stopping = threading.Event()
        if accepts:
            threading.Thread(target=self._accept, daemon=True).start()

    def url(self, protocol: str, path: str = "") -> str:
        return f"{protocol}://127.0.0.1:{self.port}{path}"

    def opened(self) -> int:
        """Connections so far, with those in the backlog (tcpi_unacked of a listening socket)."""
        accepted = self.accepted
        info = self._listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 28)
        return accepted + int.from_bytes(info[24:28], sys.byteorder)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                number = self.accepted
                self.accepted += 1
                self._open.append(connection)
            args = (connection, number)
            threading.Thread(target=self._serve, args=args, daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError), connection:
            self._handler(connection, number)
        with self._lock:
            if connection in self._open:
                self._open.remove(connection)

    def close(self) -> None:
        self.stopping.set()
        # shutdown(2) also ends an accept(2) that is under way; close(2) alone does not.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def messages(connection: socket.socket, size: int) -> Iterator[bytes]:
    """Requests of `size` bytes, until the client closes."""
    data = b""
    while True:
        while len(data) < size:
            more = connection.recv(65536)
            if not more:
                return
            data += more
        yield data[:size]
        data = data[size:]


def heads(connection: socket.socket) -> Iterator[bytes]:
    """http request heads, until the client closes."""
    data = b""
    while True:
        while b"\r\n\r\n" not in data:
            more = connection.recv(65536)
            if not more:
                return
            data += more
        head, data = data.split(b"\r\n\r\n", 1)
        yield head


def http_server(reply: bytes, backlog: int = 128) -> Server:
    """Answers every request with the same bytes."""

    def handler(connection: socket.socket, _: int) -> None:
        for head in heads(connection):
            assert head
            connection.sendall(reply)

    return Server(handler, backlog)


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def echo(connection: socket.socket, _: int) -> None:
    """A right echo handler."""
    while data := connection.recv(65536):
        connection.sendall(data)


def has_io_uring() -> bool:
    try:
        setting = Path("/proc/sys/kernel/io_uring_disabled").read_text(encoding="ascii")
    except OSError:
        setting = "0"
    return setting.strip() == "0" and tuple(map(int, os.uname().release.split(".")[:2])) >= (6, 0)


def engines() -> Sequence[str]:
    return ["epoll", "io_uring"] if has_io_uring() else ["epoll"]
