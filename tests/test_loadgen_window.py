# SPDX-License-Identifier: MIT
"""The measured window of one target: what its server used between its edges."""
from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from loadgen_util import (
    INTERRUPTED,
    LOADGEN,
    SUSPECT,
    VALID,
    VOID,
    Model,
    Server,
    echo,
    engines,
    finish,
    measure,
    model,
    run,
    started,
)

ENGINES = pytest.mark.parametrize("engine", engines())
# A loaded machine makes results suspect, not wrong.
RAN = (VALID, SUSPECT, VOID)


def cpu_clock_ns(server: Model) -> int:
    return time.clock_gettime_ns((~server.pid << 3) | 2)  # clock_getcpuclockid(3)


# --- the server's CPU time ------------------------------------------------------------------------


@ENGINES
@pytest.mark.parametrize("load", [(), ("-R", "4k")], ids=["closed", "open"])
@pytest.mark.parametrize("workers", ["1", "3"])
def test_replies_and_cpu_time_are_those_between_the_edges_of_the_window(
    engine: str, load: tuple[str, ...], workers: str
) -> None:
    with model("epoll_lt", "echo") as server:
        before = cpu_clock_ns(server)
        clock = ("--server-cpu", f"pid:{server.pid}")
        options = ("-c", "12", "--idle", "5", "-t", workers, "--engine", engine)
        done = measure(server.url("echo"), *options, *load, *clock)
        after = cpu_clock_ns(server)
        counters = server.stop()
    assert done.status in RAN, done.err
    found = done.json["server"]
    assert found["source"] == clock[1]
    assert 0 < found["cpu_ns"] < after - before
    assert found["user_ns"] is None and found["system_ns"] is None
    # The warm-up is not in it.
    assert 0 < found["replies"] < counters["requests"]
    assert 0 < found["edge_skew_ns"] < found["wall_ns"]
    assert found["tick_ns"] == round(1e9 * time.clock_getres(6))  # CLOCK_MONOTONIC_COARSE
    assert "server-cpu" not in done.codes


def test_a_group_s_cpu_time_comes_in_its_parts(tmp_path: Path) -> None:
    (tmp_path / "cpu.stat").write_text("usage_usec 30\nuser_usec 10\nsystem_usec 20\n")
    with model("epoll_lt", "echo") as server:
        done = measure(server.url("echo"), "--server-cpu", f"cgroup:{tmp_path}")
    assert done.status in RAN, done.err
    found = done.json["server"]
    assert (found["cpu_ns"], found["user_ns"], found["system_ns"]) == (0, 0, 0)
    assert found["replies"] > 0


def test_without_a_clock_nothing_is_said_of_the_server() -> None:
    with model("epoll_lt", "echo") as server:
        assert measure(server.url("echo")).json["server"] is None


def test_a_clock_that_vanishes_in_the_window_makes_the_run_void() -> None:
    with model("epoll_lt", "echo") as server, subprocess.Popen(["sleep", "60"]) as other:
        reading, writing = os.pipe()
        args = ("-c", "4", "-d", "3s", "--warmup", "0", "--json", "-", "--events-fd")
        clock = ("--server-cpu", f"pid:{other.pid}")
        argv = [LOADGEN, *args, str(writing), *clock, server.url("echo")]
        with subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, pass_fds=(writing,)
        ) as child, os.fdopen(reading) as events:
            os.close(writing)
            for line in events:
                if line.startswith("measure"):
                    other.kill()
                    other.wait()
            done = finish(child)
    assert done.status == VOID and "server-cpu" in done.codes
    assert done.json["server"]["cpu_ns"] is None
    assert f"pid:{other.pid} could not be read" in done.out


def test_an_interrupt_before_the_window_leaves_no_edges() -> None:
    with model("epoll_lt", "echo") as server:
        before = cpu_clock_ns(server)
        clock = ("--server-cpu", f"pid:{server.pid}")
        args = ("-d", "1s", "--warmup", "60s", "--json", "-", *clock)
        with started(*args, server.url("echo")) as child:
            while cpu_clock_ns(server) < before + 20_000_000:
                os.sched_yield()
            child.send_signal(signal.SIGINT)
            done = finish(child)
    assert done.status == INTERRUPTED
    assert done.json["server"] is None and "server-cpu" not in done.codes


def test_one_url_takes_one_clock() -> None:
    done = run("--server-cpu", "pid:1", "--server-cpu", "pid:2", "echo://127.0.0.1:1")
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("loadgen: --server-cpu: given 2 times for 1 URL;")


# --- a warm-up in passes --------------------------------------------------------------------------


@ENGINES
@pytest.mark.parametrize("load", [(), ("-R", "20k")], ids=["closed", "open"])
@pytest.mark.parametrize("prime", [(), ("--prime",)], ids=["unprimed", "primed"])
def test_the_window_begins_when_every_connection_has_had_its_passes(
    engine: str, load: tuple[str, ...], prime: tuple[str, ...]
) -> None:
    passes = ("--warmup-passes", "20", "--warmup-most", "50s", "-c", "50", "-t", "3")
    with model("epoll_lt", "echo") as server:
        url = server.url("echo")
        done = measure(url, *passes, "--engine", engine, *load, *prime, seconds=0.2, warmup=0)
        counters = server.stop()
    assert done.status in RAN, done.err
    result = done.json
    assert result["warmup"]["passes_made"] is True and result["warmup"]["seconds"] > 0
    assert result["complete"] is True and "warmup" not in done.codes
    assert counters["requests"] >= 20 * 50 + result["requests"]["completed"]


def test_the_least_warm_up_holds_beside_the_passes() -> None:
    with model("epoll_lt", "echo") as server:
        done = measure(server.url("echo"), "--warmup-passes", "1", "-c", "2", warmup=0.4)
    assert done.status in RAN, done.err
    assert done.json["warmup"]["passes_made"] is True
    assert done.json["warmup"]["seconds"] >= 0.4


def test_without_passes_the_warm_up_is_as_long_as_asked_for() -> None:
    with model("epoll_lt", "echo") as server:
        done = measure(server.url("echo"), warmup=0.2)
    assert done.json["warmup"] == {"seconds": 0.2, "passes_made": None}


@ENGINES
def test_a_connection_that_is_kept_waiting_cannot_delay_the_window_for_ever(engine: str) -> None:
    def handler(connection: socket.socket, number: int) -> None:
        if number:
            echo(connection, number)
        else:
            server.stopping.wait()

    with Server(handler) as server:
        options = ("--warmup-passes", "2", "--warmup-most", "300ms", "-T", "60s", "-c", "4")
        done = measure(server.url("echo"), *options, "--engine", engine, warmup=0)
        server.stopping.set()
    assert done.status in (SUSPECT, VOID), done.err
    assert "warmup" in done.codes
    assert done.json["warmup"]["passes_made"] is False
    assert done.json["warmup"]["seconds"] >= 0.3
    assert done.json["complete"] is True


def test_a_server_that_goes_while_warming_up_ends_the_run() -> None:
    with model("epoll_lt", "echo") as server:
        before = cpu_clock_ns(server)
        passes = ("--warmup-passes", "1000000", "--warmup-most", "3600s", "--warmup", "0")
        with started("-c", "4", "-d", "1s", *passes, "--json", "-", server.url("echo")) as child:
            while cpu_clock_ns(server) < before + 20_000_000:
                os.sched_yield()
            server.child.kill()
            done = finish(child)
    assert done.status == VOID and "server-gone" in done.codes
    assert done.json["requests"]["sent"] == 0
