# SPDX-License-Identifier: MIT
"""The probe `switch`: does it switch where it says it does?"""
from __future__ import annotations

import json
import os
import subprocess

import pytest

from harness.paths import build_dir

PROGRAM = build_dir() / "probes" / "switch"
CHANGES = 32 * 5000  # of its batches, one to warm up


def run(*words: str) -> tuple[int, str, str, int]:
    """Status, stdout, stderr, and how often one of its threads waited (voluntary switches)."""
    with subprocess.Popen(
        [PROGRAM, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None and child.stderr is not None
        out, err = child.stdout.read(), child.stderr.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    return child.returncode, out, err, usage.ru_nvcsw


def test_threads_change_in_the_kernel_and_coroutines_do_not() -> None:
    waits = {}
    for model in ("coroutine", "thread"):
        status, out, err, waits[model] = run(model, "10")
        assert status == 0, err
        assert set(json.loads(out)) == {"switch_ns", "syscall_ns"}
        assert all(value > 0 for value in json.loads(out).values())
    assert waits["coroutine"] < CHANGES / 100
    assert waits["thread"] > CHANGES / 2


@pytest.mark.parametrize("words", [("poll", "2"), ("thread", "1"), ("thread", "x"), ("thread",)])
def test_what_it_cannot_do_is_refused_in_one_line(words: tuple[str, ...]) -> None:
    status, out, err, _ = run(*words)
    assert (status, out) == (2, "") and err.count("\n") == 1
