# SPDX-License-Identifier: MIT
"""The conformance suite: every model × protocol × case; and that the suite is able to fail.

tests/broken holds a correct server in Python, which must pass every case, and one deliberately
broken server for each way in which a case must fail.
"""
from __future__ import annotations

import itertools
import re
import subprocess
from collections import Counter
from pathlib import Path

import built
import in_turn
import lean
import pytest
from broken_servers import BROKEN, Claim, claims

from harness.measure import models, process
from harness.conformance import catalogue, core, gate, matrix
from harness.conformance.runner import FAIL, NOT_APPLICABLE, OK, Job, Result, plan, run_all, run_one
from harness.conformance.subject import Conditions, Spent, Subject
from harness.paths import ROOT

CASES = {case.name: case for case in catalogue.discover()}
# Servers that fail are waited for; those here are small and quick.
HASTY = Conditions(patience=0.4)


def _jobs(chosen: list[models.Model]) -> list[pytest.param]:
    names = sorted(path.stem for path in (ROOT / "servers").glob("*.c*"))
    return [
        pytest.param(job, id=f"{job.model.name}-{job.protocol}-{job.case.name}")
        for job in in_turn.chosen(plan(chosen, list(CASES.values())), names)
    ]


def _python_server(name: str, directory: Path) -> models.Model:
    """A file of tests/broken as a model: its name has no suffix."""
    link = directory / name
    link.symlink_to(BROKEN / f"{name}.py")
    return models.describe(link)


def _hold(result: Result) -> None:
    if result.outcome == NOT_APPLICABLE:
        pytest.skip(result.text)
    assert result.outcome == OK, f"{result.text}\n\n{CASES[result.case].doc}"


# --- the servers -----------------------------------------------------------------------------


@pytest.mark.parametrize("job", _jobs(built.models()))
def test_server(job: Job) -> None:
    _hold(lean.run_one(job))


def _made_up(protocols: tuple[str, ...] = ("echo", "http", "rot13")) -> list[Job]:
    several = [models.Model(f"model_{k}", Path("x"), protocols=protocols) for k in range(9)]
    return plan(several, list(CASES.values()))


