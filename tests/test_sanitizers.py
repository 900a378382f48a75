# SPDX-License-Identifier: MIT
"""The whole conformance suite on instrumented servers: no report of any kind.

There is no suppression file. What is left out is left out here, each with its reason:

- Memory bounds: an instrumented process holds shadow memory and quarantined blocks, so what it uses
  says nothing of the server. The cases are n/a by themselves (Conditions.measures_memory).
- 10,000 connections: 1,000 instead. TSan knows at most 8,128 threads at a time.
- Models that use aio_read(3) under TSan: glibc starts its helper threads by an internal call that
  TSan cannot intercept, so it knows nothing of them and crashes when a signal reaches one. The
  hand-over between the server's own threads and the main thread is tested by ASan and valgrind.
- SIGTERM under TSan goes to the main thread: a thread that is in recv(2) would get it only when its
  client says something. If that is not enough it is sent once more. Without TSan any thread may get
  it, and the suite leaves that open.
- Models that keep a CPU busy under valgrind: one is taken of each family, and these would only take
  longer.
- Models that use liburing under valgrind: valgrind does not count io_uring_enter(2) among the calls
  that wait, and delivers no signal during it, so that SIGTERM has no effect.

Run by `pytest -m sanitizer`, about 6 minutes in all on 2 cores.
"""
from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.measure import models
from harness.conformance import catalogue
from harness.conformance.runner import FAIL, Job, Result, plan, run_one
from harness.conformance.subject import Conditions, conditions_for
from harness.conformance.trial import Trial
from harness.design.model import FAMILIES
from harness.paths import ROOT

pytestmark = pytest.mark.sanitizer

NAMES = sorted(path.stem for path in (ROOT / "servers").glob("*.c*"))
CASES = catalogue.discover()
VALGRIND = Conditions(
    patience=6.0,
    connections=300,
    prefix=(
        *("valgrind", "-q", "--error-exitcode=99", "--leak-check=full"),
        *("--errors-for-leak-kinds=definite", "--trace-children=no"),
    ),
    measures_memory=False,
)
# Under valgrind everything takes 30 times as long: cases about volume and waiting are left out.
TOO_LONG_FOR_VALGRIND = {"slow_reader", "greedy_client", "greedy_work", "many_slow_readers"}
TOO_LONG_FOR_VALGRIND |= {"connect_burst", "ten_thousand", "no_descriptors", "http_work_and_sleep"}


def _build(flags: str) -> Path:
    """make SAN=…, once however many of us ask at a time."""
    with open(Path(tempfile.gettempdir()) / f"tenk-build-{os.getuid()}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        build = ROOT / "build" / f"san-{flags.replace(',', '-')}"
        targets = [str((build / "servers" / name).relative_to(ROOT)) for name in NAMES]
        argv = ["make", "-C", str(ROOT), "--no-print-directory", "-j2", f"SAN={flags}", *targets]
        # Not as a part of the make that runs us: its job server and its variables are not ours.
        env = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
        done = subprocess.run(argv, capture_output=True, text=True, env=env, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return build


def _describe(build: Path, name: str) -> models.Model:
    model = models.describe(build / "servers" / name)
    if model.unavailable:
        pytest.skip(model.unavailable)
    return model


def _hold(jobs: Sequence[Job], conditions: Conditions) -> None:
    failures = [r for r in (run_one(job, conditions) for job in jobs) if r.outcome == FAIL]
    assert not failures, "\n\n".join(map(_text, failures))


def _text(result: Result) -> str:
    return f"{result.model}, {result.protocol}, {result.case}: {result.text}"


def _imports(model: models.Model, symbol: str) -> bool:
    done = subprocess.run(["nm", "-D", str(model.path)], capture_output=True, text=True, check=True)
    return f" U {symbol}" in done.stdout


def _threads(model: models.Model) -> int:
    """Its threads while it serves a client; those the kernel runs for io_uring are none of it."""
    with Trial(model, model.protocols[0]) as trial:
        subject = trial.start()
        with trial.connect(subject) as peer:
            trial.talk.exchange(peer)
            tasks = Path(f"/proc/{subject.server_pid}/task")
            names = [(task / "comm").read_text(encoding="ascii") for task in tasks.iterdir()]
    return sum(not name.startswith("iou-") for name in names)


@pytest.mark.parametrize("name", NAMES)
def test_no_report_from_asan_and_ubsan(name: str) -> None:
    build = _build("address,undefined")
    _hold(plan([_describe(build, name)], CASES), conditions_for(build))


@pytest.mark.parametrize("name", NAMES)
def test_no_report_from_tsan(name: str) -> None:
    normal = ROOT / "build"
    if (normal / "servers" / name).exists():
        model = _describe(normal, name)
        if _threads(model) < 2:
            pytest.skip("one thread")
        if _imports(model, "aio_read"):
            pytest.skip("TSan does not know the threads that glibc makes for aio_read(3)")
    build = _build("thread")
    _hold(plan([_describe(build, name)], CASES), conditions_for(build))


def _representatives() -> dict[str, str]:
    """Family → the first of its models that valgrind can run."""
    found: dict[str, str] = {}
    for name in NAMES:
        path = ROOT / "build" / "servers" / name
        if path.exists():
            model = models.describe(path)
            uring = _imports(model, "io_uring_submit")
            if not (model.unavailable or uring or model.busy_polls):
                found.setdefault(model.family, name)
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_no_report_from_valgrind(family: str) -> None:
    if not shutil.which("valgrind"):
        pytest.skip("valgrind is not installed")
    name = _representatives().get(family)
    if name is None:
        pytest.skip(f"no model of the family {family} is built that valgrind can run")
    cases = [case for case in CASES if case.name not in TOO_LONG_FOR_VALGRIND]
    _hold(plan([_describe(ROOT / "build", name)], cases), VALGRIND)
