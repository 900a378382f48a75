# SPDX-License-Identifier: MIT
"""The grader and those who mean it ill, or are careless: names, links, words, and sudden ends."""
from __future__ import annotations

import contextlib
import json
import mmap
import os
import resource
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import errors
from harness.conformance import catalogue, ending
from harness.conformance.grading import build, compare, grader, isolation, scratch, sheet, watch
from harness.conformance.grading.submission import Submission, Tried, plain
from harness.conformance.outcome import Failed
from harness.conformance.subject import Conditions, Subject
from harness.paths import ROOT

NOBODYS = 1_800_000_000  # from here on users that nobody has
TENK = ROOT / "harness" / "tenk"


@contextlib.contextmanager
def _forked(body: Callable[[], object]) -> Iterator[tuple[int, str]]:
    """A child that has done body() and waits to be killed; its pid, and what body() returned."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            os.write(theirs, f"{body()}\n".encode())
            while True:
                signal.pause()
        os._exit(1)
    os.close(theirs)
    try:
        with open(ours, "rb") as pipe:
            said = pipe.readline().decode().strip()
        yield pid, said
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


# --- what a killed grader leaves -----------------------------------------------------------------


def _hold_a_directory() -> Path:
    holder = scratch.directory()
    folder = holder.__enter__()  # pylint: disable=unnecessary-dunder-call
    (folder / "closed" / "inside").mkdir(parents=True)
    (folder / "closed").chmod(0)
    _kept.append(holder)
    return folder


_kept: list[contextlib.AbstractContextManager[Path]] = []


def test_the_directory_of_a_killed_grader_is_removed_by_the_next_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    elsewhere = tmp_path / "somebody-elses"
    elsewhere.mkdir()
    (tmp_path / f"{scratch.PREFIX}link").symlink_to(elsewhere)
    with _forked(_hold_a_directory) as (_, lives):
        with _forked(_hold_a_directory) as (_, killed):
            assert Path(killed).is_dir()
        with scratch.directory() as mine:
            assert not Path(killed).exists(), "nobody holds it"
            assert mine.is_dir() and Path(lives).is_dir() and elsewhere.is_dir()
        assert not mine.exists()


# --- words of a program, names of files ----------------------------------------------------------


def test_nothing_that_a_program_says_moves_the_cursor_or_turns_the_writing_round() -> None:
    ugly = "\x1b[2J\x1b]0;title\x07 all right\u202e \udcff\x00"
    tried = Tried("first_exchange", "basics", "echo", "wrong", ugly)
    said = Submission("x", "wrong", ugly, compiler=f"a\n\t{ugly}", tried=[tried]).record()
    for text in (said["text"], said["tried"][0]["text"]):
        assert text.isprintable() and "all right" in text and "\\x1b[2J" in text
    assert said["compiler"].startswith("a\n\t\\x1b")
    json.dumps(said, ensure_ascii=False).encode()
    assert plain({"n": 1.5, "list": ("é", None)}) == {"n": 1.5, "list": ["é", None]}


def _text_of_a_name(name: bytes) -> str:
    return f"int main(void) {{ return no_such_thing_{len(name)}; }}\n"


def test_any_name_of_a_file_is_graded_and_no_link_is_followed(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    names = [b"-rf.c", b"\xff\x1b[2J<b>.c", b"n" * 250 + b".c"]
    for name in names:
        Path(os.fsdecode(bytes(folder) + b"/" + name)).write_text(_text_of_a_name(name), "utf-8")
    (folder / "copied.c").symlink_to(folder / "-rf.c")
    (folder / "dangling.c").symlink_to(tmp_path / "nothing")
    (folder / "huge.c").touch()
    os.truncate(folder / "huge.c", 1 << 40)  # a hole, which takes no room
    os.mkfifo(folder / "pipe.c")
    done = subprocess.run(
        ["/usr/bin/python3", str(TENK), "grade", ".", "--points", "echo", "--out", str(out)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    graded = json.loads((out / "grades.json").read_text("utf-8"))["submissions"]
    assert len(graded) == 7 and all(one["complete"] and one["of"] == 20 for one in graded)
    texts = {one["name"]: one["text"] for one in graded}
    assert {one["outcome"] for one in graded} == {"not compiled"}
    assert all("is a link" in texts[name] for name in ("copied", "dangling"))
    assert all("no .c or .cc file" in texts[name] for name in ("huge", "pipe.c"))
    for name in names:
        assert (
            sum(f"no_such_thing_{len(name)}'" in t.replace("’", "'") for t in texts.values()) == 1
        )
    assert len(list((out / "students").iterdir())) == 7
    assert not any(text in done.stdout for text in ("\x1b", "<b>"))


def test_of_thousands_of_files_some_are_taken(tmp_path: Path) -> None:
    for number in range(build.MOST_FILES + 50):
        (tmp_path / f"{number}.c").touch()
    assert len(build.sources(tmp_path)) == build.MOST_FILES


# --- a teacher in a hurry -------------------------------------------------------------------------

ROW = '[[points]]\nwhat = "a"\ncases = ["any_bytes"]\npoints = 2\n'
COMPARED = ROW + '[[comparison]]\nwhat = "b"\npoints = 1\n'


@pytest.mark.parametrize(
    "text, named",
    [
        (f"protocols = 3\n{ROW}", "protocols is 3"),
        (f'protocols = "echo"\n{ROW}', "protocols is 'echo'"),
        (f'protocols = [["echo"]]\n{ROW}', "protocols is"),
        ('[points]\nwhat = "a"\n', "[[points]]"),
        ("points = 3\n", "[[points]]"),
        (ROW.replace('["any_bytes"]', '"any_bytes"'), "cases is 'any_bytes'"),
        (ROW.replace("cases", "groups").replace('["any_bytes"]', "3"), "groups is 3"),
        (ROW.replace("= 2", "= nan"), "points is nan"),
        (f'{COMPARED}with = "epol_lt"\n', "'epol_lt' is no model"),
        (f'{COMPARED}with = ["epoll_lt"]\n', "is no model"),
        (f'{COMPARED}with = "epoll_lt"\nconnections = 0.5\n', "connections is 0.5"),
        (f'{COMPARED}with = "epoll_lt"\nseconds = 1\n', "seconds is 1"),
        (f'{ROW}[comparison]\nwhat = "b"\nwith = "epoll_lt"\n', "[[comparison]]"),
    ],
)
def test_a_mistake_in_a_sheet_is_named(text: str, named: str, tmp_path: Path) -> None:
    file = tmp_path / "lab.toml"
    file.write_text(text, "utf-8")
    with pytest.raises(errors.UsageError) as refused:
        sheet.load(str(file), catalogue.discover())
    assert named in str(refused.value) and str(file) in str(refused.value)


def test_a_ratio_without_an_interval_tells_nothing() -> None:
    unsure = {compare.METRIC: {"estimate": 1.5, "lo": None, "hi": None}}
    contender = {"name": "x", "ratio": unsure}
    said = {"verdict": {"status": "valid"}, "arrangements": {"t": {"contenders": [contender]}}}
    assert compare.ratio(said, "x") is None


# --- a server that lies about itself -------------------------------------------------------------

TOLD_BY_A_STUDENT = Conditions(believes_ready=False)


def test_a_ready_line_with_the_pid_of_another_process_is_none() -> None:
    line = f"ready model=x port=1 pid={os.getpid()}"
    with pytest.raises(Failed, match="no process of the server"):
        Subject(["/bin/sh", "-c", f"echo {line}; exec cat /dev/zero"], TOLD_BY_A_STUDENT)


def test_a_ready_line_excuses_a_students_server_from_nothing() -> None:
    more = "guest=1 attached=1 url=http://192.0.2.1:80/"
    script = f'echo "ready model=x port=1 pid=$$ {more}"; exec sleep 60'
    with Subject(["/bin/sh", "-c", script], TOLD_BY_A_STUDENT) as subject:
        assert sorted(subject.ready) == ["model", "pid", "port"] and subject.host == ""
        assert subject.server_pid == subject.pid


@pytest.mark.parametrize(
    "said, known",
    [
        (["http", "echo", "http"], ("echo", "http")),
        (["gopher", 7, None], ()),
        (tuple("echo"), ()),  # "protocols": "echo"
        ([{}, "rot13"], ("rot13",)),
    ],
)
def test_only_protocols_that_can_be_tried_are(said: list[object], known: tuple[str, ...]) -> None:
    assert sorted(grader._known(said)) == sorted(known)


# --- bounds that are met without a control group --------------------------------------------------


class _Alive:
    """A server that lives: this process with its children."""

    finished = False
    server_pid = 0

    def wait(self, _timeout_s: float) -> None:
        return None


def test_a_server_that_has_taken_all_processes_has_met_a_bound_and_does_not_hang() -> None:
    if os.geteuid() != 0:
        pytest.skip("it takes a user without other processes, which root alone can become")

    def body() -> str:
        isolation.become(NOBODYS + os.getpid())
        resource.setrlimit(resource.RLIMIT_NPROC, (12, 12))
        server = _Alive()
        server.server_pid = os.getpid()
        before = ending.of(Failed("nothing happened for 3 s"), [server])  # type: ignore[list-item]
        made = []
        with contextlib.suppress(BlockingIOError):
            while len(made) < 50:
                made.append(os.fork())
                if made[-1] == 0:
                    signal.pause()
        after = ending.of(Failed("nothing happened for 3 s"), [server])  # type: ignore[list-item]
        for pid in made:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        return f"{before.kind}, {after.kind}, {after.doing}"

    with _forked(body) as (_, said):
        assert said == f"hung, limit, {ending.ALL_PROCESSES}"


def test_memory_that_a_program_shares_with_itself_is_counted_too() -> None:
    size = 64 << 20
    shared: list[mmap.mmap] = []

    def body() -> int:
        shared.append(mmap.mmap(-1, size))  # MAP_SHARED | MAP_ANONYMOUS
        return shared[0].write(b"x" * size)

    with _forked(body) as (pid, _):
        assert watch.bytes_of([pid], 1 << 40) >= size
        assert watch.bytes_of([pid], size // 2) >= size
