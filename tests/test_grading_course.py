# SPDX-License-Identifier: MIT
"""What a teacher has of a course: grades that are still true are kept, and what went wrong often."""
from __future__ import annotations

import dataclasses
import json
import shlex
import subprocess
from pathlib import Path

import pytest

from harness import errors
from harness.commands import grade
from harness.conformance import catalogue
from harness.conformance.grading import causes, resume, sheet
from harness.conformance.grading.grader import Task
from harness.conformance.grading.submission import Tried
from harness.paths import ROOT
from harness.present import submission as present

CASES = list(catalogue.discover())
BROKEN = "int main(void) { return no_such_thing; }\n"


def _grade(folder: Path, out: Path, *args: str) -> "subprocess.CompletedProcess[str]":
    command = ["/usr/bin/python3", str(ROOT / "harness" / "tenk"), "grade", str(folder)]
    return subprocess.run(
        [*command, "--points", "echo", "--out", str(out), *args],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_what_was_graded_is_kept_and_what_has_changed_is_graded_again(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name in ("anna", "bert"):
        (folder / f"{name}.c").write_text(BROKEN, "utf-8")
    first = _grade(folder, out)
    assert first.returncode == 0, first.stderr
    graded = json.loads((out / "grades.json").read_text("utf-8"))
    for one in graded["submissions"]:
        assert one["outcome"] == "not compiled" and one["graded_from"]
        one["text"] = "said the first time"
    (out / "grades.json").write_text(json.dumps(graded), "utf-8")
    (folder / "bert.c").write_text(BROKEN.replace("thing", "name"), "utf-8")

    second = _grade(folder, out, "--resume")
    assert second.returncode == 0, second.stderr
    assert "kept 1 of 2" in second.stdout
    now = json.loads((out / "grades.json").read_text("utf-8"))["submissions"]
    assert [one["name"] for one in now] == ["anna", "bert"]
    assert now[0]["text"] == "said the first time" and "no_such_name" in now[1]["text"]
    assert "said the first time" in (out / "students" / "anna.html").read_text("utf-8")


def test_the_teacher_sees_first_what_went_wrong_most_often() -> None:
    def one(*causes: str) -> dict[str, object]:
        return {"causes": [{"cause": name, "title": f"{name} it is"} for name in causes]}

    records = [one("deaf"), one("slow", "deaf"), one(), one("bold", "bold")]
    assert present.often(records) == [
        ("deaf", "deaf it is", 2),
        ("bold", "bold it is", 1),
        ("slow", "slow it is", 1),
    ]


def test_a_student_is_told_commands_for_his_own_file() -> None:
    path = Path("/there/handed in/anna.c")
    said = [f"harness/tenk check --file {shlex.quote(str(path))} --keep server", "./server -p 9000"]
    assert grade.for_the_student(said, path) == [
        "harness/tenk check --file anna.c --keep server",
        "./server -p 9000",
    ]


def test_what_usually_goes_wrong_in_a_case_is_not_said_of_a_bound() -> None:
    tried = [Tried("first_exchange", "basics", "echo", "limit", "it met its bound on memory")]
    (cause,) = causes.find(tried, {case.name: case for case in CASES}, "my file.c", {})
    assert cause.cause == "too_much_memory" and cause.usually == ""
    assert "'my file.c'" in cause.again[0]


def _task(path: Path) -> Task:
    return Task(path=path, cases=CASES, points=sheet.load("echo", CASES))


def test_a_grade_is_true_as_long_as_all_that_it_was_made_from_is_the_same(tmp_path: Path) -> None:
    given = tmp_path / "include"
    given.mkdir()
    file, copy = tmp_path / "a.c", tmp_path / "copy" / "a.c"
    copy.parent.mkdir()
    for path in (file, copy):
        path.write_text(BROKEN, "utf-8")
    task = _task(file)
    mark = resume.mark(task)
    assert mark == resume.mark(_task(copy)) == resume.mark(dataclasses.replace(task, include=given))
    (given / "lab.h").write_text("", "utf-8")
    changed = [
        dataclasses.replace(task, include=given),
        dataclasses.replace(task, points=sheet.load("c10k", CASES)),
        dataclasses.replace(task, points=None),
        dataclasses.replace(task, case_s=19.0),
        dataclasses.replace(task, total_s=100.0),
    ]
    marks = [resume.mark(one) for one in changed]
    file.write_text(BROKEN + "\n", "utf-8")
    marks.append(resume.mark(task))
    assert len({mark, *marks}) == 1 + len(marks)


def test_only_what_was_graded_to_its_end_is_known(tmp_path: Path) -> None:
    file = tmp_path / "grades.json"
    assert resume.known(file, "s") == {}
    records = [{"name": "anna", "complete": True}, {"name": "bert", "complete": False}]
    file.write_text(json.dumps({"schema": "s", "submissions": records}), "utf-8")
    assert list(resume.known(file, "s")) == ["anna"]


@pytest.mark.parametrize("text", ["", "[]", '{"schema": "other"}', '{"schema": "s"}'])
def test_a_file_that_holds_no_grades_is_not_gone_on_with(text: str, tmp_path: Path) -> None:
    (tmp_path / "grades.json").write_text(text, "utf-8")
    with pytest.raises(errors.UsageError) as refused:
        resume.known(tmp_path / "grades.json", "s")
    assert str(tmp_path) in str(refused.value) and "--resume" in str(refused.value)
