# SPDX-License-Identifier: MIT
"""The files that a cell's server serves under /file/: made for the cell, and gone with it.

Where the load says so, a process of the cell's own empties their page cache again and again, so
that a read has to wait for the disk.
"""
from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.design.load import Load
from harness.measure.process import CannotRunHere, Child

FILE_BYTES = 1 << 20
EVICTOR = Path(__file__).with_name("evictor.py")


@contextlib.contextmanager
def made(load: Load, folder: Path, cpus: Sequence[int]) -> Iterator[list[str]]:
    """The server's options for the load's files, which are in `folder` as long as this lasts;
    nothing where it has none. cpus: of the process that evicts them.

    Raises CannotRunHere where files in `folder` cannot be evicted, OSError where they cannot be
    made.
    """
    if not load.files:
        yield []
        return
    folder = folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed
    try:
        folder.mkdir()
        paths = [folder / str(number) for number in range(load.files)]
        _write(paths)
        if not load.evict_ms:
            yield ["--root", str(folder)]
            return
        if not evictable(paths[0]):
            raise CannotRunHere(
                f"files in {folder.parent} stay in memory, as those of a tmpfs do:"
                " choose a directory on a disk (--out)"
            )
        # -I -S: nothing of the user's settings, and no site packages, which it does not need.
        argv = [sys.executable, "-I", "-S", str(EVICTOR), f"{load.evict_ms / 1000:g}"]
        with Child([*argv, *map(str, paths)], cpus):
            yield ["--root", str(folder)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write(paths: Sequence[Path]) -> None:
    """To the disk, too: a page that is not yet written cannot be evicted."""
    content = os.urandom(FILE_BYTES)
    for path in paths:
        with path.open("wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())


def evictable(path: Path) -> bool:
    """Whether the file leaves the page cache when that is asked for: then a read that must not wait
    (RWF_NOWAIT) finds nothing."""
    with path.open("rb", buffering=0) as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        try:
            return os.preadv(file.fileno(), [bytearray(1)], 0, os.RWF_NOWAIT) < 1
        except BlockingIOError:
            return True
        except OSError:  # a file system that does not know the flag
            return False
