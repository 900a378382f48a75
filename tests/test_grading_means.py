# SPDX-License-Identifier: MIT
"""What shuts students' code in where not all is allowed: users, control groups, what stands in."""
from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.conformance.grading import cgroup, isolation, sandbox, scope
from harness.conformance.grading.sandbox import Bounds, Means

NOBODY = 65534
PLAIN = Means(0, False, ())


@pytest.fixture(name="place")
def _place() -> Iterator[Path]:
    """An empty directory that any user may go into."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


def _as_user(place: Path, body: Callable[[], Any]) -> Any:
    """body() by somebody who is not root, in a process of its own; its answer goes through JSON."""
    pid = os.fork()
    if pid == 0:
        said: Any = "it failed"
        try:
            if os.geteuid() == 0:
                isolation.become(NOBODY)
                ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # as a login is: its /proc/self is its own
            said = body()
        except BaseException as error:  # pylint: disable=broad-except
            said = f"{type(error).__name__}: {error}"
        finally:
            (place / "said").write_text(json.dumps(said), "utf-8")
            os._exit(0)
    os.waitpid(pid, 0)
    return json.loads((place / "said").read_text("utf-8"))


def _stage(place: Path) -> Path:
    stage = place / "stage"
    stage.mkdir()
    stage.chmod(0o755)
    if os.geteuid() == 0:
        os.chown(stage, NOBODY, NOBODY)
    return stage


def _users_means(stage: Path) -> Means:
    """Those of a user without control groups."""
    found = sandbox.means(stage)
    return Means(found.namespaces, found.own_user, ())


# --- a user who is not root ----------------------------------------------------------------------


def test_a_user_is_told_what_is_not_held_and_what_would_hold_it(place: Path) -> None:
    stage = _stage(place)

    def body() -> Any:
        means = sandbox.means(stage)
        return means.missing, sandbox.remedy(means)

    missing, remedy = _as_user(place, body)
    assert "own user" in missing and "root" in remedy
    assert not {"a bound on processes", "a bound on memory"} & set(missing)
    assert sandbox.remedy(Means(isolation.NAMESPACES, True, cgroup.CONTROLLERS)) == ""


def test_code_of_a_users_students_reaches_no_files_and_no_network(place: Path) -> None:
    stage = _stage(place)
    (place / "grades.json").write_text("{}", "utf-8")

    def look() -> Any:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            away = sock.connect_ex(("192.0.2.1", 53))
        done = subprocess.run(
            ["/bin/sh", "-c", "grep -E '^Cap(Eff|Bnd)' /proc/self/status; ls -d /proc/[0-9]*"],
            capture_output=True,
            text=True,
            check=False,
        )
        return (place / "grades.json").exists(), away, done.stdout.split()

    def body() -> Any:
        means = _users_means(stage)
        ended = sandbox.run(look, Bounds(), means, stage)
        return bool(means.namespaces), ended.answer, ended.fault

    spaces, answer, fault = _as_user(place, body)
    if not spaces:
        pytest.skip("this kernel gives users no namespaces")
    assert answer, fault
    seen, away, words = answer
    assert not seen and away != 0
    assert words[:4] == ["CapEff:", "0" * 16, "CapBnd:", "0" * 16]
    assert "/proc/1" in words and len(words) <= 8


def test_without_namespaces_landlock_keeps_files_and_processes_from_it(place: Path) -> None:
    if not isolation.landlock_version():
        pytest.skip("this kernel has no Landlock")
    stage, given, made = _stage(place), place / "given", place / "made"
    for folder in (given, made):
        folder.mkdir(mode=0o777)
        folder.chmod(0o777)
    (place / "grades.json").write_text("{}", "utf-8")
    (place / "grades.json").chmod(0o666)

    def body() -> Any:
        script = f"""
            cat {place}/grades.json; echo mine > {place}/grades.json; echo mine > {given}/new
            ls {place}; cat /proc/{os.getpid()}/environ
            kill -0 {os.getpid()} && echo signalled
            echo 1 > {made}/new && echo 2 > $TMPDIR/new && cat {made}/new $TMPDIR/new
        """

        def look() -> Any:
            command = ["/bin/sh", "-c", script]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            return done.stdout.split()

        means = Means(0, False, (), landlock=True)
        assert "own files" in means.held and "own processes" not in means.held
        ended = sandbox.run(look, Bounds(), means, stage, [given], [made])
        return ended.answer or ended.fault

    since_6 = isolation.landlock_version() >= 6
    assert _as_user(place, body) == [*(() if since_6 else ("signalled",)), "1", "2"]
    assert (place / "grades.json").read_text("utf-8") == "{}"


def _children(count: int) -> int:
    """In sessions of their own."""
    for _ in range(count):
        if os.fork() == 0:
            os.setsid()
            while True:
                signal.pause()
    return count


def _hoard() -> None:
    """A child that takes memory until it is stopped."""
    if os.fork() == 0:
        kept = []
        while True:
            kept.append(bytearray(8 << 20))
    os.wait()


@pytest.mark.parametrize("spaces", [True, False], ids=["namespaces", "none"])
def test_without_control_groups_memory_and_processes_are_looked_after(
    place: Path, spaces: bool
) -> None:
    stage = _stage(place)
    little = Bounds(seconds=30, memory_bytes=256 << 20)
    few = Bounds(seconds=30, processes=40, memory_bytes=64 << 30)

    def body() -> Any:
        means = _users_means(stage) if spaces else PLAIN
        memory = sandbox.run(_hoard, little, means, stage)

        def many() -> None:
            with contextlib.suppress(OSError):  # the limit below may be met first
                _children(60)
            signal.pause()

        processes = sandbox.run(many, few, means, stage)
        well = sandbox.run(lambda: _children(10), few, means, stage)
        return [memory.exceeded, processes.exceeded, well.exceeded, well.answer, well.left]

    memory, processes, well, answer, left = _as_user(place, body)
    assert memory == ["memory"]
    assert "processes" in processes
    assert (well, answer) == ([], 10) and left >= 10


def test_a_teachers_umask_keeps_nothing_from_the_user_that_code_runs_as(place: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root has another user for it")
    stage, given = place / "stage", place / "deep" / "given"
    stage.mkdir()
    given.mkdir(parents=True)
    given.chmod(0o755)
    old = os.umask(0o077)
    try:
        ended = sandbox.run(
            lambda: os.listdir(given), Bounds(), sandbox.means(stage), stage, readable=[given]
        )
    finally:
        os.umask(old)
    assert ended.answer == [], ended.fault


# --- control groups of version 1 and 2, made up --------------------------------------------------

TITLE = "tenk-1-x"
FILES_2 = ("pids.max", "memory.max", "memory.swap.max", "cpu.weight", "cgroup.procs")


def _group(folder: Path, procs: str = "", have: str = "", handed_on: str = "") -> None:
    """A group of version 2, with a child that is as the kernel would make it."""
    (folder / TITLE).mkdir(parents=True)
    (folder / "cgroup.procs").write_text(procs, "ascii")
    (folder / "cgroup.type").write_text("domain\n", "ascii")
    (folder / "cgroup.controllers").write_text(have, "ascii")
    (folder / "cgroup.subtree_control").write_text(handed_on, "ascii")
    for name in FILES_2:
        (folder / TITLE / name).write_text("", "ascii")


def _tree(place: Path, *rows: str) -> cgroup.Tree:
    mine = place / "self"
    mine.write_text("".join(f"{row}\n" for row in rows), "ascii")
    return cgroup.Tree(place / "fs", mine)


def test_of_version_2_the_nearest_group_without_processes_is_divided(place: Path) -> None:
    root = place / "fs"
    _group(root, "1\n", "cpu memory pids", "cpu memory pids")
    (root / "cgroup.type").unlink()  # the root has none
    _group(root / "user", "", "cpu memory pids", "cpu memory pids")
    _group(root / "user" / "session", "77\n", "cpu memory pids")
    made = cgroup.make(TITLE, 50, 1 << 20, _tree(place, "0::/user/session"))
    assert made and set(made.folders.values()) == {root / "user" / TITLE}
    assert made.names == ["cpu", "memory", "pids"]
    assert made.procs == [root / "user" / TITLE / "cgroup.procs"]
    written = {name: (root / "user" / TITLE / name).read_text("ascii") for name in FILES_2}
    assert written == {
        "pids.max": "50",
        "memory.max": str(1 << 20),
        "memory.swap.max": "0",
        "cpu.weight": "25",
        "cgroup.procs": "",
    }
    # Asked for one by one, a group with processes would give some, and take no process afterwards.
    assert (root / "user" / "session" / "cgroup.subtree_control").read_text("ascii") == ""


def test_of_version_2_all_controllers_are_in_one_directory(place: Path) -> None:
    root = place / "fs"
    _group(root, "", "cpu memory pids", "cpu memory pids")
    _group(root / "user", "", "memory pids", "memory pids")
    made = cgroup.make(TITLE, 50, 1 << 20, _tree(place, "0::/user"))
    assert made and set(made.folders.values()) == {root / TITLE}


def test_controllers_that_are_there_and_not_handed_on_are_asked_for(place: Path) -> None:
    root = place / "fs"
    _group(root, "", "memory pids io", "")
    assert cgroup.make(TITLE, 50, 1 << 20, _tree(place, "0::/")) is None
    asked = (root / "cgroup.subtree_control").read_text("ascii")
    assert asked == "+memory"  # the last that was written


def test_bounds_that_were_met_are_read_from_either_version(place: Path) -> None:
    (place / "pids.events").write_text("max 3\n", "ascii")
    (place / "memory.events").write_text("low 0\nmax 9\noom 1\noom_kill 1\n", "ascii")
    assert cgroup.Group({"pids": place, "memory": place}).exceeded() == ["processes", "memory"]
    (place / "pids.events").write_text("max 0\n", "ascii")
    (place / "memory.events").unlink()
    (place / "memory.oom_control").write_text("oom_kill_disable 0\noom_kill 2\n", "ascii")
    assert cgroup.Group({"pids": place, "memory": place}).exceeded() == ["memory"]


def test_version_1_has_a_directory_for_each_controller(place: Path) -> None:
    for name, file in (("pids", "pids.max"), ("memory", "memory.limit_in_bytes")):
        (place / "fs" / name / "a" / TITLE).mkdir(parents=True)
        (place / "fs" / name / "a" / TITLE / file).write_text("", "ascii")
    (place / "fs" / "cpu").mkdir()  # an empty directory is no group
    tree = _tree(place, "3:pids:/a", "2:memory:/a", "1:cpu,cpuacct:/", "0::/")
    made = cgroup.make(TITLE, 50, 1 << 20, tree)
    assert made and made.names == ["memory", "pids"]
    assert not (place / "fs" / "cpu" / TITLE).exists()


def test_what_settles_leaves_the_group_above_to_be_divided(place: Path) -> None:
    _group(place / "fs" / "scope", "77\n", "memory pids")
    _group(place / "fs", "", "memory pids", "memory pids")
    cgroup.settle(_tree(place, "0::/scope"))
    leaf = place / "fs" / "scope" / cgroup.LEAF
    assert (leaf / "cgroup.procs").read_text("ascii") == "0"
    cgroup.settle(_tree(place, f"0::/scope/{cgroup.LEAF}"))  # what it starts is there already
    assert not (leaf / cgroup.LEAF).exists()


# --- systemd-run ---------------------------------------------------------------------------------


def _systemd_run(place: Path, text: str) -> None:
    path = place / "systemd-run"
    path.write_text(f"#!/bin/sh\n{text}\n", "ascii")
    path.chmod(0o755)


@pytest.fixture(name="user")
def _user(place: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """A user with a session and no control group; what would be executed is written down."""
    became: list[list[str]] = []
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(cgroup, "available", lambda: False)
    monkeypatch.setattr(os, "execvpe", lambda _name, argv, _environment: became.append(argv))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(place))
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")
    monkeypatch.delenv(scope.MARK, raising=False)
    return became


def test_systemd_gives_a_user_a_group_that_he_may_divide(
    place: Path, user: list[list[str]]
) -> None:
    _systemd_run(place, 'while [ "$1" != -- ]; do shift; done; shift; exec "$@"')
    scope.enter(["tenk", "grade"])
    assert user and user[0][0] == "systemd-run" and user[0][-2:] == ["tenk", "grade"]
    assert {"--user", "--scope", "Delegate=yes"} <= set(user[0])


def test_without_a_manager_of_the_user_all_goes_on_as_it_is(
    place: Path, user: list[list[str]]
) -> None:
    _systemd_run(place, "echo no bus >&2; exit 1")
    scope.enter(["tenk", "grade"])
    assert not user


def test_what_runs_in_the_scope_asks_for_no_other(
    user: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    settled: list[bool] = []
    monkeypatch.setattr(cgroup, "settle", lambda: settled.append(True))
    monkeypatch.setenv(scope.MARK, "1")
    scope.enter(["tenk", "grade"])
    assert settled and not user


def test_root_and_a_user_without_a_session_are_not_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cgroup, "available", lambda: False)
    assert not scope.wanted(0, {"XDG_RUNTIME_DIR": "/run/user/0"})
    assert not scope.wanted(1000, {})
    assert scope.wanted(1000, {"XDG_RUNTIME_DIR": "/run/user/1000"})
