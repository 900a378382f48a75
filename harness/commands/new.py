# SPDX-License-Identifier: MIT
"""tenk new: a file for a student to begin with."""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from harness import errors
from harness.conformance import starter
from harness.measure import models

if TYPE_CHECKING:
    from harness.commands import Subparsers

EPILOG = """exit status: 0 written · 1 it cannot be written · 2 bad usage, or the file is there.
docs/teaching.md says what a student does with it."""


def register(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser(
        "new", help="write a server's skeleton for a student, or for you", epilog=EPILOG
    )
    add = parser.add_argument
    add("name", metavar="NAME", help="of the server: small letters, digits and _")
    add("--from", dest="model", metavar="MODEL", default="poll", help="in C, in servers/ [poll]")
    add("--plain", action="store_true", help="plain sockets, without servers/lib; echo only")
    add("--out", type=Path, metavar="FILE", help="where to write it [NAME.c]")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """See EPILOG for the status."""
    if not starter.NAME.fullmatch(args.name):
        allowed = "small letters, digits and _, a letter first, at most 31 of them"
        raise errors.UsageError("NAME", args.name, allowed)
    target = args.out or Path(f"{args.name}.c")
    text = starter.plain(args.name) if args.plain else _skeleton(args.model, args.name)
    try:
        with open(target, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise errors.UsageError("--out", target, "a file that is not there yet") from None
    print(f"{target}: it compiles and starts; what is to be written is marked in it")
    print(f"try it: harness/tenk check --file {target} --points echo")
    return errors.EXIT_OK


def _skeleton(model: str, name: str) -> str:
    source = models.source(model)
    if source is None or source.suffix != ".c":
        raise errors.UsageError("--from", model, "a model in C, a file in servers/")
    try:
        return starter.skeleton(source.read_text("utf-8"), model, name)
    except starter.Unfit as unfit:
        raise errors.UsageError("--from", model, str(unfit)) from None
