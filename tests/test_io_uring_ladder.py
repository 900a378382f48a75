# SPDX-License-Identifier: MIT
"""The rungs of io_uring are what their files say: each asks the kernel for its flags and no others.

A rung that quietly fell back to a lower one would be measured twice under two names.
"""
from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.measure import models
from harness.paths import ROOT, servers_dir

RUNGS = sorted(path.stem for path in (ROOT / "servers").glob("io_uring*.c"))
# IORING_SETUP_… of linux/io_uring.h. Those of the rings' sizes are no part of a rung.
SQPOLL, SQ_AFF, CQSIZE, CLAMP, COOP_TASKRUN = 1 << 1, 1 << 2, 1 << 3, 1 << 4, 1 << 8
SINGLE_ISSUER, DEFER_TASKRUN = 1 << 12, 1 << 13
FLAGS = {"io_uring": 0, "io_uring_coop": COOP_TASKRUN, "io_uring_sqpoll": SQPOLL | SQ_AFF}
ABOVE = SINGLE_ISSUER | DEFER_TASKRUN

each_rung = pytest.mark.parametrize("name", RUNGS)
needs_strace = pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")


def can_run(name: str) -> None:
    unavailable = models.describe(servers_dir() / name).unavailable
    if unavailable:
        pytest.skip(unavailable)


@contextmanager
def serving(argv: list[str]) -> Iterator[tuple[int, int]]:
    """A server that has said ready: its process and port. It has to end well."""
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            ready = dict(w.partition("=")[::2] for w in process.stdout.readline().split())
            yield int(ready["pid"]), int(ready["port"])
            os.kill(int(ready["pid"]), signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            process.kill()


@contextmanager
def client(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as peer:
        yield peer


def echo(peer: socket.socket, data: bytes) -> None:
    peer.sendall(data)
    got = b""
    while len(got) < len(data):
        piece = peer.recv(len(data) - len(got))
        assert piece, f"it closed after {len(got)} bytes"
        got += piece
    assert got == data


@needs_strace
@each_rung
def test_a_rung_asks_for_its_own_flags_and_no_others(name: str, tmp_path: Path) -> None:
    can_run(name)
    log = tmp_path / "log"
    trace = ["strace", "-f", "-qq", "-X", "raw", "-o", str(log), "-e", "trace=io_uring_setup"]
    with serving([*trace, str(servers_dir() / name)]):
        pass
    asked = re.findall(r"\{flags=(\w+),", log.read_text(encoding="utf-8"))
    assert len(asked) > 1  # to probe, and to serve
    assert int(asked[-1], 0) & ~(CQSIZE | CLAMP) == FLAGS.get(name, ABOVE)


@needs_strace
@each_rung
@pytest.mark.parametrize(
    "error, says", [("EINVAL", "Linux"), ("ENOSYS", "io_uring_disabled"), ("ENOMEM", "ulimit -l")]
)
def test_a_kernel_without_the_rung_is_told_from_one_that_forbids_it(
    name: str, error: str, says: str
) -> None:
    can_run(name)
    inject = [
        "strace",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        f"inject=io_uring_setup:error={error}",
    ]
    done = subprocess.run(
        [*inject, str(servers_dir() / name), "--describe"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 77
    assert says in done.stderr and len(done.stderr.splitlines()) == 1
    assert not done.stdout


@pytest.mark.parametrize("name", ["io_uring_direct", "io_uring_bundle", "io_uring_zc"])
def test_direct_sockets_are_no_descriptors_of_the_process(name: str) -> None:
    can_run(name)
    with serving([str(servers_dir() / name)]) as (pid, port):
        before = len(os.listdir(f"/proc/{pid}/fd"))
        peers = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(20)]
        for peer in peers:
            echo(peer, b"hello")
        assert len(os.listdir(f"/proc/{pid}/fd")) == before
        for peer in peers:
            peer.close()


def test_a_place_in_the_table_is_free_again_when_its_client_has_gone() -> None:
    can_run("io_uring_direct")
    with serving([str(servers_dir() / "io_uring_direct"), "-c", "2"]) as (_, port):
        for _ in range(100):  # many times the places that there are
            with client(port) as one, client(port) as other:
                echo(one, b"one")
                echo(other, b"other")


def test_the_thread_of_sqpoll_stays_on_the_cpus_of_the_server() -> None:
    can_run("io_uring_sqpoll")
    cpu = str(max(os.sched_getaffinity(0)))
    argv = ["taskset", "-c", cpu, str(servers_dir() / "io_uring_sqpoll")]
    with serving(argv) as (pid, _):
        status = [(t / "status").read_text("ascii") for t in Path(f"/proc/{pid}/task").iterdir()]
        assert any(text.startswith("Name:\tiou-sqp") for text in status)
        assert {re.findall(r"Cpus_allowed_list:\t(.*)", text)[0] for text in status} == {cpu}


def _spent_ns(pid: int) -> int:
    tasks = list(Path(f"/proc/{pid}/task").iterdir())
    return sum(int((task / "schedstat").read_text("ascii").split()[0]) for task in tasks)


def test_the_thread_of_sqpoll_sleeps_while_nobody_asks() -> None:
    can_run("io_uring_sqpoll")
    with serving([str(servers_dir() / "io_uring_sqpoll")]) as (pid, port):
        with client(port) as peer:
            echo(peer, b"hello")
            deadline = time.monotonic() + 20
            still = False
            while not still and time.monotonic() < deadline:  # until it is seen not to run
                before = _spent_ns(pid)
                time.sleep(0.1)
                still = _spent_ns(pid) == before
            assert still, "it ran in every tenth of a second for 20 s"
            echo(peer, b"hello again")  # and it is woken


def test_zero_copy_goes_on_with_copies_where_no_memory_may_be_locked() -> None:
    can_run("io_uring_zc")
    argv = [str(servers_dir() / "io_uring_zc"), "-c", "20"]
    if os.geteuid() == 0:  # who may lock any memory
        if not shutil.which("setpriv"):
            pytest.skip("setpriv is not installed")
        argv = ["setpriv", "--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock", *argv]
    with serving(argv) as (pid, port):
        resource.prlimit(pid, resource.RLIMIT_MEMLOCK, (0, 0))  # the ring itself has its own
        with client(port) as peer:
            for size in (1, 4000, 16000):
                echo(peer, bytes(range(256)) * (size // 256) + b"end")
