# SPDX-License-Identifier: MIT
"""System calls fail below every server; and the check of that is able to fail.

harness/conformance/faults.py says what is injected and what must come of it.
"""
from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import re
import select
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import built
import lean
import pytest
from broken_servers import BROKEN, Claim, claims

from harness.measure import models
from harness.conformance import faults
from harness.conformance.runner import FAIL, NOT_APPLICABLE, OK, Job, plan
from harness.conformance.subject import Conditions, Subject

CASES = {case.name: case for case in faults.discover()}
WHY_NOT = faults.missing()
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)


@pytest.mark.parametrize(
    "job",
    [
        pytest.param(job, id=f"{job.model.name}-{job.case.name}")
        for job in plan(built.models(), list(CASES.values()))
    ],
)
def test_server_meets_fault(job: Job) -> None:
    result = lean.run_one(job)
    if result.outcome == NOT_APPLICABLE:
        pytest.skip(result.text)
    assert result.outcome == OK, f"{result.text}\n\n{job.case.doc}"


def test_only_a_server_that_says_so_may_end_where_a_socket_cannot_be_watched() -> None:
    aborting = [m for m in built.models() if m.describe.get("library_aborts")]
    if not aborting:
        pytest.skip("no model is built whose library calls abort(3)")
    for model in aborting:
        silent = dataclasses.replace(model, describe={**model.describe, "library_aborts": False})
        for one, outcome in ((model, OK), (silent, FAIL)):
            result = lean.run_one(Job(one, "http", CASES["register_ENOSPC"]))
            assert result.outcome == outcome, result.text


FELLED = claims("felled")


@pytest.mark.parametrize("claim", [pytest.param(c, id=f"{c.server}-{c.case}") for c in FELLED])
def test_fault_fells_a_server_not_made_for_it(claim: Claim, tmp_path: Path) -> None:
    link = tmp_path / claim.server
    link.symlink_to(BROKEN / f"{claim.server}.py")
    job = Job(models.describe(link), claim.protocol, CASES[claim.case])
    result = lean.run_one(job, Conditions(patience=0.5))
    assert result.outcome == FAIL, f"{claim.case} did nothing: {result.outcome} {result.text}"
    assert re.search(claim.says, result.text), f"something else happened: {result.text}"


def test_only_descriptors_whose_changes_are_told_count_as_edge_triggered() -> None:
    itself = cast(Subject, SimpleNamespace(server_pid=os.getpid()))
    with contextlib.ExitStack() as stack:
        level, edge, signalled = (stack.enter_context(socket.socket()) for _ in range(3))
        before = faults.edges(itself)
        told = stack.enter_context(select.epoll())
        told.register(level, select.EPOLLIN)
        told.register(edge, select.EPOLLIN | select.EPOLLET)
        fcntl.fcntl(signalled, fcntl.F_SETFL, os.O_ASYNC)
        found = {fd for pid, fd in faults.edges(itself) - before if pid == os.getpid()}
        assert found == {edge.fileno(), signalled.fileno()}


@pytest.mark.parametrize("purpose", ["accept", "receive", "send", "wait", "register", "bind"])
def test_faults_of_every_kind_can_fail(purpose: str) -> None:
    assert any(claim.case.startswith(purpose) for claim in FELLED)


def test_correct_server_of_another_hand_survives(tmp_path: Path) -> None:
    link = tmp_path / "reference"
    link.symlink_to(BROKEN / "reference.py")
    for job in plan([models.describe(link)], list(CASES.values())):
        result = lean.run_one(job)
        assert result.outcome != FAIL, f"{result.case}: {result.text}"