def test_each_case_meets_each_of_its_protocols_and_each_model_each_case(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(in_turn.EVERY, raising=False)
    every = _made_up()
    chosen = in_turn.chosen(every, [f"model_{k}" for k in range(9)])
    assert set(chosen) <= set(every)
    tried = Counter((job.case.name, job.protocol) for job in chosen)
    for case in CASES.values():
        spoken = case.spoken(every[0].model)
        whole = case.gate or case.once or case.protocols
        for protocol in spoken:
            assert tried[case.name, protocol] == (9 if whole else 9 / len(spoken))
    by_model = {(job.model.name, job.case.name) for job in chosen}
    assert by_model == {(job.model.name, job.case.name) for job in every}


def test_nothing_is_left_out_where_every_protocol_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(in_turn.EVERY, "1")
    assert in_turn.chosen(_made_up(), [f"model_{k}" for k in range(9)]) == _made_up()


def test_a_model_of_one_protocol_is_tested_with_all_its_cases(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(in_turn.EVERY, raising=False)
    every = _made_up(("http",))
    assert in_turn.chosen(every, [f"model_{k}" for k in range(9)]) == every


def test_servers_are_built() -> None:
    assert built.models(), "nothing to test: run make first"


@pytest.mark.parametrize("model", [pytest.param(m, id=m.name) for m in built.models()])
def test_server_can_run_here(model: models.Model) -> None:
    if model.unavailable:
        pytest.skip(model.unavailable)
    assert model.describe["name"] == model.name


# --- the suite -------------------------------------------------------------------------------


CAUGHT = claims("caught")


@pytest.mark.parametrize("name", CASES)
def test_case_passes_a_correct_server_of_another_hand(name: str, tmp_path: Path) -> None:
    reference = _python_server("reference", tmp_path)
    for job in plan([reference], [CASES[name]]):
        result = lean.run_one(job)
        assert result.outcome != FAIL, f"{result.protocol}: {result.text}"


@pytest.mark.parametrize(
    "fault", [pytest.param(f, id=f"{f.server}-{f.protocol}-{f.case}") for f in CAUGHT]
)
def test_case_catches_a_broken_server(fault: Claim, tmp_path: Path) -> None:
    broken = _python_server(fault.server, tmp_path)
    assert not broken.unavailable, broken.unavailable
    result = lean.run_one(Job(broken, fault.protocol, CASES[fault.case]), HASTY)
    assert result.outcome == FAIL, f"{fault.case} did not notice"
    assert re.search(fault.says, result.text), f"it noticed something else: {result.text}"


@pytest.mark.parametrize("name", CASES)
def test_case_can_fail(name: str) -> None:
    assert any(fault.case == name for fault in CAUGHT), f"no broken server is caught by {name}"


@pytest.mark.parametrize("name", CASES)
def test_case_explains_itself(name: str) -> None:
    assert "What usually goes wrong:" in CASES[name].doc
    assert len(CASES[name].summary) > 30


def test_gate_names_model_protocol_and_case(tmp_path: Path) -> None:
    broken = _python_server("deaf", tmp_path)
    failures = gate([broken], protocols=["echo"])
    assert any(str(f).startswith("deaf, echo: stop_idle: still there") for f in failures)


def test_gate_finds_nothing_wrong_with_a_correct_server(tmp_path: Path) -> None:
    assert gate([_python_server("reference", tmp_path)]) == []


def test_a_case_that_dies_is_a_failure(tmp_path: Path) -> None:
    def body(_trial: object) -> None:
        raise SystemExit(3)

    dying = core.Case("dying", body, (), True, False, False, 5.0)
    good = CASES["stop_idle"]
    reference = _python_server("reference", tmp_path)
    jobs = [Job(reference, "echo", dying), Job(reference, "echo", good)]
    outcomes = [result.outcome for result in run_all(jobs)]
    assert outcomes == [FAIL, OK]


def test_a_case_that_hangs_is_given_up(tmp_path: Path) -> None:
    def body(_trial: object) -> None:
        while True:
            pass

    hanging = core.Case("hanging", body, (), True, False, False, 0.2)
    result = run_one(Job(_python_server("reference", tmp_path), "echo", hanging))
    assert result.outcome == FAIL and "not done after" in result.text


def test_matrix_fits_100_columns() -> None:
    results = [
        Result(f"a_model_with_a_name_{k}", "echo", case, outcome, "a reason " * 30)
        for k in range(30)
        for case in CASES
        for outcome in (OK, FAIL, NOT_APPLICABLE)[k % 3 : k % 3 + 1]
    ]
    text = matrix.render(results, list(CASES.values()))
    assert max(map(len, text.splitlines())) <= 100
    assert f"30 models, {len(CASES)} cases" in text


# --- the command -----------------------------------------------------------------------------


def _check(*args: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["/usr/bin/python3", str(ROOT / "harness" / "tenk"), "check", *args],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_check_exits_0_when_all_is_well(tmp_path: Path) -> None:
    (tmp_path / "servers").mkdir()
    _python_server("reference", tmp_path / "servers")
    file = tmp_path / "out.json"
    done = _check("--build", str(tmp_path), "--case", "byte_at_a_time", "--json", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 ok, 0 failed" in done.stdout
    assert '"ok": true' in file.read_text("utf-8")


def test_check_exits_1_and_explains_when_something_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "servers").mkdir()
    _python_server("wrong_name", tmp_path / "servers")
    done = _check("--build", str(tmp_path), "--case", "one_name")
    assert done.returncode == 1
    assert "FAIL one_name: wrong_name, echo" in done.stdout
    assert "What usually goes wrong" in " ".join(done.stdout.split()).replace("| ", "")


@pytest.mark.parametrize(
    "args, named",
    [
        (["no_such_model"], "no_such_model"),
        (["--protocol", "gopher"], "gopher"),
        (["--case", "no_such_case"], "no_such_case"),
        (["--jobs", "0"], "--jobs"),
        (["--jobs", "x"], "--jobs"),
        (["--build", "/nowhere"], "/nowhere"),
        (["--json", "/nowhere/x"], "/nowhere/x"),
    ],
)
def test_check_refuses_bad_usage_in_one_line(args: list[str], named: str) -> None:
    done = _check(*args)
    assert done.returncode == 2, done.stdout + done.stderr
    assert named in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "looks, judged",
    [
        ([(0.1, 0.1)], 0),  # it rests
        ([(0.9, 0.9)], 0),  # it spins
        ([(0.9, 0.1), (0.2, 0.1)], 1),  # it had something to do, and no CPU to do it on
        ([(0.9, 0.1)] * 30, 9),  # it spins, on the little it is given
    ],
)
def test_a_thread_that_only_waits_for_a_cpu_is_looked_at_again(
    looks: list[tuple[float, float]], judged: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = [Spent(0.0, wanted, ran) for wanted, ran in looks]
    subject = Subject.__new__(Subject)
    left = iter(seen)
    monkeypatch.setattr(subject, "_spent", lambda _: next(left))
    assert subject.busy(1.0, 0.5) is seen[judged]


@pytest.mark.parametrize(
    "state, ran_ns, settled",
    [
        ("S", 0, True),  # it sleeps all the same, as a kernel's thread does that polls for a while
        ("R", 10_000_000, True),  # it runs, and has looked at all its sockets by now
        ("R", 0, False),  # it would run, and gets no CPU
    ],
)
def test_one_that_says_it_never_waits_has_settled_when_it_sleeps_or_has_run(
    state: str, ran_ns: int, settled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = Subject.__new__(Subject)
    subject.never_waits = True
    total = itertools.count(0, ran_ns) if ran_ns else itertools.repeat(0)
    monkeypatch.setattr(subject, "_schedstat", lambda: {"/proc/1/task/1": (next(total), 0)})
    monkeypatch.setattr(process, "task_state", lambda _: state)
    timeout_s = 20.0 if settled else 0.1
    assert subject.settle(timeout_s, quiet_s=0.001) is settled
