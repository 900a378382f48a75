# SPDX-License-Identifier: MIT
"""tenk check: is every server a correct server?"""
from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness import errors, paths
from harness.measure import models
from harness.conformance import catalogue, core, faults, matrix
from harness.conformance.runner import FAIL, OK, Result, plan, run_all
from harness.conformance.subject import conditions_for
from harness.conformance.talk import TALKS
from harness.design import selection
from harness.design.model import Model

if TYPE_CHECKING:
    from harness.commands import Subparsers

EPILOG = """exit status: 0 all ok · 1 something failed · 2 bad usage.
docs/conformance.md explains the cases, the bounds, and how a new model is graded."""


def register(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser(
        "check", help="test that every server is a correct server", epilog=EPILOG
    )
    parser.add_argument("models", nargs="*", metavar="MODELS", help=f"{selection.HOW} [all]")
    parser.add_argument("--protocol", metavar="P", help=f"only this one of {', '.join(TALKS)}")
    parser.add_argument(
        "--case", metavar="NAME", action="append", help="only this case; may be given again"
    )
    parser.add_argument("--cases", action="store_true", help="list the cases and what they test")
    parser.add_argument(
        "--faults", action="store_true", help="make system calls fail below the server (strace)"
    )
    parser.add_argument("--build", metavar="DIR", help="build directory (default: build)")
    parser.add_argument("--json", metavar="FILE", help="write the results there too")
    parser.add_argument(
        "--jobs", metavar="N", default="2", help="cases at a time, 1 to 64 (default 2)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    cases = _cases(args.case, args.faults)
    if args.cases:
        for case in cases:
            print(f"{case.name}\n    " + "\n    ".join(case.doc.splitlines()) + "\n")
        return errors.EXIT_OK
    workers = _jobs(args.jobs)
    if args.faults and faults.missing():
        raise errors.SetupError(f"faults cannot be injected: {faults.missing()}")
    if args.protocol is not None and args.protocol not in TALKS:
        raise errors.UsageError("--protocol", args.protocol, f"it is one of {', '.join(TALKS)}")
    chosen = _models(args.models, args.build)
    protocols = (args.protocol,) if args.protocol else ()
    if args.json:
        _writable(Path(args.json))
    broken = [_broken(model) for model in chosen if model.broken]
    for model in chosen:
        if model.broken:
            print(f"FAIL {model.name}: {model.unavailable}")
        elif model.unavailable:
            print(f"{model.name}: cannot run here: {model.unavailable}")
    jobs = plan(chosen, cases, protocols)
    if not jobs and not broken:
        raise errors.SetupError("nothing to check: no model that can run here fits")
    start = time.monotonic()
    progress = _Tally(len(jobs))
    results = run_all(jobs, conditions_for(_build_dir(args.build)), workers, progress.step)
    progress.end()
    if results:
        print(matrix.render(results, cases), end="")
    if broken:
        print(f"failed without being checked: {', '.join(r.model for r in broken)}")
    if args.faults:
        print(matrix.survival(results))
    print(f"{time.monotonic() - start:.0f} s")
    results = broken + results
    if args.json:
        _write(Path(args.json), results)
    return errors.EXIT_FAILURE if any(r.outcome == FAIL for r in results) else errors.EXIT_OK


def _cases(names: Sequence[str] | None, below: bool) -> list[core.Case]:
    known = {case.name: case for case in (faults.discover() if below else catalogue.discover())}
    for name in names or ():
        if name not in known:
            raise errors.UsageError("--case", name, "see tenk check --cases")
    return [known[name] for name in names] if names else list(known.values())


def _build_dir(build: str | None) -> Path:
    return Path(build).resolve() if build else paths.build_dir()


def _jobs(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 64:
        raise errors.UsageError("--jobs", text, "it is a whole number from 1 to 64")
    return int(text)


def _models(names: Sequence[str], build: str | None) -> list[Model]:
    if build is not None and not (Path(build) / "servers").is_dir():
        raise errors.UsageError("--build", build, "it must be a directory with servers/ in it")
    known = models.discover(Path(build).resolve() / "servers" if build else None)
    wanted = [word for text in names for word in selection.words(text)]
    return selection.select(known, wanted or [selection.ALL], "MODELS")


def _writable(path: Path) -> None:
    try:
        with open(path, "a", encoding="utf-8"):
            pass
    except OSError as error:
        raise errors.UsageError("--json", path, f"it cannot be written: {error.strerror}") from None


def _broken(model: Model) -> Result:
    """A model that cannot be asked or must not be measured has failed; it is not left out."""
    return Result(model.name, "", "describe", FAIL, model.unavailable)


def _write(path: Path, results: Sequence[Result]) -> None:
    whole = {
        "schema": "tenk.check/1",
        "models": sorted({result.model for result in results}),
        "ok": all(result.outcome != FAIL for result in results),
        "results": [dataclasses.asdict(result) for result in results],
    }
    try:
        path.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:  # of a write, and so without the file's name
        raise errors.SetupError(f"--json: '{path}' cannot be written: {error.strerror}") from None


class _Tally:
    """A line that counts, on a terminal only; failures as they happen."""

    def __init__(self, total: int) -> None:
        self._total, self._done, self._failed = total, 0, 0
        self._shown = sys.stderr.isatty()

    def step(self, result: Result) -> None:
        self._done += 1
        self._failed += result.outcome not in (OK, "n/a")
        if self._shown:
            text = f"{self._done}/{self._total}, {self._failed} failed · {result.case}"
            print(f"\r\x1b[K{text}"[:100], end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
