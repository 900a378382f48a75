# SPDX-License-Identifier: MIT
"""Several targets in one run, in turns and together: what a slice says is what happened in it."""
from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.judge import hdr
from loadgen_util import (
    FAILED,
    INTERRUPTED,
    LOADGEN,
    SUSPECT,
    USAGE,
    VALID,
    VOID,
    Model,
    Run,
    Server,
    echo,
    engines,
    finish,
    model,
    run,
    started,
    workers_of,
)

ENGINES = pytest.mark.parametrize("engine", engines())
ARRANGEMENTS = pytest.mark.parametrize("arrangement", ["turns", "together"])
# A loaded machine makes results suspect, not wrong.
RAN = (VALID, SUSPECT, VOID)
QUICK = ("--slice", "20ms", "--warmup", "100ms", "-c", "8", "--json", "-")


@contextlib.contextmanager
def models(*names: str) -> Iterator[list[Model]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(model(name, "echo")) for name in names]


def compare(servers: list[Model], *args: str) -> Run:
    clocks = [arg for server in servers for arg in ("--server-cpu", f"pid:{server.pid}")]
    return run(*QUICK, *args, *clocks, *(server.url("echo") for server in servers))


def cpu_clock_ns(server: Model) -> int:
    return time.clock_gettime_ns((~server.pid << 3) | 2)  # clock_getcpuclockid(3)


def counted(result: dict[str, Any], target: int | None = None) -> list[dict[str, Any]]:
    slices: list[dict[str, Any]] = result["slices"]
    return [s for s in slices if not s["warmup"] and target in (None, s["target"])]


@ENGINES
@pytest.mark.parametrize("load", [(), ("-R", "4k")], ids=["closed", "open"])
@pytest.mark.parametrize("workers", ["1", "3"])
def test_slices_in_turns_add_up_to_their_target(
    engine: str, load: tuple[str, ...], workers: str
) -> None:
    with models("epoll_lt", "epoll_et") as servers:
        done = compare(servers, "--rounds", "3", "--engine", engine, "-t", workers, *load)
    assert done.status in RAN, done.err
    result = done.json
    for i, target in enumerate(result["targets"]):
        slices = counted(result, i)
        assert [s["round"] for s in slices] == [0, 1, 2]
        requests = target["requests"]
        assert sum(s["sent"] for s in slices) == requests["sent"] > 0
        total = target["latency_ns"]["response"]["count"]
        assert sum(s["latency"]["count"] for s in slices) == total
        response = target["latency_ns"]["response"]
        pooled = hdr.percentiles((s["histogram"] for s in slices), total, (50, 99, 99.9))
        assert pooled == [float(response[name]) for name in ("p50", "p99", "p99_9")]
        assert requests["sent"] + requests["unsent"] == total
        if load:
            assert sum(s["due"] for s in slices) == total
        else:
            assert all(s["due"] is None for s in slices)
        assert target["verdict"]["status"] in ("valid", "suspect", "void")
        assert "incomplete" not in {r["code"] for r in target["verdict"]["reasons"]}


@ARRANGEMENTS
def test_edges_follow_each_other(arrangement: str) -> None:
    with models("epoll_lt", "epoll_lt", "poll") as servers:
        extra = ("--rounds", "2") if arrangement == "turns" else ("-d", "100ms")
        done = compare(servers, "--arrangement", arrangement, *extra)
    assert done.status in RAN, done.err
    slices = done.json["slices"]
    assert len(counted(done.json)) >= 6
    for s in slices:
        assert s["begin_ns"] <= s["from_ns"] < s["to_ns"] <= s["drained_ns"]
        assert s["edge_skew_ns"] > 0 and s["failures"] == 0
    for target in range(3):
        mine = [s for s in slices if s["target"] == target]
        assert sum(s["replies"] for s in mine) > 0 and sum(s["server_cpu_ns"] for s in mine) > 0
        if arrangement == "together":
            assert all(a["to_ns"] == b["from_ns"] for a, b in zip(mine, mine[1:]))
    if arrangement == "together":
        return
    # One at a time: who is next begins when the one before has drained.
    slices.sort(key=lambda s: s["begin_ns"])
    assert all(a["drained_ns"] <= b["begin_ns"] for a, b in zip(slices, slices[1:]))
    assert [s["warmup"] for s in slices] == [True] * 3 + [False] * 6
    for first in range(0, 9, 3):
        assert {s["target"] for s in slices[first : first + 3]} == {0, 1, 2}


