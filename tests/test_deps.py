# SPDX-License-Identifier: MIT
"""harness/deps among made-up package tools: what it asks of them, and what it says."""
from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

from harness import cli

DEPS = Path(__file__).resolve().parent.parent / "harness" / "deps"


def run(
    folder: Path, *words: str, apt: str = "exit 0", have: str = "", **more: str
) -> "subprocess.CompletedProcess[str]":
    """Run it where `have` names the installed packages and apt-get is a script of ours."""
    tools = {
        "dpkg-query": f'case " {have} " in *" $4 "*) printf installed;; *) exit 1;; esac',
        "apt-get": f'echo "$@" >> {folder}/asked\n{apt}',
        "id": "echo 0",
    }
    for name, body in tools.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        (folder / name).chmod(0o755)
    return subprocess.run(
        ["sh", str(DEPS), *words],
        env={"PATH": f"{folder}:/usr/bin:/bin", "TMPDIR": str(folder), **more},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def asked(folder: Path) -> str:
    path = folder / "asked"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def test_what_is_there_is_not_asked_for(tmp_path: Path) -> None:
    have = "libcmocka-dev python3-pytest python3-pytest-xdist"
    done = run(tmp_path, "test", have=have)
    assert (done.returncode, done.stdout, done.stderr, asked(tmp_path)) == (0, "", "", "")


def test_installing_says_one_line_whatever_apt_prints(tmp_path: Path) -> None:
    done = run(tmp_path, "test", have="libcmocka-dev", apt="seq 500; seq 500 >&2")
    assert done.returncode == 0 and done.stdout == ""
    assert done.stderr == "deps: installing with apt-get: python3-pytest python3-pytest-xdist\n"
    assert "install -y --no-install-recommends python3-pytest python3-pytest-xdist" in asked(
        tmp_path
    )
    assert not list(tmp_path.glob("tmp.*"))


@pytest.mark.parametrize("step", ["update", "install"])
def test_a_failure_shows_what_apt_said_and_names_what_is_missing(tmp_path: Path, step: str) -> None:
    apt = f'case "$*" in *{step}*) echo "E: no network in {step}"; exit 100;; esac'
    done = run(tmp_path, "test", apt=apt)
    assert done.returncode == 1
    assert f"E: no network in {step}" in done.stderr
    assert "libcmocka-dev" in done.stderr.splitlines()[-1]
    assert not list(tmp_path.glob("tmp.*"))


@pytest.mark.parametrize("how", [{"NO_APT": "1"}, {}])
def test_it_only_says_what_to_run_where_it_is_not_to_install(
    tmp_path: Path, how: dict[str, str]
) -> None:
    done = run(tmp_path, *([] if how else ["--check"]), "test", **how)
    assert done.returncode == 1 and asked(tmp_path) == ""
    assert done.stderr.count("\n") == 1 and "sudo apt-get install" in done.stderr


def test_linting_needs_neither_a_browser_nor_java(tmp_path: Path) -> None:
    done = run(tmp_path, "--check", "build", "run", "test", "lint")
    assert not {"chromium", "jdk", "node"} & set(done.stderr.replace("-", " ").split())
    assert "clang-format" in done.stderr and os.access(DEPS, os.X_OK)


def test_a_group_that_is_none_is_refused(tmp_path: Path) -> None:
    done = run(tmp_path, "tset")
    assert done.returncode == 2 and "'tset' is not a group" in done.stderr


@pytest.mark.parametrize("goal", ["all", "unit"])
def test_make_without_the_headers_says_what_to_install_and_compiles_nothing(
    tmp_path: Path, goal: str
) -> None:
    (tmp_path / "dpkg-query").write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    (tmp_path / "dpkg-query").chmod(0o755)
    done = subprocess.run(
        ["make", goal, f"BUILD={tmp_path}/build", "CPPFLAGS=-nostdinc", "NO_APT=1"],
        cwd=DEPS.parent.parent,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2 and "  CC" not in done.stdout
    said = [line for line in done.stderr.splitlines() if line.startswith("deps: ")]
    assert len(said) == 1 and "libjansson-dev" in said[0] and "apt-get install" in said[0]


@pytest.mark.parametrize(
    ("module", "status", "said"),
    [
        ("rich", 1, "the Python module rich is not installed"),
        ("harness.lost", 70, "internal error"),
    ],
)
def test_a_python_module_that_is_missing_is_named_and_one_of_ours_is_a_fault(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    module: str,
    status: int,
    said: str,
) -> None:
    def absent(_: str) -> NoReturn:
        raise ModuleNotFoundError(f"No module named '{module}'", name=module)

    monkeypatch.delenv("TENK_DEBUG", raising=False)
    monkeypatch.setattr(cli, "build_parser", absent)
    assert cli.main(["list"]) == status
    heard = capsys.readouterr().err
    assert said in heard and heard.count("\n") == 1
