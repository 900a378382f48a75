# SPDX-License-Identifier: MIT
"""tenk check: is every server a correct server?"""
from __future__ import annotations

import argparse
import dataclasses
import os
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness import errors, paths
from harness.commands import check_file
from harness.measure import models
from harness.conformance import catalogue, core, faults, matrix
from harness.conformance.grading.submission import write_json
from harness.conformance.runner import FAIL, OK, Result, plan, run_all
from harness.conformance.subject import conditions_for
from harness.conformance.talk import TALKS
from harness.design import guest, selection
from harness.design.model import Model

if TYPE_CHECKING:
    from harness.commands import Subparsers

EPILOG = """exit status: 0 all ok · 1 something failed · 2 bad usage · 130 interrupted, and what is
known is kept. With --file: 0 ok · 1 wrong · 10 not compiled · 11 cannot describe itself ·
12 no ready line · 13 crashed · 14 hung · 15 over a bound · 16 not all was reached ·
77 not applicable
docs/conformance.md explains the cases and bounds, docs/teaching.md how submissions are graded."""


def register(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser(
        "check", help="test that every server is a correct server", epilog=EPILOG
    )
    parser.add_argument(
        "models", nargs="*", metavar="MODELS", help=f"{selection.HOW}, or guest:NAME [all]"
    )
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
    parser.add_argument(
        "--file", metavar="FILE", help="grade a .c or .cc file, or a directory of them, shut in"
    )
    parser.add_argument(
        "--keep", metavar="PROGRAM", type=Path, help="with --file: leave the program there"
    )
    parser.add_argument(
        "--url", metavar="URL", help="a server that runs: only what any server of HTTP/1.1 does"
    )
    check_file.add_options(parser)
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
    if args.file:
        return _grade_file(args, cases)
    if args.points or args.include or args.keep:
        raise errors.UsageError("--points, --include, --keep", "", "they go with --file")
    chosen = _chosen(args)
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
    known = _Known(broken, Path(args.json) if args.json else None)

    def step(result: Result) -> None:
        known.add(result)
        progress.step(result)

    interrupted = False
    try:
        results = run_all(jobs, conditions_for(_build_dir(args.build)), workers, step)
        known.complete(results)
    except KeyboardInterrupt:
        interrupted, results = True, known.results
        known.write(False)
    progress.end()
    if results:
        print(matrix.render(results, cases), end="")
    if broken:
        print(f"failed without being checked: {', '.join(r.model for r in broken)}")
    if args.faults:
        print(matrix.survival(results))
    print(f"{time.monotonic() - start:.0f} s")
    if interrupted:
        print(f"tenk: interrupted: {len(results)} of {len(jobs)} were tried", file=sys.stderr)
        return errors.EXIT_INTERRUPTED
    results = broken + results
    return errors.EXIT_FAILURE if any(r.outcome == FAIL for r in results) else errors.EXIT_OK


def _chosen(args: argparse.Namespace) -> list[Model]:
    """Models, guests and a server that runs already."""
    foreign = [
        one
        for text in [*args.models, *([f"url={args.url}"] if args.url else [])]
        if (one := guest.parse_foreign(text, "--url" if text.startswith("url=") else "MODELS"))
    ]
    # Under the name by which it can be asked for again.
    guests = [models.describe_foreign(replace(one, name=shlex.quote(one.asked))) for one in foreign]
    if not args.protocol:  # a command does not say which it speaks
        guests = [replace(m, protocols=m.protocols[:1]) for m in guests]
    named = [text for text in args.models if not guest.parse_foreign(text, "MODELS")]
    return guests if guests and not named else [*_models(named, args.build), *guests]


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
    where = Path(build).resolve() / "servers" if build else None
    wanted = [word for text in names for word in selection.words(text)]
    built = models.names(where)
    for word in wanted:
        if word not in built and not build and (text := models.source(word)):
            said = f"{text.relative_to(paths.ROOT)} is not built: run `make` to see why"
            raise errors.SetupError(f"{word}: {said}")
    # One that hangs when it is asked what it is must not keep others waiting that are not meant.
    plain = bool(wanted) and set(wanted) <= set(built)
    known = models.discover(where, set(wanted) if plain else None)
    return selection.select(known, wanted or [selection.ALL], "MODELS")


def _writable(path: Path) -> None:
    """Refuse a file that cannot be written, and make none: an empty one would be no JSON."""
    place = path if path.exists() else path.parent
    if path.is_dir() or not os.access(place, os.W_OK):
        why = "it is a directory" if path.is_dir() else "it cannot be written"
        raise errors.UsageError("--json", path, why)


def _broken(model: Model) -> Result:
    """A model that cannot be asked or must not be measured has failed; it is not left out."""
    return Result(model.name, "", "describe", FAIL, model.unavailable)


def _grade_file(args: argparse.Namespace, cases: Sequence[core.Case]) -> int:
    if args.models or args.build or args.faults:
        raise errors.UsageError("--file", args.file, "without MODEL, --build and --faults")
    if args.json:
        _writable(Path(args.json))
    return check_file.run(args, cases)


class _Known:
    """The results so far, in a file that is complete after every case."""

    EVERY_S = 1.0  # between two writings, so that thousands of results do not cost their square

    def __init__(self, broken: Sequence[Result], path: Path | None) -> None:
        self.results: list[Result] = []
        self._broken, self._path, self._written = list(broken), path, 0.0
        self.write(False)

    def add(self, result: Result) -> None:
        self.results.append(result)
        if time.monotonic() - self._written > self.EVERY_S:
            self.write(False)

    def complete(self, results: Sequence[Result]) -> None:
        """All of them, in their order."""
        self.results = list(results)
        self.write(True)

    def write(self, complete: bool) -> None:
        """Write what is known; complete: nothing else comes."""
        if self._path is None:
            return
        results = self._broken + self.results
        whole = {
            "schema": "tenk.check/1",
            "complete": complete,
            "models": sorted({result.model for result in results}),
            "ok": all(result.outcome != FAIL for result in results),
            "results": [dataclasses.asdict(result) for result in results],
        }
        try:
            write_json(self._path, whole, last=complete)
        except OSError as error:  # of a write, and so without the file's name
            why = f"--json: '{self._path}' cannot be written: {error.strerror}"
            raise errors.SetupError(why) from None
        self._written = time.monotonic()


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
