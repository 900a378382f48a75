# SPDX-License-Identifier: MIT
"""tenk check --file: one submission, graded. No subcommand itself."""
from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from harness import errors
from harness.conformance import core
from harness.conformance.grading import grader, scope, sheet
from harness.conformance.grading.submission import Submission, write_json
from harness.present import submission as present


def add_options(parser: argparse.ArgumentParser) -> None:
    """What `check` and `grade` have in common."""
    add = parser.add_argument
    add(
        "--points",
        metavar="SHEET",
        help=f"what is worth what: {', '.join(sheet.available())}, or a TOML file",
    )
    add("--include", metavar="DIR", type=Path, help="headers that you give to all students")
    add("--case-seconds", metavar="S", default="20", help="bound on one case, 1 to 600 [20]")
    add("--seconds", metavar="S", default="240", help="bound on one submission, 5 to 3600 [240]")


def task(args: argparse.Namespace, path: Path, cases: Sequence[core.Case]) -> grader.Task:
    """What is to be done with one submission. Raises UsageError."""
    if not path.exists():
        raise errors.UsageError("--file", path, "a .c or .cc file, or a directory of them")
    if args.include is not None and not args.include.is_dir():
        raise errors.UsageError("--include", args.include, "a directory with headers in it")
    return grader.Task(
        path=path,
        cases=cases,
        protocols=(args.protocol,) if getattr(args, "protocol", None) else (),
        points=sheet.load(args.points, cases) if args.points else None,
        include=args.include,
        keep=getattr(args, "keep", None),
        case_s=seconds("--case-seconds", args.case_seconds, 1, 600),
        total_s=seconds("--seconds", args.seconds, 5, 3600),
    )


def seconds(option: str, text: str, low: float, high: float) -> float:
    """A number of seconds from an option. Raises UsageError."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not low <= value <= high:
        raise errors.UsageError(option, text, f"seconds, from {low:g} to {high:g}")
    return value


def run(args: argparse.Namespace, cases: Sequence[core.Case]) -> int:
    """Grade args.file; the status says the outcome (submission.STATUS)."""
    what = task(args, Path(args.file), cases)
    scope.enter([sys.executable, *sys.argv])
    target = Path(args.json) if args.json else None
    last: list[Submission] = []
    shown = sys.stderr.isatty()

    def told(said: Submission) -> None:
        last[:] = [said]
        if target:
            write_json(target, said.record(), last=False)
        if shown:
            now = f"{said.tried[-1].case}" if said.tried else "compiling"
            print(f"\r\x1b[K{len(said.tried)} · {now}"[:100], end="", file=sys.stderr, flush=True)

    interrupted = False
    try:
        grader.grade(what, told)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        if shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    if interrupted and not last:
        raise KeyboardInterrupt
    if target:
        write_json(target, last[0].record())
    print(present.text(last[0].record()), end="")
    if interrupted:
        print("tenk: interrupted; this is what is known", file=sys.stderr)
        return errors.EXIT_INTERRUPTED
    return last[0].status
