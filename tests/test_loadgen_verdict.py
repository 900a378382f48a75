# SPDX-License-Identifier: MIT
"""Each reason of the verdict fires on a real cause. Steal has none that could be made here: the
unit tests show it on a made-up result."""
from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from loadgen_util import (
    LOADGEN,
    OK,
    SUSPECT,
    VOID,
    Handler,
    Server,
    echo,
    engines,
    finish,
    heads,
    http_server,
    measure,
    messages,
    model,
    started,
    workers_of,
)

ENGINES = pytest.mark.parametrize("engine", engines())


@contextlib.contextmanager
def hogs(cpu: int, count: int) -> Iterator[None]:
    """Processes that want all of one CPU."""
    argv = [sys.executable, "-c", f"import os; os.sched_setaffinity(0, [{cpu}])\nwhile True: pass"]
    children = [subprocess.Popen(argv) for _ in range(count)]
    try:
        yield
    finally:
        for child in children:
            child.kill()
            child.wait()


def test_client_limited_when_others_take_its_cpu() -> None:
    cpu = max(os.sched_getaffinity(0))
    with model("epoll_lt", "echo") as server, hogs(cpu, 3):
        result = measure(server.url("echo"), "-c", "30", "--cpus", str(cpu), seconds=1)
    assert "client-limited" in result.codes
    assert result.status in (SUSPECT, VOID)
    assert result.json["cpu_s"]["starved_fraction"] > 0.1


def test_client_limited_when_it_has_no_cpu_left() -> None:
    # The server has less to do than the client, who also does the kernel's receive work for it.
    # Other load may keep the server from answering, which is not the same; then try again.
    attempts = []
    with model("epoll_lt", "echo") as server:
        for _ in range(5):
            result = measure(server.url("echo"), "-c", "10", seconds=1)
            if "client-limited" in result.codes:
                assert result.status in (SUSPECT, VOID)
                return
            attempts.append(result.json["cpu_s"]["busiest_fraction"])
    if max(attempts) < 0.9:
        pytest.skip(f"other load kept the server busy: the client had {max(attempts):.0%} to do")
    pytest.fail(f"no reason although it used {attempts} of a CPU")


def test_schedule_when_there_are_not_enough_free_connections() -> None:
    def handler(connection: socket.socket, _: int) -> None:
        for head in heads(connection):
            assert head
            time.sleep(0.02)
            connection.sendall(OK)

    with Server(handler) as server:
        result = measure(server.url("http", "/"), "-c", "2", "-R", "500", seconds=1)
    # Two connections of 20 ms each carry 100 of the 500 requests that are due in this second (five
    # standard deviations more or less), and one each that waits at its edge; fewer on a busy machine.
    assert "schedule" in result.codes
    requests = result.json["requests"]
    assert 0 < requests["sent"] <= 104
    assert requests["sent"] + requests["unsent"] == pytest.approx(500, abs=5 * 500**0.5)
    response = result.json["latency_ns"]["response"]
    assert response["p50"] == "inf" and response["p99"] == "inf"
    assert result.json["latency_ns"]["service"]["infinite"] == 0


def test_lag_when_the_client_itself_is_late() -> None:
    with model("epoll_lt", "echo") as server:
        args = ("-c", "200", "-R", "500", "-d", "1500ms", "--warmup", "100ms", "--json", "-")
        with started(*args, server.url("echo")) as child:
            deadline = time.monotonic() + 10
            while not (workers := workers_of(child.pid)) and time.monotonic() < deadline:
                time.sleep(0.01)
            # What a busy machine does to a client: it is off its CPU most of the time.
            while child.poll() is None and time.monotonic() < deadline:
                try:
                    os.kill(workers[0], signal.SIGSTOP)
                    time.sleep(0.03)
                    os.kill(workers[0], signal.SIGCONT)
                    time.sleep(0.01)
                except ProcessLookupError:
                    break
            result = finish(child)
    assert "lag" in result.codes
    assert result.json["latency_ns"]["client_late"]["p50"] > 1e6


def test_littles_law_when_some_connections_are_never_served() -> None:
    def handler(connection: socket.socket, number: int) -> None:
        if number % 2:
            while connection.recv(65536):
                pass
        else:
            echo(connection, number)

    with Server(handler) as server:
        result = measure(server.url("echo"), "-c", "8", "-T", "20s", "--drain", "100ms", seconds=1)
    assert "littles-law" in result.codes
    little = result.json["little"]
    assert little["in_flight"] == pytest.approx(8, rel=0.1)
    assert little["rate_times_service"] == pytest.approx(4, rel=0.2)


def drops(connection: socket.socket, _: int) -> None:
    for n, message in enumerate(messages(connection, 64)):
        connection.sendall(message[:30] + message[31:] if n == 5 else message)


def drops_one(connection: socket.socket, _: int) -> None:
    for n, message in enumerate(messages(connection, 64)):
        if n != 5:
            connection.sendall(message)


def duplicates(connection: socket.socket, _: int) -> None:
    for n, message in enumerate(messages(connection, 64)):
        connection.sendall(message * 2 if n == 5 else message)


def reorders(connection: socket.socket, _: int) -> None:
    kept = b""
    for n, message in enumerate(messages(connection, 64)):
        if n % 4 == 2:
            kept = message
        else:
            connection.sendall(message + kept)
            kept = b""


