# SPDX-License-Identifier: MIT
"""60,000 connections where a process may hold only 20,000 descriptors: several workers, several
source addresses, and a server of several processes."""
from __future__ import annotations

import multiprocessing
import os
import resource
import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from loadgen_util import engines, measure

CONNECTIONS = 60_000
SINKS = 5
WORKERS = 4
BYTES_PER_CONNECTION = 40_000  # of kernel memory, both ends, generously


def shortage() -> str:
    """Why this machine cannot hold that many; empty if it can."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    need = max(CONNECTIONS // WORKERS, CONNECTIONS // SINKS * 5 // 4) + 100
    if most != resource.RLIM_INFINITY and most < need:
        return f"the hard descriptor limit is {most}, {need} are needed"
    allowed = int(Path("/proc/sys/fs/file-max").read_text(encoding="ascii"))
    if allowed < 3 * CONNECTIONS:
        return f"fs.file-max is {allowed}, {3 * CONNECTIONS} are needed"
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    free = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    if free * 1024 < CONNECTIONS * BYTES_PER_CONNECTION:
        return f"{free >> 10} MiB of memory are available, more are needed"
    first, last = map(
        int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()
    )
    if (last - first + 1) * 3 // 4 * 250 < CONNECTIONS:
        return f"only {last - first + 1} local ports per address"
    return ""


def sink(port: int, ready: int) -> None:
    """Echo on one of several sockets that share a port; the kernel spreads the connections."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(4096)
    listener.setblocking(False)
    os.write(ready, b"x")
    poller = select.epoll()
    poller.register(listener.fileno(), select.EPOLLIN)
    connections: dict[int, socket.socket] = {}
    while True:
        for fd, _ in poller.poll():
            if fd == listener.fileno():
                try:
                    for _ in range(256):
                        connection, _ = listener.accept()
                        connection.setblocking(False)
                        connections[connection.fileno()] = connection
                        poller.register(connection.fileno(), select.EPOLLIN)
                except BlockingIOError:
                    pass
                continue
            data = connections[fd].recv(4096)
            if data:
                connections[fd].sendall(data)
            else:
                connections.pop(fd).close()


@contextmanager
def sinks() -> Iterator[int]:
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind(("127.0.0.1", 0))
        port: int = reserved.getsockname()[1]
        ours, theirs = os.pipe()
        context = multiprocessing.get_context("fork")
        children = [
            context.Process(target=sink, args=(port, theirs), daemon=True) for _ in range(SINKS)
        ]
        try:
            for child in children:
                child.start()
            for _ in children:
                assert os.read(ours, 1)
            yield port
        finally:
            for child in children:
                child.kill()
                child.join()
            os.close(ours)
            os.close(theirs)


@pytest.mark.skipif(bool(shortage()), reason=f"60,000 connections: {shortage()}")
@pytest.mark.parametrize("engine", engines())
def test_sixty_thousand_connections(engine: str) -> None:
    with sinks() as port:
        result = measure(
            f"echo://127.0.0.1:{port}",
            *("-c", str(CONNECTIONS), "-t", str(WORKERS), "-R", "5k", "--connect-rate", "15k"),
            *("--engine", engine, "-T", "20s", "--drain", "10s"),
            seconds=3,
            warmup=0.5,
        )
    connections = result.json["connections"]
    assert connections["up"] == connections["wanted"] == CONNECTIONS
    assert connections["errors"] == {}
    assert result.errors == {}
    assert result.json["latency_ns"]["connect"]["count"] == CONNECTIONS
    assert result.json["requests"]["completed"] == result.json["requests"]["sent"] > 10_000
    # One request per connection at most four times: the load went round, not to a favourite few.
    assert result.json["fairness"]["connections"] == CONNECTIONS
    assert result.json["fairness"]["jain"] > 0.1
