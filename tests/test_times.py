# SPDX-License-Identifier: MIT
"""The account of a test run adds up, by file and by model."""
from __future__ import annotations

from pathlib import Path

import pytest
import times
from conftest import Told

RUN = """<testsuites><testsuite>
<testcase classname="tests.test_conformance" name="test_server[poll-http-a]" time="2.0"/>
<testcase classname="tests.test_conformance" name="test_server[epoll_lt-echo-a]" time="1.0"/>
<testcase classname="tests.test_faults" name="test_server_meets_fault[poll-b]" time="0.5"/>
<testcase classname="tests.test_plots" name="test_c" time="4.0"/>
</testsuite></testsuites>"""


def test_seconds_are_added_up_by_file_and_by_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.xml"
    path.write_text(RUN, encoding="utf-8")
    assert times.main([str(path)]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line]
    assert ["test_conformance", "2", "3.0"] in rows and ["all", "4", "7.5"] in rows
    assert ["poll", "2", "2.5"] in rows and ["epoll_lt", "1", "1.0"] in rows
    assert "a further model: 1.8 seconds".split() in rows


def test_what_failed_is_named_last_and_nothing_is_named_where_all_went_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.xml"
    path.write_text(RUN, encoding="utf-8")
    assert times.main([str(path)]) == 0
    assert "failed" not in capsys.readouterr().out
    bad = RUN.replace(
        'name="test_c" time="4.0"/>', 'name="test_c" time="4.0"><failure/></testcase>'
    )
    bad = bad.replace(
        'name="test_server[poll-http-a]" time="2.0"/>', 'name="a[b]"><error/></testcase>'
    )
    path.write_text(bad, encoding="utf-8")
    assert times.main([str(path)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-2:] == ["failed: test_conformance::a[b]", "failed: test_plots::test_c"]


@pytest.mark.parametrize("text", ["", "<testsuites>"])
def test_what_is_no_test_run_is_refused(
    tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.xml"
    path.write_text(text, encoding="utf-8")
    assert times.main([str(path)]) == 1
    assert str(path) in capsys.readouterr().err


def test_a_failure_is_told_on_a_line_of_its_own_and_a_success_is_not() -> None:
    said: list[str] = []

    class Terminal:
        def ensure_newline(self) -> None:
            said.append("")

        def write_line(self, text: str) -> None:
            said.append(text)

    for outcome, text in (("passed", None), ("failed", "no luck\nand more")):
        report = pytest.TestReport(
            "a.py::b", ("a.py", 1, "b"), {}, outcome, text, "call"  # type: ignore[arg-type]
        )
        Told(Terminal()).pytest_runtest_logreport(report)
    assert said == ["", "FAILED a.py::b (call): no luck"]
