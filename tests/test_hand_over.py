# SPDX-License-Identifier: MIT
"""Who has a connection: dealt to loops, handed to workers, told by signals, moved to a larger queue."""
from __future__ import annotations

import re
import resource
import select
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

import procfs
from test_pools import PATIENCE_S, Server, exchange, serving

FIRST_ROOM = 1024  # ROOM of servers/linux_aio.c


def crowd(server: Server, n: int, stack: ExitStack) -> list[socket.socket]:
    return [stack.enter_context(server.connect()) for _ in range(n)]


def watched(server: Server) -> list[int]:
    """How many sockets each of its epoll instances watches."""
    info = Path(f"/proc/{server.popen.pid}/fdinfo")
    return [
        len(re.findall(r"^tfd:", (info / number).read_text("ascii"), re.M))
        for number, link in procfs.descriptors(server.popen.pid)
        if link == "anon_inode:[eventpoll]"
    ]


def test_multi_reactor_deals_the_same_number_of_connections_to_each_loop() -> None:
    with serving("multi_reactor", "-w", "3") as server, ExitStack() as stack:
        for client in crowd(server, 12, stack):
            exchange(client)
        assert watched(server) == [4, 4, 4]


def test_reactor_pool_answers_others_while_requests_sleep() -> None:
    """A loop that sleeps itself would answer the other one after 15 of them."""
    with serving("reactor_pool", "-w", "2", "-P", "http") as server, ExitStack() as stack:
        slow, quick = crowd(server, 2, stack)
        slow.sendall(b"GET /sleep/1000000 HTTP/1.1\r\nHost: a\r\n\r\n" * 20)
        replies = slow.recv(100_000)
        quick.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert quick.recv(1000).startswith(b"HTTP/1.1 200 ")
        if select.select([slow], [], [], 0)[0]:
            replies += slow.recv(100_000)
        assert replies.count(b"HTTP/1.1 200 ") < 8


@pytest.mark.parametrize("queued", [0, 8])
def test_sigio_loses_no_client_whose_signal_finds_the_queue_full(queued: int) -> None:
    def shorten() -> None:
        resource.setrlimit(resource.RLIMIT_SIGPENDING, (queued, queued))

    with serving("sigio", before=shorten) as server, ExitStack() as stack:
        clients = crowd(server, 200, stack)
        for _ in range(3):
            for client in clients:
                client.sendall(b"hello")
            for client in clients:
                assert client.recv(100) == b"hello"
        for client in clients:
            client.sendall(b"last")
            client.shutdown(socket.SHUT_WR)
        for client in clients:
            assert client.recv(100) == b"last"
            assert client.recv(100) == b""


def test_linux_aio_keeps_its_clients_when_it_needs_a_larger_queue(tmp_path: Path) -> None:
    content = bytes(range(256)) * 4096
    (tmp_path / "file").write_bytes(content)
    request = b"GET /file/file HTTP/1.1\r\nHost: a\r\n\r\n"
    with serving("linux_aio", "-P", "http", "--root", str(tmp_path)) as server:
        with ExitStack() as stack:
            early = crowd(server, 20, stack)
            for client in early:
                client.sendall(request)  # and does not read: most of it is still to be sent
            late = crowd(server, FIRST_ROOM, stack)
            for client in early:
                assert _body(client) == content
            for client in (early[0], late[0], late[-1]):
                client.sendall(request)
                assert _body(client) == content


def _body(client: socket.socket) -> bytes:
    """What follows the head of a reply that says its length."""
    client.settimeout(PATIENCE_S)
    with client.makefile("rb") as stream:
        length = 0
        while (line := stream.readline().lower()) not in (b"\r\n", b""):
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        return stream.read(length)
