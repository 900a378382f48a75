# SPDX-License-Identifier: MIT
"""The grader of a course: broken submissions, the sandbox, causes, points, the files it leaves."""
from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness import errors
from harness.conformance import catalogue, ending, starter
from harness.conformance.grading import causes, cgroup, compare, sandbox, sheet, submission
from harness.conformance.grading.sandbox import Bounds, Means
from harness.conformance.grading.submission import Tried
from harness.paths import ROOT
from harness.present import submission as present

CASES = list(catalogue.discover())
SUBMISSIONS = ROOT / "tests" / "broken" / "submissions"
HANDOUT = ROOT / "tests" / "broken" / "handout"
HEADER = re.compile(r"graded: ([a-z ]+); cause: (\w+|-); points: ([\d.]+) of ([\d.]+)")
FIRST_UID = 1_900_000_000


def _tenk(*args: str, timeout_s: float = 300) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["/usr/bin/python3", str(ROOT / "harness" / "tenk"), *args],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def _foreign() -> list[str]:
    """Processes of the users that foreign code runs as, and control groups made for it."""
    found = [p.name for p in Path("/proc").glob("[0-9]*") if _uid(p) >= FIRST_UID]
    return found + [str(p) for p in Path("/sys/fs/cgroup").glob("*/tenk-*")]


def _uid(path: Path) -> int:
    try:
        return path.stat().st_uid
    except OSError:
        return 0


# --- thirty that are broken ----------------------------------------------------------------------