def test_slices_together_cover_the_window() -> None:
    with models("epoll_lt", "epoll_et") as servers:
        done = compare(servers, "--arrangement", "together", "-d", "200ms", "-R", "2k", "-t", "2")
    assert done.status in RAN, done.err
    for i, target in enumerate(done.json["targets"]):
        slices = counted(done.json, i)
        # A worker without a CPU takes fewer edges than were due.
        assert [s["round"] for s in slices] == list(range(len(slices)))
        assert 1 <= len(slices) <= 10
        assert all(a["to_ns"] == b["from_ns"] for a, b in zip(slices, slices[1:]))
        assert all(s["turn_cpu_ns"] is None and s["turn_replies"] is None for s in slices)
        assert all(s["idle_ns"] is None and s["due"] is not None for s in slices)
        # Every response of the window is in a slice, but for those of the drain.
        latency = target["latency_ns"]["response"]
        recorded = sum(s["latency"]["count"] for s in slices)
        assert 0 < recorded <= latency["count"]


class Witness:
    """A server that answers and notes when bytes came, by CLOCK_MONOTONIC."""

    def __init__(self) -> None:
        self.times: list[int] = []
        self.server = Server(self._serve)

    def _serve(self, connection: socket.socket, _: int) -> None:
        while data := connection.recv(65536):
            self.times.append(time.monotonic_ns())
            connection.sendall(data)


def test_a_server_is_sent_nothing_while_another_has_the_turn() -> None:
    witnesses = [Witness(), Witness()]
    urls = [witness.server.url("echo") for witness in witnesses]
    done = run(*QUICK, "--rounds", "4", "--idle", "3", "--short-lived", "2", *urls)
    for witness in witnesses:
        witness.server.close()
    assert done.status in RAN, done.err
    start = done.json["started_monotonic_ns"]
    for target, witness in enumerate(witnesses):
        turns = [
            (start + s["begin_ns"], start + s["drained_ns"])
            for s in done.json["slices"]
            if s["target"] == target
        ]
        times = [t for t in witness.times if t >= start]
        assert len(times) > 10
        assert all(any(begin <= t <= end for begin, end in turns) for t in times)


def test_the_cpu_time_in_a_slice_is_that_of_its_own_server() -> None:
    spin_us = 300
    with model("epoll_lt", "http") as costly, model("epoll_lt", "http") as cheap:
        for servers in ([costly, cheap], [cheap, costly]):
            clocks = [a for s in servers for a in ("--server-cpu", f"pid:{s.pid}")]
            paths = [f"/work/{spin_us}" if s is costly else "/" for s in servers]
            urls = [s.url("http", path) for s, path in zip(servers, paths)]
            done = run(*QUICK, "--rounds", "2", *clocks, *urls)
            assert done.status in RAN, done.err
            for i, server in enumerate(servers):
                slices = counted(done.json, i)
                cpu = sum(s["turn_cpu_ns"] for s in slices)
                replies = sum(s["turn_replies"] for s in slices)
                assert replies > sum(s["replies"] for s in slices) > 0
                if server is costly:
                    assert cpu >= replies * spin_us * 1000
                else:
                    assert cpu < replies * spin_us * 1000


def test_what_a_server_used_is_in_its_turns_or_between_them() -> None:
    with models("epoll_lt", "poll") as servers:
        before = [cpu_clock_ns(server) for server in servers]
        done = compare(servers, "--rounds", "5")
        used = [cpu_clock_ns(server) - b for server, b in zip(servers, before)]
    assert done.status in RAN, done.err
    for target, total in enumerate(used):
        slices = [s for s in done.json["slices"] if s["target"] == target]
        told = sum(s["turn_cpu_ns"] + (s["idle_cpu_ns"] or 0) for s in slices)
        # The rest went into opening and closing connections.
        assert 0 < told <= total
        assert all(s["turn_cpu_ns"] >= s["server_cpu_ns"] for s in slices)