def truncates(connection: socket.socket, _: int) -> None:
    for n, message in enumerate(messages(connection, 64)):
        connection.sendall(message[:40] if n == 5 else message)


def corrupts(connection: socket.socket, _: int) -> None:
    for n, message in enumerate(messages(connection, 64)):
        connection.sendall(message[:50] + b"\0\1" + message[52:] if n == 5 else message)


class Swaps:
    """Now and then gives one connection's bytes to another."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []

    def __call__(self, connection: socket.socket, _: int) -> None:
        with self._lock:
            self._sockets.append(connection)
        for n, message in enumerate(messages(connection, 64)):
            with self._lock:
                other = self._sockets[0] if n == 20 else connection
            other.sendall(message)


@ENGINES
@pytest.mark.parametrize(
    "fault", [drops, drops_one, duplicates, reorders, truncates, corrupts, None]
)
def test_verification_of_echoed_bytes(fault: Handler | None, engine: str) -> None:
    # Several requests outstanding, so that there is something to reorder and to run on into.
    with Server(fault or Swaps()) as server:
        result = measure(
            server.url("echo"), "-c", "4", "--pipeline", "4", "-T", "300ms", "--engine", engine
        )
    assert result.status == VOID
    assert "verification" in result.codes
    assert result.json["verification"]["failures"] > 0


def test_verification_names_whose_bytes_were_swapped() -> None:
    with Server(Swaps()) as server:
        result = measure(server.url("echo"), "-c", "2", "--pipeline", "2", "-T", "300ms")
    texts = [r["text"] for r in result.json["verdict"]["reasons"] if r["code"] == "verification"]
    assert "connection" in texts[0] and "request" in texts[0]


def test_verification_can_be_switched_off_and_that_is_in_the_result() -> None:
    with Server(corrupts) as server:
        result = measure(server.url("echo"), "-c", "2", "--verify", "none")
    assert "verification" not in result.codes
    assert result.json["config"]["verify"] == "none"


def test_listen_overflow_and_retransmits_when_nobody_accepts() -> None:
    with Server(echo, backlog=1, accepts=False) as server:
        # The kernel completes two connects by itself; further ones overflow the accept queue, and
        # their SYNs are sent again after a second.
        result = measure(
            server.url("echo"),
            *("-c", "1", "--short-lived", "20", "-T", "10s", "--drain", "0"),
            seconds=2.5,
            warmup=0,
        )
    assert "listen-overflow" in result.codes
    assert "retransmits" in result.codes
    assert result.json["disturbance"]["listen_overflows"] > 0


@ENGINES
def test_server_gone_when_it_ends_in_mid_run(engine: str) -> None:
    with model("epoll_lt", "echo") as server:
        args = ("-c", "20", "-d", "30s", "--warmup", "0", "--json", "-", "--engine", engine)
        begun = time.monotonic()
        with started(*args, server.url("echo")) as child:
            time.sleep(0.7)
            server.child.kill()
            result = finish(child)
    assert time.monotonic() - begun < 15, "it waited for a server that is gone"
    assert result.status == VOID
    assert "server-gone" in result.codes
    assert result.errors["refused"] > 0
    assert result.json["requests"]["completed"] > 0
    assert result.json["window_s"] < 10


def test_a_server_that_comes_back_is_used_again_but_the_verdict_stays() -> None:
    with model("epoll_lt", "echo") as first:
        port = first.port
        args = ("-c", "5", "-d", "3s", "--warmup", "0", "--json", "-", "--interval", "500ms")
        with started(*args, first.url("echo")) as child:
            time.sleep(0.7)
            first.child.kill()
            first.child.wait()
            time.sleep(0.2)
            with model("epoll_lt", "echo", "-p", str(port)):
                result = finish(child)
    assert result.status == VOID and "server-gone" in result.codes
    assert result.json["intervals"][-1]["replies"] > 0


def test_errors_when_replies_are_errors() -> None:
    with http_server(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n") as server:
        result = measure(server.url("http", "/"), "-c", "2")
    assert result.status == VOID and {"errors", "too-few"} <= result.codes
    assert result.json["requests"]["completed"] == 0


def test_unanswered_when_the_server_stops_answering_before_the_end() -> None:
    begun = time.monotonic()

    def handler(connection: socket.socket, _: int) -> None:
        for head in heads(connection):
            assert head
            if time.monotonic() - begun > 1:
                time.sleep(10)
            connection.sendall(OK)

    with Server(handler) as server:
        result = measure(
            server.url("http", "/"),
            *("-c", "200", "-R", "500", "-T", "10s", "--drain", "100ms"),
            seconds=1.2,
            warmup=0,
        )
    assert "unanswered" in result.codes
    unanswered = result.json["requests"]["unanswered"]
    assert unanswered > 0
    assert result.json["latency_ns"]["response"]["infinite"] == (
        unanswered + result.json["requests"]["unsent"]
    )
    assert result.json["latency_ns"]["response"]["max"] == "inf"


def test_too_few_when_hardly_anything_was_answered() -> None:
    with model("epoll_lt", "echo") as server:
        result = measure(server.url("echo"), "-R", "50", "-c", "5")
    assert "too-few" in result.codes and result.status in (SUSPECT, VOID)


def test_the_program_under_test_is_the_one_that_was_built() -> None:
    assert LOADGEN.is_file()
