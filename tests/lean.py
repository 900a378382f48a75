# SPDX-License-Identifier: MIT
"""Conformance cases in a process of their own, which has little memory.

A process that runs pytest holds every test there is and what they import, matplotlib and scipy
among it. It forks to start a server, fork(2) copies the page tables of all that, and thousands of
servers are started. So a test process has one further process, which has imported the conformance
suite and nothing else, and asks it:

    result = lean.run_one(job)     as harness.conformance.runner.run_one()
"""
from __future__ import annotations

import contextlib
import ctypes
import os
import pickle
import select
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path[0] = str(ROOT)

from harness.conformance import catalogue, faults, runner  # noqa: E402
from harness.conformance.runner import FAIL, Job, Result  # noqa: E402
from harness.conformance.subject import Conditions  # noqa: E402

PYTHON = "/usr/bin/python3"
BEYOND_S = 15.0  # a case's own time-out ends it; after this much more, the process itself hangs
HEAVY_S = 600.0  # a heavy one may have to wait for another
_PR_SET_PDEATHSIG = 1


class Lean:
    """The process. It ends with this one, or when it hangs."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [PYTHON, __file__, str(os.getpid())], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def run_one(self, job: Job, conditions: Conditions) -> Result | None:
        """None where the process died, or hung and was killed: another one is needed then."""
        asked, told = self._process.stdin, self._process.stdout
        assert asked and told
        patience_s = job.case.timeout_s * conditions.patience + BEYOND_S
        with contextlib.suppress(BrokenPipeError, EOFError):
            # A case is told by its name: its function may be one that was made when it was found.
            pickle.dump((job.model, job.protocol, job.case.name, conditions), asked)
            asked.flush()
            if select.select([told], [], [], patience_s + HEAVY_S * job.case.heavy)[0]:
                result = pickle.load(told)
                assert isinstance(result, Result)
                return result
        self._process.kill()
        self._process.wait()
        return None

    def close(self) -> None:
        """Nothing more is asked: it ends, and its CPU time is that of a child of this process."""
        assert self._process.stdin and self._process.stdout
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(BEYOND_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


_running: list[Lean] = []


def run_one(job: Job, conditions: Conditions = Conditions()) -> Result:
    """Run a case within its time-out, in the further process. `job.case` is one of those that
    catalogue and faults find."""
    if not _running:
        _running.append(Lean())
    result = _running[0].run_one(job, conditions)
    if result is None:
        _running.clear()
        text = "the process that ran the case died, or hung and was killed"
        return Result(job.model.name, job.protocol, job.case.name, FAIL, text)
    return result


def end() -> None:
    """End the further process, if there is one."""
    while _running:
        _running.pop().close()


def main(parent: int) -> None:
    """Run what is asked for on stdin until its end, or that of the parent."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    cases = {case.name: case for case in (*catalogue.discover(), *faults.discover())}
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # what somebody prints is no answer
        while True:
            try:
                model, protocol, name, conditions = pickle.load(sys.stdin.buffer)
            except EOFError:
                return
            pickle.dump(runner.run_one(Job(model, protocol, cases[name]), conditions), answers)
            answers.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]))
