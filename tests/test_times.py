# SPDX-License-Identifier: MIT
"""The account of a test run adds up, by file and by model."""
from __future__ import annotations

from pathlib import Path

import pytest
import times

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


@pytest.mark.parametrize("text", ["", "<testsuites>"])
def test_what_is_no_test_run_is_refused(
    tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.xml"
    path.write_text(text, encoding="utf-8")
    assert times.main([str(path)]) == 1
    assert str(path) in capsys.readouterr().err
