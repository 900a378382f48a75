# SPDX-License-Identifier: MIT
"""tenk grade: the submissions of a course, side by side, each by a `tenk check --file`."""
from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shlex
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import errors, paths
from harness.commands import check_file
from harness.conformance import catalogue
from harness.conformance.grading import build, resume, sandbox, scope, scratch, sheet, submission
from harness.conformance.grading.submission import Submission, plain, write_json
from harness.measure.process import Child
from harness.present import submission as present

if TYPE_CHECKING:
    from harness.commands import Subparsers

SCHEMA = "tenk.grades/1"
COMPILING_S = 240.0  # beyond the bound on a submission: compiling it, once more with a sanitizer
LOOK_S = 0.1
MOST_NAME = 50  # characters of a name: files are called by it, and a file's name has 255 bytes
EPILOG = """OUT/grades.json is complete after every submission; OUT/grades.csv and
OUT/index.html are the teacher's, OUT/students/NAME.html is for that student.
--resume keeps what OUT/grades.json knows to its end of a submission whose files, points and
bounds are the same, graded by the same tenk; all others are graded again.
exit status: 0 all were graded, whatever came of it · 1 something is missing or cannot be
written · 2 bad usage · 3 a submission could not be graded · 130 interrupted, what is known
is kept"""


@dataclass(frozen=True)
class Entry:
    """One submission: the name it has everywhere, and where it is."""

    name: str
    path: Path


@dataclass
class _Running:
    entry: Entry
    child: Child
    json: Path
    deadline: float


