# SPDX-License-Identifier: MIT
"""Grading one submission: compile, ask what it is, try the cases in order, find the causes.

The most basic case comes first. Where the first exchange of a protocol fails, its other cases are
not reached: they would say the same again. Whatever is known is handed on after every case.
"""
from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import errors
from harness.conformance import ending, runner
from harness.conformance.core import Case
from harness.conformance.grading import build, causes, compare, sandbox, scratch, sheet, submission
from harness.conformance.grading.build import Workshop
from harness.conformance.grading.sandbox import Bounds, Ended, Means
from harness.conformance.grading.submission import NOT_REACHED, OK, Credit, Submission, Tried
from harness.conformance.runner import FAIL, NOT_APPLICABLE, Job, Result
from harness.conformance.subject import Conditions, conditions_for
from harness.conformance.talk import TALKS
from harness.design.model import Model
from harness.measure import models

FIRST = "first_exchange"
# Groups of cases that hold a server to what it promises for its end.
ABOUT_THE_END = ("stop", "command_line")
DESCRIBE = Bounds(seconds=30, processes=64)
HEAVY_PROCESSES = 25_000
HEAVY_MEMORY = 3 << 30
HEAVY_SECONDS = 120.0
GIVE_UP_S = 3.0
PATIENT_GIVE_UP_S = 12.0
# One that has hung that often is waited for less: what it would say is known.
OFTEN, OFTEN_GIVE_UP_S = 3, 1.0
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,60}")
# Characters that are kept of what a case says: a server's last words may be in it.
MOST_TEXT = 4_000
_INTERNAL_SLACK_S = 10.0  # a case ends by its own alarm before the sandbox ends it


@dataclass(frozen=True)
class Task:
    """What is to be graded, and how. case_s, total_s: bounds in seconds, on one case and on all of
    it; include: headers the teacher gives out; keep: where to leave the program, or None."""

    path: Path
    cases: Sequence[Case]
    protocols: tuple[str, ...] = ()
    points: sheet.Sheet | None = None
    include: Path | None = None
    keep: Path | None = None
    case_s: float = 20.0
    total_s: float = 240.0


@dataclass
class _State:
    """What happens while one submission is graded."""

    task: Task
    shop: Workshop
    means: Means
    told: Callable[[Submission], None]
    said: Submission
    began: float = field(default_factory=time.monotonic)
    hung: int = 0
    reports: dict[str, str] = field(default_factory=dict)
    known: dict[str, Case] = field(default_factory=dict)
    compared: list[Credit] = field(default_factory=list)

    def tell(self) -> None:
        """Bring the record up to date and hand it on."""
        said = self.said
        said.seconds = round(time.monotonic() - self.began, 2)
        said.causes = causes.find(said.tried, self.known, str(self.task.path), self.reports)
        if self.task.points:
            said.credits = sheet.credits(self.task.points, said.tried, self.compared)
        self.told(said)


def grade(task: Task, told: Callable[[Submission], None]) -> Submission:
    """Grade one submission. told(record) is called after each step with what is known so far.

    The student's code and its private directories are gone when this returns, however it ends.
    """
    with scratch.directory() as folder:
        shop = Workshop(folder)
        shop.stage.mkdir()
        means = sandbox.means(shop.stage)
        shop.stage.rmdir()
        shop.lay_out(means)
        said = Submission(task.path.stem if task.path.is_file() else task.path.resolve().name)
        said.bounds, said.not_bounded = means.held, means.missing
        said.sheet = task.points.name if task.points else ""
        state = _State(task, shop, means, told, said)
        state.known = {case.name: case for case in task.cases}
        if task.points:
            said.credits = sheet.credits(task.points, [])
        told(said)
        _grade(state)
        said.complete = True
        state.tell()
        return said


def _grade(state: _State) -> None:
    task, said = state.task, state.said
    how = build.recipe()
    files = build.take(task.path, task.include, state.shop)
    if not files:
        most = f"of at most {build.MOST_SOURCE >> 20} MiB"
        said.outcome = submission.NOT_COMPILED
        said.text = f"there is no .c or .cc file {most} in it (links are not followed)"
        return
    build.must_be_readable(how, state.shop, state.means)
    made = build.compile_(files, how, state.shop, state.means)
    said.compiler, said.warnings = made.said, made.warnings
    if not made.ok:
        said.outcome, said.text = submission.NOT_COMPILED, _first_error(made.said)
        return
    state.tell()
    model = _describe(state, made.path)
    if model is None:
        return
    said.model = model.name
    if task.keep:
        shutil.copyfile(model.path, task.keep)
        task.keep.chmod(0o755)
    _try_all(state, model, files)
    said.outcome = _outcome(said.tried)
    if task.points and said.outcome == OK:
        for asked in task.points.comparisons:
            protocol = said.tried[0].protocol
            found = compare.run(asked, model.path, protocol, state.means, state.shop)
            state.compared.append(found)
            state.tell()
    first = next((one for one in said.tried if one.outcome == said.outcome), None)
    said.text = first.text if first and said.outcome != OK else ""


