# SPDX-License-Identifier: MIT
"""Servers that are odd, slow or endless: what is counted is what happened."""
from __future__ import annotations

import socket
from typing import Any

import pytest

from loadgen_util import (
    OK,
    VALID,
    VOID,
    SUSPECT,
    Server,
    engines,
    heads,
    http_server,
    measure,
    messages,
    model,
)

ENGINES = pytest.mark.parametrize("engine", engines())


def parts(requests: dict[str, Any]) -> int:
    return int(requests["completed"] + requests["unanswered"] + requests["failed"])


# --- --prime ------------------------------------------------------------------------------------


def closes_after_each(connection: socket.socket, _: int) -> None:
    connection.recv(65536)
    connection.sendall(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))


def ends_by_closing(connection: socket.socket, _: int) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nanything")


@ENGINES
@pytest.mark.parametrize("handler", [closes_after_each, ends_by_closing])
def test_a_server_that_closes_after_each_reply_can_be_primed(handler: Any, engine: str) -> None:
    with Server(handler) as server:
        result = measure(server.url("http", "/"), "-c", "2", "--prime", "--engine", engine)
    assert result.err == "" and result.status in (VALID, SUSPECT)
    assert result.errors == {}
    assert result.json["requests"]["completed"] > 5


@pytest.mark.parametrize("reply", [OK[:-2], b"SSH-2.0-OpenSSH_9.2\r\n", OK + b"more"])
def test_wrong_replies_while_priming_void_the_result(reply: bytes) -> None:
    def handler(connection: socket.socket, _: int) -> None:
        connection.recv(65536)
        connection.sendall(reply)

    with Server(handler) as server:
        result = measure(server.url("http", "/"), "-c", "2", "--prime", "-T", "500ms")
    assert result.status == VOID
    codes = {"errors"} if reply == OK[:-2] else {"verification"}
    assert result.codes >= codes


# --- slow connections ---------------------------------------------------------------------------


@ENGINES
@pytest.mark.parametrize("warmup", [0, 0.3])
def test_requests_of_slow_connections_add_up(warmup: float, engine: str) -> None:
    # A reply or request takes half a second: one edge of the window cuts some, or both do.
    args = ("-c", "1", "--slow-rate", "16k", "--engine", engine, "--drain", "2s")
    with model("epoll_lt", "http") as server:
        readers = measure(
            server.url("http", "/bytes/8000"),
            *args,
            "--slow-readers",
            "5",
            warmup=warmup,
            seconds=0.8,
        )
    with model("epoll_lt", "echo") as server:
        writers = measure(
            server.url("echo"),
            *args,
            *("--slow-writers", "5", "--size", "8000"),
            warmup=warmup,
            seconds=0.8,
        )
    for result, name in ((readers, "slow_readers"), (writers, "slow_writers")):
        population = result.json["populations"][name]
        requests = population["requests"]
        assert requests["sent"] > 0 and requests["sent"] == parts(requests)
        assert population["latency_ns"]["count"] == requests["sent"]
        assert result.status in (VALID, SUSPECT)


# --- a reply without end ------------------------------------------------------------------------


@ENGINES
@pytest.mark.parametrize("prime", [[], ["--prime"]])
def test_a_reply_without_end_keeps_nobody_else_waiting(prime: list[str], engine: str) -> None:
    flood = b"x" * (1 << 20)

    def handler(connection: socket.socket, number: int) -> None:
        for head in heads(connection):
            assert head
            if number == 0:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9000000000000000\r\n\r\n")
                while True:
                    connection.sendall(flood)
            connection.sendall(OK)

    with Server(handler) as server:
        result = measure(
            server.url("http", "/"),
            *("-c", "3", "-T", "300ms", "--engine", engine, *prime, "--drain", "100ms"),
        )
    assert result.json["window_s"] == 0.5 and result.json["complete"]
    assert result.json["requests"]["completed"] > 10
    assert result.json["requests"]["sent"] == parts(result.json["requests"])


# --- replies that contradict themselves ---------------------------------------------------------


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 7\r\nContent-Length: 5",
        b"Content-Length: 5\r\nContent-Length: 7",
        b"Content-Length: 5\0",
        b"X: \0\r\nContent-Length: 5",
    ],
)
def test_a_reply_that_contradicts_itself_does_not_pass(head: bytes) -> None:
    with http_server(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\nhello") as server:
        result = measure(server.url("http", "/"), "-c", "2", "-T", "300ms")
    assert result.status == VOID and "verification" in result.codes
    assert set(result.errors) == {"garbage"}
    assert "well-formed" in result.json["verification"]["first"]


@pytest.mark.parametrize("engine", engines())
def test_bytes_that_nobody_asked_for_are_named(engine: str) -> None:
    def speaks_first(connection: socket.socket, _: int) -> None:
        connection.sendall(b"220 welcome\r\n")
        for message in messages(connection, 64):
            connection.sendall(message)

    with Server(speaks_first) as server:
        result = measure(server.url("echo"), "-c", "0", "--silent", "1", "--engine", engine)
        extra = http_server(OK + b"and more")
        with extra:
            more = measure(extra.url("http", "/"), "-c", "1", "--engine", engine)
    assert "asked for" in result.json["verification"]["first"]
    assert "0x32" in result.json["verification"]["first"]  # the 2 of 220
    assert "8 bytes" in more.json["verification"]["first"]
    assert "0x61" in more.json["verification"]["first"]
