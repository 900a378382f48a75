# SPDX-License-Identifier: MIT
"""Pools: processes that are one server with their parent, and who holds a client that waits."""
from __future__ import annotations

import json
import os
import resource
import select
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

import procfs
from harness.conformance.subject import wait_until
from harness.measure import models
from harness.measure.process import parse_ready, tree
from harness.paths import servers_dir

PATIENCE_S = 20.0
LISTEN = "0A"  # in /proc/net/tcp
OF_PROCESSES = ("prefork", "prefork_reuseport")


class Server:
    def __init__(self, popen: "subprocess.Popen[str]") -> None:
        self.popen = popen
        assert popen.stdout is not None
        self.port = int(parse_ready(popen.stdout.readline())["port"])

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)

    @property
    def children(self) -> list[int]:
        return tree(self.popen.pid)[1:]

    def listening(self) -> dict[str, int]:
        """Its listening sockets: inode → clients in the backlog."""
        found = {}
        for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
            _, local, _, state, queues, _, _, _, _, inode, *_ = line.split()
            if state == LISTEN and int(local.partition(":")[2], 16) == self.port:
                found[inode] = int(queues.partition(":")[2], 16)
        return found

    def waiting(self) -> int:
        return sum(self.listening().values())


@contextmanager
def serving(name: str, *options: str, before: Callable[[], None] | None = None) -> Iterator[Server]:
    popen = subprocess.Popen(
        [str(servers_dir() / name), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=before,
    )
    try:
        yield Server(popen)
    finally:
        popen.kill()
        popen.communicate()


def exchange(client: socket.socket) -> None:
    client.sendall(b"hello")
    assert client.recv(100) == b"hello"


def gone(pidfd: int) -> bool:
    return bool(select.select([pidfd], [], [], PATIENCE_S)[0])


# --- processes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
@pytest.mark.parametrize("name", OF_PROCESSES)
def test_a_pool_that_loses_a_process_says_so_and_ends_with_status_1(
    name: str, number: signal.Signals
) -> None:
    with serving(name, "-w", "3") as server, server.connect() as client:
        exchange(client)
        children = server.children
        assert len(children) == 3
        os.kill(children[1], number)
        _, errors = server.popen.communicate(timeout=PATIENCE_S)
        assert server.popen.returncode == 1
        (line,) = errors.splitlines()
        assert f"process {children[1]} " in line and f"signal {int(number)} " in line
        with pytest.raises(OSError):
            server.connect()
        with suppress(ConnectionResetError):
            assert client.recv(100) == b""


@pytest.mark.parametrize("name", OF_PROCESSES)
def test_no_process_of_a_pool_outlives_its_parent(name: str) -> None:
    with serving(name, "-w", "3") as server:
        children = [os.pidfd_open(pid) for pid in server.children]
        server.popen.kill()
        assert len(children) == 3 and all(map(gone, children))
        for pidfd in children:
            os.close(pidfd)


def test_the_processes_of_prefork_share_one_listening_socket() -> None:
    with serving("prefork", "-w", "3") as server:
        (inode,) = server.listening()
        assert all(procfs.sockets(pid) == {inode} for pid in server.children)


def test_each_process_of_prefork_reuseport_has_a_listening_socket_and_no_other() -> None:
    with serving("prefork_reuseport", "-w", "3") as server:
        inodes = set(server.listening())
        assert len(inodes) == 3
        # A child closes what belongs to the others before it serves.
        assert wait_until(
            lambda: all(len(procfs.sockets(pid)) == 1 for pid in server.children), PATIENCE_S
        )
        assert set.union(*(procfs.sockets(pid) for pid in server.children)) == inodes


def test_prefork_reuseport_serves_as_many_as_it_says_with_descriptors_for_a_part_of_them() -> None:
    def few() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))

    argv = ["prlimit", "--nofile=200:200", str(servers_dir() / "prefork_reuseport"), "-w", "3"]
    said = subprocess.run([*argv, "--describe"], capture_output=True, text=True, check=True)
    limit = int(said.stdout.partition('"connections":')[2].partition(",")[0])
    assert 200 < limit < 3 * 200
    with ExitStack() as stack:
        server = stack.enter_context(serving("prefork_reuseport", "-w", "3", before=few))
        clients = [stack.enter_context(server.connect()) for _ in range(limit)]
        for client in clients:
            exchange(client)