def test_every_broken_submission_ends_as_its_header_says(tmp_path: Path) -> None:
    files = sorted(SUBMISSIONS.glob("*.c"))
    assert len(files) >= 30
    wanted = {}
    for path in files:
        said = HEADER.search(path.read_text("utf-8"))
        assert said, f"{path.name} does not say how it must be graded"
        wanted[path.stem] = (said[1], said[2], float(said[3]), float(said[4]))
    out = tmp_path / "out"
    done = _tenk(
        "grade",
        str(SUBMISSIONS),
        *("--include", str(HANDOUT), "--points", "echo", "--jobs", "4", "--out", str(out)),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    graded = json.loads((out / "grades.json").read_text("utf-8"))
    assert graded["schema"] == "tenk.grades/1"
    got, texts = {}, {}
    for one in graded["submissions"]:
        found = " ".join(cause["cause"] for cause in one["causes"]) or "-"
        got[one["name"]] = (one["outcome"], found, one["points"], one["of"])
        texts[one["name"]] = one["text"]
    wrong = {n: (got.get(n), w, texts.get(n)) for n, w in wanted.items() if got.get(n) != w}
    assert not wrong
    assert not _foreign(), "something of a submission lives on"
    rows = list(csv.DictReader((out / "grades.csv").open(encoding="utf-8")))
    assert [row["name"] for row in rows] == [path.stem for path in files]
    for name in wanted:
        page = (out / "students" / f"{name}.html").read_text("utf-8")
        others = [n for n in wanted if n != name and f">{n}<" in page]
        assert not others, "a student's page names another student"
    crash = next(one for one in graded["submissions"] if one["name"] == "small_buffer")
    assert "stack-buffer-overflow" in crash["causes"][0]["report"]
    hung = next(one for one in graded["submissions"] if one["name"] == "endless_loop")
    assert "computing" in hung["causes"][0]["text"]


@pytest.mark.parametrize(
    "name", ["right", "semicolon", "silent", "not_flushed", "wrong_byte", "null_pointer"]
)
def test_the_exit_status_of_check_says_the_outcome(name: str, tmp_path: Path) -> None:
    file, target = SUBMISSIONS / f"{name}.c", tmp_path / "out.json"
    include = ("--include", str(HANDOUT), "--json", str(target))
    done = _tenk("check", "--file", str(file), "--case", "first_exchange", *include)
    said = HEADER.search(file.read_text("utf-8"))
    assert said and done.returncode == submission.STATUS[said[1]], done.stdout + done.stderr
    record = json.loads(target.read_text("utf-8"))
    assert record["complete"] and record["status"] == done.returncode
    assert f"{name}: {said[1]}" in done.stdout


def test_outcomes_have_statuses_of_their_own() -> None:
    assert len(set(submission.STATUS.values())) == len(submission.STATUS)
    assert set(ending.KINDS) < set(submission.STATUS)
    assert set(present.MEANING) == set(submission.STATUS)


def test_what_is_known_is_kept_when_grading_is_interrupted(tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    command = ["/usr/bin/python3", str(ROOT / "harness" / "tenk"), "check", "--file"]
    command += [str(ROOT / "servers" / "poll.c"), "--json", str(target)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not _tried(target):
            time.sleep(0.02)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
    assert running.returncode == errors.EXIT_INTERRUPTED, err
    record = json.loads(target.read_text("utf-8"))
    assert record["tried"] and not record["complete"]
    assert out.startswith("poll: ") and "interrupted" in err


def _tried(path: Path) -> bool:
    return path.exists() and bool(json.loads(path.read_text("utf-8"))["tried"])


@pytest.mark.parametrize(
    "args, named",
    [
        (("check", "--file", "/nowhere.c"), "/nowhere.c"),
        (("check", "--file", "X", "--points", "no_such_sheet"), "no_such_sheet"),
        (("check", "--file", "X", "--seconds", "0"), "--seconds"),
        (("check", "--file", "X", "--include", "/nowhere"), "/nowhere"),
        (("check", "--points", "echo"), "--file"),
        (("grade", "/nowhere", "--out", "OUT"), "/nowhere"),
        (("grade", "--out", "OUT"), "--list"),
        (("grade", "EMPTY", "--out", "OUT"), "no submission"),
        (("grade", "EMPTY", "--out", "OUT", "--jobs", "0"), "--jobs"),
    ],
)
def test_bad_usage_is_one_line(args: tuple[str, ...], named: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    if named == "--jobs":
        (tmp_path / "empty" / "a.c").write_text("", "utf-8")
    places = {
        "X": str(ROOT / "servers" / "poll.c"),
        "OUT": str(tmp_path / "out"),
        "EMPTY": str(tmp_path / "empty"),
    }
    done = _tenk(*(places.get(arg, arg) for arg in args))
    assert done.returncode == 2, done.stdout + done.stderr
    assert named in done.stderr and len(done.stderr.splitlines()) == 1


def test_checkouts_are_graded_by_a_list_and_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "anna" / "src").mkdir(parents=True)
    (tmp_path / "anna" / "src" / "server.c").write_text(
        (SUBMISSIONS / "right.c").read_text("utf-8"), "utf-8"
    )
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "server.c").symlink_to(tmp_path / "anna" / "src" / "server.c")
    (tmp_path / "list").write_text(f"{tmp_path}/anna\n{tmp_path}/bert\n", "utf-8")
    out = tmp_path / "out"
    args = ("--include", str(HANDOUT), "--points", "echo", "--out", str(out))
    done = _tenk("grade", "--list", str(tmp_path / "list"), *args)
    assert done.returncode == 0, done.stderr
    graded = json.loads((out / "grades.json").read_text("utf-8"))["submissions"]
    assert [(g["name"], g["outcome"]) for g in graded] == [
        ("anna", "ok"),
        ("bert", "not compiled"),
    ]


# --- the sandbox ---------------------------------------------------------------------------------


@pytest.fixture(name="stage")
def _stage(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    stage = tmp_path / "stage"
    stage.mkdir()
    return stage


PLAIN = Means(0, False, ())  # a machine that allows nothing


def _children(count: int) -> int:
    """Children in sessions of their own, as a daemon makes them."""
    for _ in range(count):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                signal.pause()
            os._exit(0)
    return count


@pytest.mark.parametrize("found", [True, False], ids=["as this machine allows", "without means"])
def test_what_foreign_code_leaves_is_counted_and_ended(stage: Path, found: bool) -> None:
    means = sandbox.means(stage) if found else PLAIN
    ended = sandbox.run(lambda: _children(5), Bounds(), means, stage)
    assert ended.answer == 5 and ended.left >= 5


@pytest.mark.parametrize("found", [True, False], ids=["as this machine allows", "without means"])
def test_time_that_is_up_ends_all_of_it(stage: Path, found: bool) -> None:
    means = sandbox.means(stage) if found else PLAIN
    pids = stage.parent / "pid"

    def body() -> None:
        _children(3)
        signal.pause()

    with open(pids, "wb"):
        ended = sandbox.run(body, Bounds(seconds=1), means, stage)
    assert ended.answer is None and ended.exceeded == ("time",)
    mine = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(os.getpid())],
        capture_output=True,
        text=True,
        check=False,
    )
    assert not [pid for pid in mine.stdout.split() if _is_python(pid)]


def _is_python(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/exe").resolve() == Path(sys.executable).resolve()
    except OSError:
        return False


def test_a_bound_of_the_control_group_is_named(stage: Path) -> None:
    means = sandbox.means(stage)
    if not {"pids", "memory"} <= set(means.controllers):
        pytest.skip("no control group can be made here")
    ended = sandbox.run(lambda: len(bytearray(1 << 30)), Bounds(), means, stage)
    assert "memory" in ended.exceeded
    ended = sandbox.run(lambda: _children(100), Bounds(processes=50), means, stage)
    assert "processes" in ended.exceeded


def test_foreign_code_sees_no_files_but_the_systems(stage: Path) -> None:
    means = sandbox.means(stage)
    if not means.namespaces:
        pytest.skip("no namespaces can be made here")
    ended = sandbox.run(lambda: sorted(os.listdir("/")), Bounds(), means, stage)
    assert {"home", "root", "var", "sys", "work"}.isdisjoint(ended.answer)
    ended = sandbox.run(lambda: dict(os.environ), Bounds(), means, stage)
    assert set(ended.answer) <= {"PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "TZ"}


def test_a_control_group_of_a_grader_that_was_killed_is_taken_away(stage: Path) -> None:
    child = subprocess.Popen(["/bin/true"])
    child.wait()
    gone, here = f"{cgroup.PREFIX}{child.pid}-1", cgroup.name("stays")
    groups = [cgroup.make(title, 8, 1 << 20) for title in (gone, here)]
    if None in groups:
        pytest.skip("no control group can be made here")
    try:
        sandbox.means(stage)
        left = [[p.exists() for p in one.folders.values()] for one in groups if one]
        assert not any(left[0]) and all(left[1])
    finally:
        for one in groups:
            if one is not None:
                one.remove()


# --- a file to begin with -------------------------------------------------------------------------


MODELS_IN_C = sorted(path.stem for path in (ROOT / "servers").glob("*.c"))


@pytest.mark.parametrize("model", MODELS_IN_C)
def test_a_skeleton_of_any_model_in_c_compiles_without_a_warning(
    model: str, tmp_path: Path
) -> None:
    text = (ROOT / "servers" / f"{model}.c").read_text("utf-8")
    file = tmp_path / "mine.c"
    file.write_text(starter.skeleton(text, model, "mine"), "utf-8")
    warnings = ["-Wall", "-Wextra", "-Wshadow", "-Wmissing-prototypes", "-Wconversion", "-Werror"]
    flags = [*warnings, "-Wno-sign-conversion", "-std=gnu17", "-D_GNU_SOURCE", f"-I{ROOT}"]
    done = subprocess.run(
        ["cc", *flags, "-fsyntax-only", str(file)], capture_output=True, text=True, check=False
    )
    if "No such file or directory" in done.stderr:
        pytest.skip("a library it needs is not installed")
    assert done.returncode == 0, done.stderr
    assert '.name = "mine"' in file.read_text("utf-8")


@pytest.mark.parametrize("option", [(), ("--plain",), ("--from", "epoll_lt")], ids=str)
def test_what_new_writes_lets_its_first_client_wait_and_nothing_else_is_wrong(
    option: tuple[str, ...], tmp_path: Path
) -> None:
    file, target = tmp_path / "mine.c", tmp_path / "out.json"
    assert _tenk("new", "mine", *option, "--out", str(file)).returncode == 0
    done = _tenk("check", "--file", str(file), "--points", "echo", "--json", str(target))
    record = json.loads(target.read_text("utf-8"))
    assert done.returncode == submission.STATUS["hung"], done.stdout + done.stderr
    assert [cause["cause"] for cause in record["causes"]] == ["no_answer"]
    assert (record["model"], record["points"], record["compiler"]) == ("mine", 0, "")


@pytest.mark.parametrize(
    "args, named",
    [(("Mine",), "Mine"), (("mine", "--from", "asio"), "asio"), (("mine", "--from", "x"), "'x'")],
)
def test_new_refuses_what_it_cannot_write_in_one_line(
    args: tuple[str, ...], named: str, tmp_path: Path
) -> None:
    done = _tenk("new", *args, "--out", str(tmp_path / "x.c"))
    assert done.returncode == 2 and named in done.stderr and len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_new_overwrites_nothing(tmp_path: Path) -> None:
    file = tmp_path / "mine.c"
    file.write_text("mine", "utf-8")
    done = _tenk("new", "mine", "--out", str(file))
    assert done.returncode == 2 and file.read_text("utf-8") == "mine"


# --- causes and points ---------------------------------------------------------------------------


def _one(case: str, outcome: str, text: str = "", doing: str = "", protocol: str = "echo") -> Tried:
    group = next(c.group for c in CASES if c.name == case)
    return Tried(case, group, protocol, outcome, text, doing)


def test_one_signal_is_one_cause_whatever_cases_it_fails() -> None:
    tried = [
        _one("first_exchange", "ok"),
        _one("any_bytes", "crashed", "closed by the server", "SIGSEGV"),
        _one("pipelined_burst", "crashed", "reset", "SIGSEGV", "http"),
    ]
    (cause,) = causes.find(tried, {c.name: c for c in CASES}, "a.c", {"crashed_SIGSEGV": "here"})
    assert cause.cause == "crashed_SIGSEGV" and cause.report == "here"
    assert cause.cases == ("any_bytes", "pipelined_burst") and cause.protocols == ("echo", "http")
    assert any("--case any_bytes" in command for command in cause.again)


def test_a_cause_without_a_rule_has_the_name_of_its_case() -> None:
    tried = [_one("port_taken", "wrong", "something nobody thought of")]
    (cause,) = causes.find(tried, {c.name: c for c in CASES}, "a.c", {})
    assert cause.cause == "port_taken" and cause.usually


def test_every_pattern_of_a_rule_is_met_by_its_own_words() -> None:
    assert len({rule.cause for rule in causes.RULES}) == len(causes.RULES)
    for rule in causes.RULES:
        assert set(rule.outcomes) <= set(ending.KINDS) and rule.title.endswith(".")


@pytest.mark.parametrize("name", sheet.available())
def test_a_ready_sheet_can_be_read_and_explains_itself(name: str) -> None:
    found = sheet.load(name, CASES)
    assert found.title and found.about and found.rows
    assert "first_exchange" in found.cases


def test_there_are_three_ready_sheets() -> None:
    assert {"echo", "event_loop", "c10k"} <= set(sheet.available())


def test_points_are_shared_by_cases_and_not_applicable_stands_apart(tmp_path: Path) -> None:
    file = tmp_path / "lab.toml"
    file.write_text(
        '[[points]]\nwhat = "a"\ncases = ["first_exchange", "any_bytes", "workers"]\npoints = 6\n',
        "utf-8",
    )
    tried = [
        _one("first_exchange", "ok"),
        _one("first_exchange", "wrong", protocol="http"),
        _one("any_bytes", "ok"),
        _one("workers", "not applicable"),
    ]
    (credit,) = sheet.credits(sheet.load(str(file), CASES), tried)
    assert (credit.points, credit.of, credit.not_applicable) == (2, 6, 2)


ASKED = sheet.Comparison("cheap", "epoll_lt", 10, 100, 20, 2)


@pytest.mark.parametrize(
    "found, points",
    [
        (compare.Ratio(1.02, 0.98, 1.06), 2),
        (compare.Ratio(1.15, 1.05, 1.25), 2),  # it may be within 10 %: the doubt is the student's
        (compare.Ratio(1.25, 1.15, 1.35), 0),
        (None, 2),
    ],
)
def test_a_comparison_that_cannot_tell_is_told_in_the_students_favour(
    found: compare.Ratio | None, points: float
) -> None:
    earned = compare.credit(ASKED, found, "void")
    assert (earned.points, earned.of) == (points, 2) and earned.note


def test_a_void_duel_tells_nothing() -> None:
    inside = {
        "contenders": [{"name": "x", "ratio": {compare.METRIC: dict(estimate=2, lo=2, hi=2)}}]
    }
    said = {"verdict": {"status": "void"}, "arrangements": {"together": inside}}
    assert compare.ratio(said, "x") is None
    assert compare.ratio({**said, "verdict": {"status": "valid"}}, "x") == compare.Ratio(2, 2, 2)


@pytest.mark.parametrize(
    "text, named",
    [
        ("", "[[points]]"),
        ('[[points]]\nwhat = "a"\ncases = ["no_such"]\npoints = 1', "no_such"),
        ('[[points]]\nwhat = "a"\ngroups = ["no_such"]\npoints = 1', "no_such"),
        ('[[points]]\nwhat = "a"\ngroups = ["stop"]\npoints = -1', "-1"),
        ('[[points]]\nwhat = "a"\ngroups = ["stop"]\npoints = true', "True"),
        ('[[points]]\nwhat = "a"\ngroups = ["stop"]\npoint = 1', "'point'"),
        ('protocols = ["gopher"]', "gopher"),
        ("[[points", "TOML"),
    ],
)
def test_a_sheet_that_is_wrong_is_refused_with_what_is_wrong(
    text: str, named: str, tmp_path: Path
) -> None:
    file = tmp_path / "lab.toml"
    file.write_text(text, "utf-8")
    with pytest.raises(errors.UsageError) as refused:
        sheet.load(str(file), CASES)
    assert named in str(refused.value) and str(file) in str(refused.value)


def test_what_a_student_wrote_is_no_markup_on_a_page_and_no_formula_in_a_table() -> None:
    said = submission.Submission("=1+1", outcome="not compiled", compiler="<script>x</script>")
    assert "<script>" not in present.page(said.record())
    assert "\n'=1+1," in present.as_csv([said.record()])
