# SPDX-License-Identifier: MIT
"""Private directories of a grader, which are gone afterwards, however it ended.

A grader that is killed outright (SIGKILL, want of memory) takes nothing away. So each holds a lock
on its directory, which the kernel lets go of with the process, and whoever comes next removes what
nobody holds.
"""
from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

PREFIX = "tenk-grading-"


@contextlib.contextmanager
def directory() -> Iterator[Path]:
    """A new one, empty; it and all that is in it is gone at the end."""
    sweep()
    while True:
        with tempfile.TemporaryDirectory(prefix=PREFIX) as name, contextlib.ExitStack() as held:
            folder = Path(name)
            # Between its making and its lock another sweep may have taken it for left behind.
            if _lock(folder, held, fcntl.LOCK_EX):
                yield folder
                return


def sweep() -> None:
    """Remove those of this user that no process holds."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.ExitStack() as held:
            if _lock(folder, held, fcntl.LOCK_EX | fcntl.LOCK_NB):
                _remove(folder)


def _lock(folder: Path, held: contextlib.ExitStack, how: int) -> bool:
    """Whether it is a directory of ours that is there, and is now locked until `held` ends."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        held.callback(os.close, descriptor)
        mine = os.fstat(descriptor)
        if mine.st_uid != os.geteuid():
            return False
        fcntl.flock(descriptor, how)
        return os.path.samestat(mine, folder.lstat())
    except OSError:
        return False


def _remove(folder: Path) -> None:
    """With directories that their maker has closed, too."""
    for here, names, _ in os.walk(folder):
        for path in (Path(here) / name for name in names):
            if stat.S_ISDIR(path.lstat().st_mode):
                path.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)
