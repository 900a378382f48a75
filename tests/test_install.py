# SPDX-License-Identifier: MIT
"""`make install`: the load generator and its manual page, where PREFIX and DESTDIR say."""
from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from loadgen_util import LOADGEN

ROOT = Path(__file__).resolve().parent.parent


def make(*words: str) -> None:
    # Not as a part of the make that runs the tests: its job server and its variables are not ours.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    environment.pop("MFLAGS", None)
    subprocess.run(["make", "-s", *words], cwd=ROOT, env=environment, timeout=300, check=True)


def said(option: str) -> str:
    done = subprocess.run([LOADGEN, option], capture_output=True, text=True, timeout=30, check=True)
    return done.stdout


def test_install_puts_the_program_and_its_page_below_destdir_and_uninstall_takes_them(
    tmp_path: Path,
) -> None:
    where = [f"DESTDIR={tmp_path}", "PREFIX=/opt/tenk"]
    make("install", *where)
    program = tmp_path / "opt/tenk/bin/loadgen"
    page = tmp_path / "opt/tenk/share/man/man1/loadgen.1"
    found = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {program, page}
    assert program.stat().st_mode & 0o777 == 0o755 and page.stat().st_mode & 0o777 == 0o644
    assert page.read_text(encoding="utf-8") == said("--man")
    done = subprocess.run([program, "--version"], capture_output=True, timeout=30, check=False)
    assert done.returncode == 0
    make("uninstall", *where)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_the_manual_page_has_every_option_with_its_value_and_its_help() -> None:
    page = said("--man").replace("\\-", "-").replace("\\fB", "").replace("\\fR", "")
    rows = re.findall(r"^ +(?:-(\w), )?--([\w-]+) .*?  +(.*?)(?: \[.*\])?$", said("--help"), re.M)
    listed = [row for row in rows if row[1] not in ("help", "help-markdown", "man", "version")]
    assert len(listed) > 20
    for letter, name, meaning in listed:
        assert f".TP\n{f'-{letter}, ' if letter else ''}--{name}" in page
        assert meaning in page


def test_troff_takes_the_manual_page_without_a_warning() -> None:
    if shutil.which("groff") is None:
        pytest.skip("groff is not installed")
    done = subprocess.run(
        ["groff", "-man", "-ww", "-Tutf8"],
        input=said("--man"),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0 and done.stderr == ""
    assert "loadgen" in done.stdout