def _first_error(text: str) -> str:
    lines = text.splitlines()
    wrong = [line for line in lines if " error: " in line or "undefined reference" in line]
    return (wrong or lines or ["the compiler said nothing"])[0]


def _outcome(tried: Sequence[Tried]) -> str:
    """The outcome of the most basic case that is not well; ok where all are."""
    bad = [one.outcome for one in tried if one.outcome in ending.KINDS]
    if bad:
        return bad[0]
    if any(one.outcome == NOT_REACHED for one in tried):
        return NOT_REACHED
    return OK if any(one.outcome == OK for one in tried) else submission.NOT_APPLICABLE


# --- what is it? ---------------------------------------------------------------------------------


def _describe(state: _State, program: Path) -> Model | None:
    """The model under the name it gives itself; None where it cannot: the outcome then says why."""
    said = state.said

    def ask() -> dict[str, Any]:
        found = dataclasses.asdict(models.describe(program))
        return {**found, "path": str(program)}

    ended = sandbox.run(ask, DESCRIBE, state.means, state.shop.stage, [state.shop.out])
    if ended.answer is None:
        said.outcome = submission.CANNOT_DESCRIBE
        said.text = f"--describe: {_why_no_answer(ended)}"
        return None
    found = ended.answer
    if found["unavailable"] or not _known(found["protocols"]):
        here = found["unavailable"] and not found["broken"]
        said.outcome = submission.NOT_APPLICABLE if here else submission.CANNOT_DESCRIBE
        nothing = f"--describe: protocols has none of {', '.join(TALKS)}"
        said.text = _named_signal(found["unavailable"] or nothing)
        return None
    # What only our own host of guests may say would excuse it from cases, or be no text at all.
    describe = {key: value for key, value in found["describe"].items() if key != "guest"}
    if not isinstance(describe.get("options", []), list):
        describe["options"] = []
    name = str(describe.get("name") or "")
    if not _NAME.fullmatch(name):
        name = "server"
    path = state.shop.bin / name
    shutil.copyfile(program, path)
    path.chmod(0o755)
    fields: dict[str, Any] = {
        **found,
        "name": name,
        "path": path,
        "protocols": _known(found["protocols"]),
        "describe": describe,
    }
    return Model(**fields)


def _known(protocols: Sequence[Any]) -> tuple[str, ...]:
    """Those of its protocols that can be tried, each once."""
    return tuple(protocol for protocol in TALKS if protocol in protocols)


def _named_signal(text: str) -> str:
    def named(found: re.Match[str]) -> str:
        return ending.by_signal(128 + int(found[1])) or found[0]

    return re.sub(r"exit -(\d+)", named, text)


def _why_no_answer(ended: Ended) -> str:
    if ended.exceeded:
        return f"it met its bound on {', '.join(ended.exceeded)}"
    return ended.fault or "it ended without a word"


# --- the cases -----------------------------------------------------------------------------------


def _try_all(state: _State, model: Model, files: Sequence[Path]) -> None:
    task = state.task
    wanted = task.protocols or (task.points.protocols if task.points else ())
    protocols = tuple(p for p in model.protocols if not wanted or p in wanted)
    counted = task.points.cases if task.points else set(state.known)
    ordered = sorted(task.cases, key=lambda case: (case.heavy, case.order))
    ordered = [case for case in ordered if case.name in counted or case.name == FIRST]
    narrowed = dataclasses.replace(model, protocols=protocols)
    closed: set[str] = set()
    for case in ordered:
        open_ = tuple(p for p in protocols if p not in closed)
        usable = dataclasses.replace(narrowed, protocols=open_ or protocols)
        for protocol in _spoken(case, narrowed, usable):
            if protocol in closed and case.name != FIRST:
                _skip(state, case, protocol, "the first exchange failed")
            elif time.monotonic() - state.began > task.total_s:
                _skip(state, case, protocol, f"the {task.total_s:g} s for it were used up")
            else:
                one = _try(state, model, case, protocol, files)
                if case.name == FIRST and one.outcome in ending.KINDS:
                    closed.add(protocol)
            state.tell()


def _spoken(case: Case, all_: Model, usable: Model) -> tuple[str, ...]:
    """The protocols for a case; one that needs any protocol gets one that works."""
    return case.spoken(usable) if case.once else case.spoken(all_)


def _skip(state: _State, case: Case, protocol: str, why: str) -> None:
    state.said.tried.append(Tried(case.name, case.group, protocol, NOT_REACHED, f"{why}"))


