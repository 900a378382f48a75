# SPDX-License-Identifier: MIT
"""Running cases: one by one in this process, or many in worker processes."""
from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import multiprocessing
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import FrameType

from harness.conformance.core import Case
from harness.conformance.ending import WRONG, Ending
from harness.conformance.outcome import Failed, NotApplicable
from harness.conformance.subject import Conditions, DidNotStart
from harness.conformance.talk import TALKS
from harness.conformance.trial import Trial
from harness.design.model import Model

OK, FAIL, NOT_APPLICABLE = "ok", "FAIL", "n/a"
_KILL_AFTER_S = 15.0  # beyond a case's own time-out: the worker itself hangs


class _TimeUp(Exception):
    """Not a Failed: a case may catch that, and must not catch this."""


@dataclass(frozen=True)
class Job:
    model: Model
    protocol: str
    case: Case


@dataclass(frozen=True)
class Result:
    """How one case ended for one model and protocol; text: the failure, or why it is n/a.

    kind, doing: for a failure, what became of the server (see harness.conformance.ending).
    """

    model: str
    protocol: str
    case: str
    outcome: str
    text: str = ""
    seconds: float = 0.0
    kind: str = ""
    doing: str = ""


def plan(
    models: Sequence[Model], cases: Sequence[Case], protocols: Sequence[str] = ()
) -> list[Job]:
    """Every case on every model and protocol it is meant for; protocols: only those, if given."""
    return [
        Job(model, protocol, case)
        for case in cases
        for model in models
        if not model.unavailable
        for protocol in _spoken(case, _narrowed(model, protocols))
    ]


def _narrowed(model: Model, protocols: Sequence[str]) -> Model:
    if not protocols:
        return model
    kept = tuple(p for p in model.protocols if p in protocols)
    return dataclasses.replace(model, protocols=kept)


def _spoken(case: Case, model: Model) -> tuple[str, ...]:
    """A guest of a protocol of its own is in every line of the matrix, which says why."""
    return (model.own_protocol,) if model.own_protocol else case.spoken(model)


def run_one(job: Job, conditions: Conditions = Conditions()) -> Result:
    """Run a case here and now, within its time-out."""
    if own := job.model.own_protocol:
        text = f"it speaks {own} alone, and the cases speak {', '.join(TALKS)}"
        return Result(job.model.name, own, job.case.name, NOT_APPLICABLE, text)
    start = time.monotonic()
    outcome, text = OK, ""
    trial = Trial(job.model, job.protocol, conditions)
    try:
        if job.model.is_guest and not job.case.foreign:
            raise NotApplicable("about promises or paths of our models")
        with alone_if(job.case.heavy), _alarm(job.case.timeout_s * conditions.patience):
            with trial:
                try:
                    job.case.body(trial)
                except DidNotStart:
                    raise
                except (Failed, AssertionError) as failed:
                    raise _with_state(failed, trial) from None
    except NotApplicable as reason:
        outcome, text = NOT_APPLICABLE, str(reason)
    except (AssertionError, _TimeUp) as error:
        outcome, text = FAIL, str(error) or "assertion failed"
    except Exception as fault:  # a mistake of the case itself is a failure of the run, not its end
        outcome, text = FAIL, f"{type(fault).__name__}: {fault}"
    taken = time.monotonic() - start
    end = (trial.ending or Ending(WRONG)) if outcome == FAIL else Ending("")
    return Result(
        job.model.name, job.protocol, job.case.name, outcome, text, taken, end.kind, end.doing
    )


def _with_state(failed: AssertionError, trial: Trial) -> Failed:
    """A broken connection says little; that the server is dead, and its last words, say more."""
    return Failed((str(failed) or "assertion failed") + trial.post_mortem())


def run_all(
    jobs: Sequence[Job],
    conditions: Conditions = Conditions(),
    workers: int = 1,
    on_result: Callable[[Result], None] = lambda result: None,
) -> list[Result]:
    """Run all, in `workers` processes; results in the order of the jobs."""
    results: dict[int, Result] = {}
    queue = list(enumerate(jobs))[::-1]
    context = multiprocessing.get_context("fork")
    crew: list[_Worker] = []
    try:
        while queue or any(worker.job is not None for worker in crew):
            while queue and len(crew) < max(1, workers):
                crew.append(_Worker(context, jobs, conditions))
            for worker in crew:
                if worker.job is None and queue:
                    worker.give(queue.pop()[0])
            for worker in _ready(crew):
                index, result = worker.collect()
                results[index] = result
                on_result(result)
                if not worker.usable:
                    worker.end()
                    crew.remove(worker)
    finally:
        for worker in crew:
            worker.end()
    return [results[i] for i in range(len(jobs))]


class _Worker:
    """A process that runs one job after the other. If it hangs beyond reason it is killed, and its
    servers with it (they ask the kernel for that)."""

    def __init__(
        self,
        context: "multiprocessing.context.ForkContext",
        jobs: Sequence[Job],
        conditions: Conditions,
    ) -> None:
        self._jobs, self._conditions = jobs, conditions
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(
            target=_work, args=(theirs, self.pipe, jobs, conditions), daemon=True
        )
        self.process.start()
        theirs.close()
        self.job: int | None = None
        self.deadline = 0.0
        self.usable = True

    def give(self, index: int) -> None:
        self.job = index
        self.deadline = (
            time.monotonic() + self._jobs[index].case.timeout_s * self._conditions.patience
        ) + _KILL_AFTER_S
        if self._jobs[index].case.heavy:
            self.deadline += 600  # it may have to wait for another heavy one
        self.pipe.send(index)

    def collect(self) -> tuple[int, Result]:
        assert self.job is not None
        index, self.job = self.job, None
        job = self._jobs[index]
        text = "the case itself hung and was killed"
        with contextlib.suppress(EOFError, OSError):
            if self.pipe.poll(0):
                result = self.pipe.recv()
                assert isinstance(result, Result)
                return index, result
            self.usable = False
            return index, Result(job.model.name, job.protocol, job.case.name, FAIL, text)
        self.usable = False
        text = "the process running the case died"
        return index, Result(job.model.name, job.protocol, job.case.name, FAIL, text)

    def end(self) -> None:
        self.pipe.close()
        self.process.kill()
        self.process.join()


def _ready(crew: Sequence[_Worker]) -> list[_Worker]:
    """Workers that have a result, or are overdue."""
    busy = [worker for worker in crew if worker.job is not None]
    first = min((worker.deadline for worker in busy), default=0.0)
    pipes: list[Connection] = [worker.pipe for worker in busy]
    done = wait(pipes, max(0.0, first - time.monotonic()))
    now = time.monotonic()
    return [worker for worker in busy if worker.pipe in done or now >= worker.deadline]


def _work(
    pipe: Connection, other_end: Connection, jobs: Sequence[Job], conditions: Conditions
) -> None:
    other_end.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    with contextlib.suppress(EOFError, OSError):
        while True:
            index = pipe.recv()
            pipe.send(run_one(jobs[index], conditions))


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Failed after that long, wherever the case is. Only a main thread can be interrupted so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def give_up(_number: int, _frame: FrameType | None) -> None:
        raise _TimeUp(f"not done after {seconds:g} s")

    old = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


@contextlib.contextmanager
def alone_if(heavy: bool) -> Iterator[None]:
    """One heavy case at a time on this machine, whoever runs the suite."""
    if not heavy:
        yield
        return
    path = Path(tempfile.gettempdir()) / f"tenk-heavy-{os.getuid()}.lock"
    # Anybody may have put a link there.
    with open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