def test_a_control_group_gives_user_and_system_time(tmp_path: Path) -> None:
    group = tmp_path / "cpu.stat"
    group.write_text("usage_usec 70\nuser_usec 40\nsystem_usec 30\n", encoding="ascii")
    with model("epoll_lt", "echo") as server:
        url = server.url("echo")
        clocks = ("--server-cpu", f"cgroup:{tmp_path}", "--server-cpu", f"cgroup:{group}")
        done = run(*QUICK, "--rounds", "1", *clocks, url, url)
    assert done.status in RAN, done.err
    for s in counted(done.json):
        assert (s["server_cpu_ns"], s["server_user_ns"], s["server_system_ns"]) == (0, 0, 0)


def test_without_a_clock_the_server_s_time_is_not_known() -> None:
    with model("epoll_lt", "echo") as server:
        done = run(*QUICK, "--rounds", "1", server.url("echo"), server.url("echo"))
    assert done.status in RAN, done.err
    assert [target["server_cpu"] for target in done.json["targets"]] == [None, None]
    for s in done.json["slices"]:
        assert s["turn_cpu_ns"] is None and s["turn_replies"] >= s["replies"]
        assert s["server_cpu_ns"] is None and s["foreign_cpu_ns"] is None
        assert s["idle_cpu_ns"] is None


@pytest.mark.parametrize(
    ("spec", "status", "says"),
    [
        ("pid:0", USAGE, "is not pid:N, tree:N, cgroup:PATH or none"),
        ("12", USAGE, "is not pid:N, tree:N, cgroup:PATH or none"),
        ("pid:4194304", FAILED, "there is no such process"),
        ("cgroup:/nowhere", FAILED, "No such file or directory"),
        ("cgroup:/dev/null", FAILED, "no usage_usec"),
    ],
)
def test_a_clock_that_is_not_there_is_named(spec: str, status: int, says: str) -> None:
    urls = ("echo://127.0.0.1:1", "echo://127.0.0.1:1")
    done = run("--server-cpu", spec, "--server-cpu", spec, *urls)
    assert (done.status, done.out) == (status, "")
    assert done.err.startswith(f"loadgen: --server-cpu: '{spec}'") and says in done.err
    assert done.err.count("\n") == 1


@ARRANGEMENTS
def test_a_target_that_is_not_there_is_named(arrangement: str) -> None:
    with socket.socket() as unused, model("epoll_lt", "echo") as server:
        unused.bind(("127.0.0.1", 0))
        absent = f"echo://127.0.0.1:{unused.getsockname()[1]}"
        done = run(*QUICK, "--arrangement", arrangement, server.url("echo"), absent)
    assert (done.status, done.out) == (FAILED, "")
    assert done.err == f"loadgen: connect to {absent}: Connection refused; is the server running?\n"


def wait_for_load(server: Model) -> None:
    """Until the server has used some CPU time: the run is under way."""
    before = cpu_clock_ns(server)
    while cpu_clock_ns(server) < before + 20_000_000:
        os.sched_yield()


LONG = (*QUICK, "--rounds", "2000")


@ARRANGEMENTS
def test_a_server_that_dies_in_mid_run_makes_it_void(arrangement: str) -> None:
    lasting = LONG if arrangement == "turns" else (*QUICK, "-d", "3s")
    with models("epoll_lt", "epoll_lt") as servers:
        urls = [server.url("echo") for server in servers]
        clocks = [a for s in servers for a in ("--server-cpu", f"pid:{s.pid}")]
        with started(*lasting, "--arrangement", arrangement, *clocks, *urls) as child:
            wait_for_load(servers[1])
            os.kill(servers[1].pid, signal.SIGKILL)
            done = finish(child)
    assert done.status == VOID and done.err == ""
    texts = {reason["code"]: reason["text"] for reason in done.json["verdict"]["reasons"]}
    assert texts["server-gone"].startswith(urls[1])