# --- who did how much ----------------------------------------------------------------------------


def counters(server: Server) -> dict[str, object]:
    server.popen.send_signal(signal.SIGTERM)
    out, errors = server.popen.communicate(timeout=PATIENCE_S)
    assert server.popen.returncode == 0, errors
    found: dict[str, object] = json.loads(out.splitlines()[-1])
    return found


@pytest.mark.parametrize(
    "options",
    [["prefork"], ["prefork_reuseport"], ["epoll_exclusive"], ["epoll_exclusive", "--exclusive=0"]],
    ids=" ".join,
)
def test_a_server_of_several_workers_says_how_much_each_of_them_did(options: list[str]) -> None:
    with serving(*options, "-w", "3") as server:
        with server.connect() as client:
            exchange(client)
            exchange(client)
        told = counters(server)
    assert told["connections_by_worker"] == [1, 0, 0]
    assert told["requests_by_worker"] == [2, 0, 0]


@pytest.mark.parametrize("options", [["epoll_lt"], ["prefork", "-w", "1"]], ids=" ".join)
def test_a_server_of_one_worker_has_no_shares_to_tell(options: list[str]) -> None:
    with serving(*options) as server:
        assert not {"requests_by_worker", "connections_by_worker"} & set(counters(server))


# --- who holds a client that waits ---------------------------------------------------------------


@pytest.mark.parametrize(("name", "in_backlog"), [("thread_pool", 2), ("thread_queue", 1)])
def test_a_client_that_no_thread_serves_waits_in_the_backlog_or_in_the_queue(
    name: str, in_backlog: int
) -> None:
    assert models.describe(servers_dir() / name, ["-w", "1"]).max_connections == 1
    with serving(name, "-w", "1") as server, server.connect() as first:
        exchange(first)
        with server.connect() as second, server.connect() as third:
            second.sendall(b"hello")
            assert wait_until(lambda: server.waiting() == in_backlog, PATIENCE_S)
            first.close()
            assert second.recv(100) == b"hello"
            second.close()
            exchange(third)


# --- several threads on one set of sockets -------------------------------------------------------

CLOCK_NANOSLEEP = "230"  # on x86-64, in /proc/PID/task/TID/syscall
SLEEP = b"GET /sleep/900000 HTTP/1.1\r\nHost: a\r\n\r\n"
SLEEPS = 30  # together far longer than the other clients take


def sleeps(pid: int) -> bool:
    calls = Path(f"/proc/{pid}/task").glob("*/syscall")
    return any(call.read_text(encoding="ascii").split()[0] == CLOCK_NANOSLEEP for call in calls)


@pytest.mark.skipif(
    os.uname().machine != "x86_64", reason="the number of a system call is x86-64's"
)
def test_connections_of_epoll_oneshot_are_served_by_the_thread_that_is_free() -> None:
    with ExitStack() as stack:
        server = stack.enter_context(serving("epoll_oneshot", "-w", "2", "-P", "http"))
        clients = [stack.enter_context(server.connect()) for _ in range(20)]
        slow = clients.pop()
        for client in clients:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
        slow.sendall(SLEEP * SLEEPS)
        assert wait_until(lambda: sleeps(server.popen.pid), PATIENCE_S)
        for client in clients:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
        slow.setblocking(False)
        with suppress(BlockingIOError):
            assert slow.recv(1 << 20).count(b"HTTP/1.1 200 ") < SLEEPS
