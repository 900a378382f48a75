# SPDX-License-Identifier: MIT
"""The files of a cell: made for it, kept out of memory if the load says so, and gone with it."""
from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from harness.conformance.subject import wait_until
from harness.design.load import Load
from harness.measure import files
from harness.measure.process import CannotRunHere, tree
from harness.store import Run

MIX = "/file/* 1, POST /a 2, / 99"
SHM = Path("/dev/shm")
PATIENCE_S = 20.0


def is_tmpfs(path: Path) -> bool:
    said = subprocess.run(
        ["stat", "-f", "-c", "%T", str(path)], capture_output=True, text=True, check=False
    )
    return said.stdout.strip() == "tmpfs"


def test_each_file_is_asked_for_alike_and_all_of_them_as_often_as_the_mix_says() -> None:
    lines = [line.split() for line in Load(mix=MIX, files=4).mix_lines.splitlines()]
    found = {path: int(weight) for _, path, weight, _ in lines}
    assert found == {**{f"/file/{n}": 1 for n in range(4)}, "/a": 8, "/": 396}
    assert [path for _, path, _, name in lines if name == "usual"] == ["/"]


def test_a_mix_without_files_keeps_its_weights() -> None:
    assert Load(mix="/work/100 1, / 99").mix_lines == "GET /work/100 1 rare\nGET / 99 usual\n"


@pytest.mark.parametrize(
    ("load", "named"),
    [
        (Load(files=4), "files = 4"),
        (Load(mix=MIX), "files = 0"),
        (Load(mix=MIX, files=257), "files = 257"),
        (Load(mix=MIX, evict_ms=5), "evict_ms = 5"),
        (Load(mix="/file/* 1, / 500000", files=4), "/ 500000"),
    ],
)
def test_files_that_nobody_asks_for_or_that_are_not_there_are_refused(
    load: Load, named: str
) -> None:
    assert named in load.problem()


def test_a_cells_files_are_there_for_it_and_gone_after_it_whatever_happens(tmp_path: Path) -> None:
    folder = tmp_path / "of the cell"
    with pytest.raises(KeyError), files.made(Load(mix=MIX, files=3), folder, ()) as options:
        assert options == ["--root", str(folder)]
        sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
        assert sizes == {str(n): files.FILE_BYTES for n in range(3)}
        raise KeyError
    assert not folder.exists()


def test_a_load_without_files_makes_none(tmp_path: Path) -> None:
    with files.made(Load(), tmp_path / "none", ()) as options:
        assert options == []
        assert not list(tmp_path.iterdir())


def test_what_was_read_leaves_the_memory_again_and_who_sees_to_it_ends_with_the_cell(
    tmp_path: Path,
) -> None:
    load = Load(mix=MIX, files=2, evict_ms=1)
    before = set(tree(os.getpid()))
    try:
        with files.made(load, tmp_path / "files", ()) as options:
            path = Path(options[1]) / "1"
            for _ in range(3):
                path.read_bytes()
                assert wait_until(lambda: not _in_memory(path), PATIENCE_S)
            assert len(set(tree(os.getpid())) - before) == 1
    except CannotRunHere:
        pytest.skip("files stay in memory here")
    assert set(tree(os.getpid())) <= before


def _in_memory(path: Path) -> bool:
    with path.open("rb", buffering=0) as file:
        try:
            return os.preadv(file.fileno(), [bytearray(1)], 0, os.RWF_NOWAIT) == 1
        except BlockingIOError:
            return False


@pytest.mark.skipif(not is_tmpfs(SHM), reason="/dev/shm is no tmpfs here")
def test_files_that_cannot_leave_the_memory_are_told_of_in_one_line_and_removed() -> None:
    folder = SHM / f"tenk-test-{os.getpid()}"
    load = Load(mix=MIX, files=1, evict_ms=20)
    with pytest.raises(CannotRunHere, match="stay in memory.*--out"):
        with files.made(load, folder, ()):
            raise AssertionError("it cannot be evicted")
    assert not folder.exists()


def test_the_files_of_a_cell_that_was_killed_are_swept_away(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", {})
    left = run.path / "cells" / ".epoll_lt.r0.files.tmp"
    left.mkdir()
    (left / "0").write_bytes(b"x")
    run.sweep()
    assert not left.exists()
