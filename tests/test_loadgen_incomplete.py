# SPDX-License-Identifier: MIT
"""A run that did not go its whole way never looks as if it had: workers stopped, killed,
overrun."""
from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadgen_util import (
    FAILED,
    INTERRUPTED,
    LIMIT_S,
    LOADGEN,
    SUSPECT,
    VOID,
    Run,
    finish,
    measure,
    model,
    started,
    workers_of,
)


@contextlib.contextmanager
def measuring(*args: str) -> Iterator[subprocess.Popen[str]]:
    """A run whose window has just begun."""
    reading, writing = os.pipe()
    with os.fdopen(reading) as events, subprocess.Popen(
        [LOADGEN, *args, "--warmup", "0", "--json", "-", "--events-fd", str(writing)],
        pass_fds=[writing],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        os.close(writing)
        try:
            for line in events:
                if line == "measure\n":
                    break
            yield child
        finally:
            if child.poll() is None:
                child.kill()


def no_result(done: Run, *words: str) -> None:
    """Exit status 1, nothing but one line."""
    assert done.status == FAILED, done
    assert done.out == "" and done.err.count("\n") == 1
    assert [word for word in words if word not in done.err] == [], done.err


def stopped_worker(child: subprocess.Popen[str]) -> int:
    worker = workers_of(child.pid)[0]
    os.kill(worker, signal.SIGSTOP)
    return worker


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("load", [[], ["-R", "1k"]])
def test_a_worker_stopped_in_mid_window_leaves_no_result(load: list[str], workers: str) -> None:
    with model("epoll_lt", "echo") as server:
        args = ("-t", workers, "-d", "500ms", "--drain", "100ms", *load)
        with measuring(*args, server.url("echo")) as child:
            stopped_worker(child)
            no_result(finish(child), "worker 0", "was killed", "--cpus")


def test_a_worker_stopped_for_most_of_the_window_is_not_believed() -> None:
    with model("epoll_lt", "echo") as server:
        with measuring("-c", "4", "-d", "2s", server.url("echo")) as child:
            worker = stopped_worker(child)
            time.sleep(1.5)  # of the window, which goes on
            os.kill(worker, signal.SIGCONT)
            result = finish(child)
    assert "client-limited" in result.codes
    absent = result.json["cpu_s"]["absent_fraction"]
    assert absent > 0.1  # this program may have been late
    assert result.status in ((VOID,) if absent > 0.5 else (SUSPECT, VOID))


def test_an_interrupted_run_says_which_share_is_missing() -> None:
    with model("epoll_lt", "echo") as server:
        with measuring("-t", "2", "-d", "60s", server.url("echo")) as child:
            stopped_worker(child)
            child.send_signal(signal.SIGINT)
            result = finish(child)
    assert result.status == INTERRUPTED
    assert result.codes >= {"interrupted", "incomplete"}
    assert result.json["complete"] is False
    texts = [reason["text"] for reason in result.json["verdict"]["reasons"]]
    assert any("1 of 2 workers" in text or "do not add up" in text for text in texts)


def test_a_worker_stopped_while_it_connects_ends_the_run() -> None:
    with model("epoll_lt", "echo") as server:
        args = ("-c", "1000", "--connect-rate", "1", "-d", "60s", "--json", "-")
        with started(*args, server.url("echo")) as child:
            deadline = time.monotonic() + LIMIT_S
            while not workers_of(child.pid) and time.monotonic() < deadline:
                time.sleep(0.01)
            stopped_worker(child)
            no_result(finish(child), "worker 0 did not move", "while connecting")


@pytest.mark.parametrize("arrival", ["fixed", "poisson"])
def test_more_arrivals_than_a_client_can_send_are_all_accounted_for(arrival: str) -> None:
    with model("epoll_lt", "echo") as server:
        result = measure(
            server.url("echo"),
            *("-c", "1", "-R", "1G", "--arrival", arrival, "--drain", "100ms"),
            seconds=2,
            warmup=0,
        )
    assert result.err == "" and result.status in (SUSPECT, VOID)
    assert "schedule" in result.codes
    requests = result.json["requests"]
    # 2,000,000,000; of Poisson arrivals within five standard deviations.
    assert abs(requests["sent"] + requests["unsent"] - 2e9) <= (
        1 if arrival == "fixed" else 5 * 2e9**0.5
    )
    assert (requests["unsent_estimated"] > 0) == (arrival == "poisson")
    parts = requests["completed"] + requests["unanswered"] + requests["failed"]
    assert requests["sent"] == parts
    assert result.json["latency_ns"]["response"]["p99_9"] == "inf"


def softnet_drops() -> int:
    lines = Path("/proc/net/softnet_stat").read_text(encoding="ascii").splitlines()
    return sum(int(line.split()[1], 16) for line in lines)


def test_packets_dropped_on_this_machine_are_in_the_result() -> None:
    before = softnet_drops()
    with model("epoll_lt", "echo") as server:
        result = measure(server.url("echo"))
    drops = result.json["disturbance"]["softnet_drops"]
    assert 0 <= drops <= (softnet_drops() - before) % 2**32
    assert ("softnet-drops" in result.codes) == (
        drops > 1e-4 * result.json["requests"]["completed"]
    )