def test_an_interrupted_run_keeps_the_slices_that_were_over() -> None:
    with models("epoll_lt", "epoll_lt") as servers:
        urls = [server.url("echo") for server in servers]
        with started(*LONG, *urls) as child:
            wait_for_load(servers[0])
            wait_for_load(servers[1])
            workers = workers_of(child.pid)
            child.send_signal(signal.SIGINT)
            done = finish(child)
    assert done.status == INTERRUPTED and done.err == ""
    assert "interrupted" in done.codes and 0 < len(done.json["slices"]) < 4002
    assert not done.json["complete"]
    assert len(workers) == 2 and not any(Path(f"/proc/{pid}").exists() for pid in workers)


def test_a_worker_that_is_killed_ends_the_run() -> None:
    with models("epoll_lt", "epoll_lt") as servers:
        urls = [server.url("echo") for server in servers]
        with started(*LONG, "-t", "2", *urls) as child:
            wait_for_load(servers[1])
            workers = workers_of(child.pid)
            os.kill(workers[-1], signal.SIGKILL)
            done = finish(child)
    assert (done.status, done.out) == (FAILED, "")
    assert done.err == "loadgen: a worker process died\n"
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


def test_a_worker_that_is_stopped_ends_the_run_with_its_target() -> None:
    with models("epoll_lt", "epoll_lt") as servers:
        urls = [server.url("echo") for server in servers]
        with started(*LONG, "-T", "100ms", *urls) as child:
            wait_for_load(servers[1])
            workers = workers_of(child.pid)
            os.kill(workers[0], signal.SIGSTOP)
            done = finish(child)
    assert (done.status, done.out) == (FAILED, "")
    assert done.err.startswith(f"loadgen: {urls[0]}: a worker of this target did not end its turn")
    assert done.err.count("\n") == 1
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


def test_eight_targets_of_all_kinds_take_turns() -> None:
    names = ("epoll_lt", "epoll_et", "poll", "thread", "fork", "thread_pool", "epoll_lt", "poll")
    populations = ("--idle", "4", "--silent", "2", "--slow-readers", "1", "--slow-writers", "1")
    with models(*names) as servers:
        urls = [server.url("echo") for server in servers]
        done = run(*QUICK, "--rounds", "2", *populations, *urls)
    assert done.status in RAN, done.err
    assert len(counted(done.json)) == 16
    for target in done.json["targets"]:
        assert target["populations"]["idle"]["up"] == 4
        assert target["requests"]["errors"] == {}
        assert target["requests"]["completed"] > 0


def test_each_target_has_the_descriptors_of_a_process_of_its_own() -> None:
    with model("epoll_lt", "echo") as server:
        limited = ("prlimit", "--nofile=128:128", str(LOADGEN))
        argv = [*limited, *QUICK, "-c", "90", "--rounds", "1", *[server.url("echo")] * 4]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in RAN, done.stderr


def test_a_server_that_does_not_answer_costs_its_turn_a_timeout() -> None:
    def mute(connection: socket.socket, _: int) -> None:
        while connection.recv(65536):
            pass

    with Server(mute) as dumb, Server(echo) as fine:
        done = run(*QUICK, "--rounds", "2", "-T", "50ms", dumb.url("echo"), fine.url("echo"))
    assert done.status == VOID
    silent, right = done.json["targets"]
    assert silent["requests"]["completed"] == 0
    assert silent["requests"]["errors"].keys() <= {"timeout"}
    assert right["requests"]["completed"] > 0


def test_the_text_has_one_line_for_each_target() -> None:
    with models("epoll_lt", "poll") as servers:
        urls = [server.url("echo") for server in servers]
        clocks = [a for s in servers for a in ("--server-cpu", f"pid:{s.pid}")]
        done = run("--slice", "20ms", "--rounds", "2", "--warmup", "50ms", "-L", *clocks, *urls)
    assert done.status in RAN, done.err
    assert done.out.count("Latency Distribution (response time)") == 2
    for url in urls:
        line = next(line for line in done.out.splitlines() if line.endswith(url))
        slices, rate, p50, p99, cpu, _ = line.split()
        assert int(slices) == 2 and float(rate) > 0 and cpu.endswith("us")
        assert p50 != "-" and p99 != "-"