def _try(state: _State, model: Model, case: Case, protocol: str, files: Sequence[Path]) -> Tried:
    give_up_s = OFTEN_GIVE_UP_S if state.hung >= OFTEN else GIVE_UP_S
    conditions = Conditions(
        give_up_s=give_up_s, holds_end=case.group in ABOUT_THE_END, believes_ready=False
    )
    ended, seconds = _run(state, model, case, protocol, conditions)
    one = _judge(case, protocol, ended)
    if one.outcome == ending.HUNG and "computing" in one.doing and _crowded() and not state.hung:
        # It may only have been kept from its CPU by others: the doubt is the student's.
        conditions = dataclasses.replace(conditions, give_up_s=PATIENT_GIVE_UP_S)
        ended, more = _run(state, model, case, protocol, conditions)
        one, seconds = _judge(case, protocol, ended), seconds + more
    one = dataclasses.replace(one, seconds=round(seconds, 2))
    state.said.tried.append(one)
    state.hung += one.outcome == ending.HUNG
    by_signal = one.outcome == ending.CRASHED and one.doing.startswith("SIG")
    if by_signal and (cause := causes.name(one)) not in state.reports:
        state.reports[cause] = _sanitized(state, model, case, protocol, files)
    return one


def _crowded() -> bool:
    """Whether more wants to run here than there are CPUs, by far."""
    return os.getloadavg()[0] > 2 * len(os.sched_getaffinity(0))


def _run(
    state: _State, model: Model, case: Case, protocol: str, conditions: Conditions
) -> tuple[Ended, float]:
    most_s = min(case.timeout_s, HEAVY_SECONDS if case.heavy else state.task.case_s)
    bounded = dataclasses.replace(case, timeout_s=most_s, heavy=False)
    bounds = Bounds(seconds=most_s * conditions.patience + _INTERNAL_SLACK_S)
    if case.heavy:
        bounds = dataclasses.replace(bounds, processes=HEAVY_PROCESSES, memory_bytes=HEAVY_MEMORY)
    job = Job(model, protocol, bounded)
    start = time.monotonic()
    with runner.alone_if(case.heavy):
        ended = sandbox.run(
            lambda: dataclasses.asdict(runner.run_one(job, conditions)),
            bounds,
            state.means,
            state.shop.stage,
            [model.path.parent],
        )
    return ended, time.monotonic() - start


def _judge(case: Case, protocol: str, ended: Ended) -> Tried:
    """What the case says, and what its sandbox says of it."""
    met = [what for what in ended.exceeded if what != "time"]
    if ended.answer is None:
        if not ended.exceeded:
            raise errors.SetupError(f"the sandbox failed: {ended.fault or 'it was killed'}")
        outcome = ending.LIMIT if met else ending.HUNG
        text = f"it met its bound on {', '.join(ended.exceeded)}"
        return Tried(case.name, case.group, protocol, outcome, text)
    result = Result(**ended.answer)
    text, outcome = result.text[:MOST_TEXT], OK
    if result.outcome == NOT_APPLICABLE:
        outcome = submission.NOT_APPLICABLE
    elif met:
        outcome = ending.LIMIT
        text = f"it met its bound on {', '.join(met)}" + (f"; {text}" if text else "")
    elif result.outcome == FAIL:
        outcome = result.kind
        if result.doing == ending.ALL_PROCESSES:
            text = f"{result.doing}; {text}"
    elif ended.left and case.group in ABOUT_THE_END:
        outcome = ending.WRONG
        what = "a process" if ended.left == 1 else f"{ended.left} processes"
        text = f"the server ended, but it left {what} behind"
    return Tried(case.name, case.group, protocol, outcome, text, result.doing)


# --- a crash is looked at twice ------------------------------------------------------------------


def _sanitized(
    state: _State, model: Model, case: Case, protocol: str, files: Sequence[Path]
) -> str:
    """What AddressSanitizer says when the same case is run with it; '' if it says nothing."""
    shop = state.shop
    with contextlib.suppress(errors.SetupError):
        how = build.recipe(build.SANITIZED)
        made = build.compile_(files, how, shop, state.means)
        if not made.ok:
            return ""
        path = shop.root / "san" / model.name
        path.parent.mkdir(exist_ok=True)
        path.parent.chmod(0o755)
        shutil.copyfile(made.path, path)
        path.chmod(0o755)
        conditions = dataclasses.replace(
            conditions_for(Path("san-address-undefined")),
            give_up_s=GIVE_UP_S,
            patience=2.0,
            believes_ready=False,
        )
        again = dataclasses.replace(model, path=path)
        ended, _ = _run(state, again, case, protocol, conditions)
        return _report(str((ended.answer or {}).get("text", "")), shop)
    return ""


def _report(text: str, shop: Workshop) -> str:
    """The lines of a report that tell a student something: what it is, and where."""
    kept = [
        re.sub(r" on (unknown )?address.*", "", line).replace(f"{shop.src}/", "").strip()
        for line in _lines(text)
        if re.search(r"ERROR|runtime error|#\d+ ", line)
        and not re.search(r"_start\b|__libc_start|\(/|sanitizer_common|/asan/", line)
    ]
    return "\n".join(kept[:8])


def _lines(text: str) -> Iterator[str]:
    for line in text.splitlines():
        yield re.sub(r"0x[0-9a-f]{6,} (in )?|==\d+==", "", line)
