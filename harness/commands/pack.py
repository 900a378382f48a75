# SPDX-License-Identifier: MIT
"""tenk pack: keep the cells of finished runs in one compressed file each."""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from harness import errors, packed, store
from harness.commands import plot

if TYPE_CHECKING:
    from harness.commands import Subparsers


def register(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser(
        "pack",
        help="keep the cells of a finished run in one compressed file",
        description=f"Replaces the folder {packed.FOLDER}/ of each run by {packed.NAME}, and what"
        f" it amounts to by {packed.CONCLUSIONS_NAME}; everything that reads runs reads both. Of a"
        " run that is packed already the latter is made anew.",
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a directory, an experiment, latest")
    parser.add_argument("--unpack", action="store_true", help="the other way round")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    paths = list(dict.fromkeys(path for name in args.runs for path in store.find(name)))
    for path in paths:
        done = store.Run.open(path)
        if not done.meta.get("complete"):
            raise errors.UsageError("RUN", path, "it must be complete (tenk run --resume)")
        done.cells()  # a record that is not right is told of now, and nothing is changed
    for path in paths:
        before = _bytes(path)
        alone = store.Run.open(path)
        try:
            alone.lock()
            said = _change(path, args.unpack)
        except OSError as error:
            raise errors.SetupError(f"cannot write {path}: {error.strerror}") from None
        finally:
            alone.unlock()
        print(f"{path}{said or f': {before} bytes before, {_bytes(path)} now'}")
    return errors.EXIT_OK


def _change(path: Path, unpack: bool) -> str:
    """Pack or unpack one run; what is to be said where its cells stay as they are, or ''."""
    if unpack:
        if not packed.is_packed(path):
            return " is not packed"
        packed.unpack(path)
        return ""
    packed.write_conclusions(path, plot.conclusions(path))
    if packed.is_packed(path):
        return " is packed already"
    packed.pack(path)
    return ""


def _bytes(path: Path) -> int:
    return sum(one.stat().st_size for one in path.rglob("*") if one.is_file())
