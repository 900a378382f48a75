# SPDX-License-Identifier: MIT
"""What every server promises to whoever starts it: options, its own words, what it counts."""
from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from harness import models
from harness.paths import servers_dir

BUILT = sorted(path.name for path in servers_dir().glob("*"))


class Server:
    """A server that has said ready; stop() gives its counters."""

    def __init__(self, name: str, *options: str) -> None:
        self.process = subprocess.Popen(
            [str(servers_dir() / name), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        words = dict(w.partition("=")[::2] for w in self.process.stdout.readline().split())
        self.port = int(words.get("port", 0))

    def stop(self) -> dict[str, Any]:
        self.process.send_signal(signal.SIGTERM)
        out, err = self.process.communicate(timeout=20)
        assert self.process.returncode == 0, err
        counters = json.loads(out)
        assert isinstance(counters, dict)
        return counters


@contextmanager
def serving(name: str, *options: str) -> Iterator[Server]:
    server = Server(name, *options)
    try:
        assert server.port, server.process.communicate()[1]
        yield server
    finally:
        server.process.kill()
        server.process.communicate()


def run(name: str, *options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(servers_dir() / name), *options],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def can_run(name: str) -> models.Model:
    model = models.describe(servers_dir() / name)
    if model.unavailable:
        pytest.skip(model.unavailable)
    return model


# --- a known cost on top -------------------------------------------------------------------------


@pytest.mark.parametrize("name", BUILT)
def test_every_model_takes_a_known_extra_cost_and_says_what_it_is(name: str) -> None:
    model = can_run(name)
    assert "--extra-ns" in model.describe["hidden_options"]
    assert "--extra-ns" not in model.describe["options"]
    with serving(name, "--extra-ns", "300") as server:
        assert server.stop()["extra_ns_per_request"] > 0


def test_without_extra_cost_there_is_nothing_to_say() -> None:
    with serving("epoll_lt") as server:
        assert "extra_ns_per_request" not in server.stop()


def test_extra_cost_is_for_the_harness_and_not_in_the_help() -> None:
    done = run("epoll_lt", "--help")
    assert done.returncode == 0 and "--accept-batch" in done.stdout
    assert "extra" not in done.stdout


@pytest.mark.parametrize("value", ["0", "-1", "1000001", "3%", "1e3", ""])
def test_extra_cost_out_of_range_is_refused_in_one_line(value: str) -> None:
    done = run("poll", f"--extra-ns={value}")
    assert done.returncode == 2 and not done.stdout
    assert "--extra-ns" in done.stderr and f"'{value}'" in done.stderr
    assert len(done.stderr.splitlines()) == 1