def register(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser("grade", help="grade the submissions of a course", epilog=EPILOG)
    add = parser.add_argument
    add("directory", nargs="?", type=Path, metavar="DIR", help="a file or directory per student")
    add("--list", type=Path, metavar="FILE", help="instead: one path per line, such as checkouts")
    add("--out", type=Path, metavar="OUT", required=True, help="where the results go")
    add("--resume", action="store_true", help="go on: keep what OUT knows and is still true")
    add("--jobs", metavar="N", default="", help="submissions at a time, 1 to 64 [one per CPU]")
    check_file.add_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """See EPILOG for the status."""
    entries = _entries(args)
    jobs = _jobs(args.jobs)
    cases = catalogue.discover()
    any_path = args.directory or entries[0].path
    points = check_file.task(args, any_path, cases).points  # a wrong option shows now, once
    scope.enter([sys.executable, *sys.argv])
    build.recipe()
    known = resume.known(args.out / "grades.json", SCHEMA) if args.resume else {}
    links = [entry for entry in entries if args.directory and entry.path.is_symlink()]
    real = [entry for entry in entries if entry not in links]
    tasks = {entry.name: check_file.task(args, entry.path, cases) for entry in real}
    marks = {name: resume.mark(task) for name, task in tasks.items()}
    records = _make(args.out)
    graded = _Graded(args.out, entries, marks)
    kept = graded.keep(known)
    for entry in links:
        graded.refuse(entry, "it is a link, and links are not followed", points)
    graded.write()
    waiting = [entry for entry in real if entry.name not in kept]
    if args.resume:
        print(f"kept {len(kept)} of {len(entries)}: the same files, points, bounds and tenk")
    if waiting:
        _say_what_is_not_held()
    failed: list[str] = []
    interrupted = False
    try:
        _grade_all(waiting, jobs, args, records, graded, failed)
    except KeyboardInterrupt:
        interrupted = True
    graded.collect(records)
    graded.write()
    graded.pages(points.title if points else "Submissions")
    print(present.table(graded.records), end="")
    print(f"\nkept in {args.out}: grades.json, grades.csv, index.html, students/")
    for name in failed:
        print(f"tenk: {name}: could not be graded", file=sys.stderr)
    if interrupted:
        print(f"tenk: interrupted: {graded.count()} of {len(entries)} graded", file=sys.stderr)
        return errors.EXIT_INTERRUPTED
    return errors.EXIT_DOUBTFUL if failed else errors.EXIT_OK


def _say_what_is_not_held() -> None:
    """Before any of the students' code runs."""
    with scratch.directory() as folder:
        means = sandbox.means(folder)
    if means.missing:
        print(f"tenk: not held on this machine: {', '.join(means.missing)};", file=sys.stderr)
        print(f"tenk: {sandbox.remedy(means)}", file=sys.stderr)


def _entries(args: argparse.Namespace) -> list[Entry]:
    """The submissions, by name. Raises UsageError where there are none."""
    if (args.directory is None) == (args.list is None):
        raise errors.UsageError("grade", args.directory or "", "give a DIR, or --list FILE")
    if args.list is not None:
        try:
            lines = args.list.read_text("utf-8").splitlines()
        except OSError as error:
            raise errors.UsageError("--list", args.list, f"{error.strerror}") from None
        found = [Path(line.strip()) for line in lines if line.strip() and line[0] != "#"]
        for path in found:
            if not path.exists():
                raise errors.UsageError("--list", path, "there is nothing at that path")
    elif not args.directory.is_dir():
        raise errors.UsageError("DIR", args.directory, "a directory of submissions")
    else:
        out = args.out.resolve()
        found = [
            path
            for path in sorted(args.directory.iterdir())
            if not path.name.startswith(".")
            and path.resolve() != out
            and (path.is_dir() or path.suffix in build.SUFFIXES)
        ]
    if not found:
        raise errors.UsageError("DIR", args.directory or args.list, "there is no submission in it")
    return _named(found)


def _named(found: Sequence[Path]) -> list[Entry]:
    """Names that differ, and can be files' names: the stem, or all of it where stems are alike."""
    stems = [
        path.stem if path.is_file() or path.is_symlink() else path.resolve().name for path in found
    ]
    entries, taken = [], set[str]()
    for path, stem in zip(found, stems):
        name = stem if stems.count(stem) == 1 else path.name
        name = re.sub(r"[^\w.+@-]", "_", name).lstrip(".")[:MOST_NAME] or "submission"
        number = 2
        while name in taken:
            name = f"{name}-{number}"
            number += 1
        taken.add(name)
        entries.append(Entry(name, path))
    return entries


def _jobs(text: str) -> int:
    if not text:
        return min(64, len(os.sched_getaffinity(0)))
    if not text.isdigit() or not 1 <= int(text) <= 64:
        raise errors.UsageError("--jobs", text, "it is a whole number from 1 to 64")
    return int(text)


def _make(out: Path) -> Path:
    """The directories for the results; only the teacher can look into `records`."""
    records = out / ".records"
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.rmtree(records, ignore_errors=True)
        records.mkdir(mode=0o700)
        (out / "students").mkdir(exist_ok=True)
    except OSError as error:
        raise errors.UsageError("--out", out, f"it cannot be written: {error.strerror}") from None
    return records


# --- running -------------------------------------------------------------------------------------


def _grade_all(
    entries: Sequence[Entry],
    jobs: int,
    args: argparse.Namespace,
    records: Path,
    graded: "_Graded",
    failed: list[str],
) -> None:
    waiting, running = list(entries), list[_Running]()
    shown = sys.stderr.isatty()
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                running.append(_start(waiting.pop(0), args, records))
            time.sleep(LOOK_S)
            for one in [r for r in running if _over(r)]:
                running.remove(one)
                one.child.close()
                if not graded.take(one.entry, one.json):
                    failed.append(one.entry.name)
                graded.write()
            if shown:
                now = ", ".join(one.entry.name for one in running)
                text = f"{graded.count()}/{graded.all} graded · {now}"
                print(f"\r\x1b[K{text}"[:100], end="", file=sys.stderr, flush=True)
    finally:
        if shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
        for one in running:
            one.child.signal(15)  # it writes down what it knows, and takes its directories away
        for one in running:
            one.child.wait(10.0)
            one.child.close()


def _start(entry: Entry, args: argparse.Namespace, records: Path) -> _Running:
    target = records / f"{entry.name}.json"
    command = [sys.executable, str(paths.ROOT / "harness" / "tenk"), "check"]
    command += [f"--file={entry.path}", "--json", str(target)]  # a name may begin with "-"
    command += ["--seconds", args.seconds, "--case-seconds", args.case_seconds]
    for option in ("points", "include"):
        if getattr(args, option) is not None:
            command += [f"--{option}={getattr(args, option)}"]
    deadline = time.monotonic() + float(args.seconds) + COMPILING_S
    return _Running(entry, Child(command), target, deadline)


def _over(one: _Running) -> bool:
    """Whether it has ended; one that does not end is not waited for longer."""
    return one.child.wait(0) is not None or time.monotonic() > one.deadline


class _Graded:
    """All records so far, and the files made of them."""

    def __init__(self, out: Path, entries: Sequence[Entry], marks: Mapping[str, str]) -> None:
        self._out = out
        self._entries = {entry.name: entry for entry in entries}
        self._marks = marks
        self._records: dict[str, dict[str, Any]] = {}

    @property
    def all(self) -> int:
        return len(self._entries)

    def keep(self, known: Mapping[str, dict[str, Any]]) -> set[str]:
        """Take over the records of an earlier run that are still true; whose."""
        for name, mark in self._marks.items():
            if mark and name in known and known[name].get("graded_from") == mark:
                self._records[name] = known[name]
        return set(self._records)

    @property
    def records(self) -> list[dict[str, Any]]:
        """One for each submission, in the order of their names; what was not tried says so."""
        return [self._records.get(name) or _empty(name) for name in self._entries]

    def count(self) -> int:
        """How many are known to their end."""
        return sum(bool(record["complete"]) for record in self._records.values())

    def take(self, entry: Entry, path: Path) -> bool:
        """Take over what a check wrote; whether it is all there."""
        with contextlib.suppress(OSError, ValueError):
            record = json.loads(path.read_text("utf-8"))
            mark = self._marks[entry.name]
            for cause in record["causes"]:
                cause["again"] = for_the_student(cause["again"], entry.path)
            self._records[entry.name] = {**record, "name": entry.name, "graded_from": mark}
            return bool(record["complete"])
        return False

    def refuse(self, entry: Entry, why: str, points: sheet.Sheet | None) -> None:
        """One that nobody looks into."""
        credits = sheet.credits(points, []) if points else []
        name = points.name if points else ""
        said = Submission(entry.name, submission.NOT_COMPILED, why, sheet=name, credits=credits)
        said.complete = True
        self._records[entry.name] = said.record()

    def collect(self, records: Path) -> None:
        """Those that were interrupted, too."""
        for name, entry in self._entries.items():
            if name not in self._records:
                self.take(entry, records / f"{name}.json")

    def write(self) -> None:
        """grades.json, whole at every moment."""
        write_json(self._out / "grades.json", {"schema": SCHEMA, "submissions": self.records})

    def pages(self, title: str) -> None:
        """The table for a spreadsheet, the teacher's page and one page for each student."""
        records = self.records
        links = {record["name"]: f"students/{record['name']}.html" for record in records}
        (self._out / "grades.csv").write_text(present.as_csv(records), "utf-8")
        (self._out / "index.html").write_text(present.overview(records, title, links), "utf-8")
        for record in records:
            (self._out / links[record["name"]]).write_text(present.page(record), "utf-8")


def for_the_student(commands: Sequence[str], path: Path) -> list[str]:
    """Where it lies with the teacher is nothing to its student, who has it by its name."""
    there, here = (plain(shlex.quote(text)) for text in (str(path), path.name))
    return [command.replace(there, here) for command in commands]


def _empty(name: str) -> dict[str, Any]:
    """A submission nobody has looked at yet."""
    said = Submission(name, outcome=submission.NOT_REACHED, text="it was not reached")
    return said.record()
