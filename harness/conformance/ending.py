# SPDX-License-Identifier: MIT
"""How a case failed, in one word for a table: crashed, hung, no ready line, limit or wrong.

The text of a failure says what was expected; this says what became of the server meanwhile.
"""
from __future__ import annotations

import os
import re
import resource
import signal
from collections.abc import Iterable
from dataclasses import dataclass

from harness.conformance import activity
from harness.conformance.subject import DidNotStart, Subject

CRASHED = "crashed"  # a signal ended it, or it ended by itself
HUNG = "hung"  # it lives, and what was waited for did not come
NO_READY_LINE = "no ready line"  # it ended, said nothing, or said something else
LIMIT = "limit"  # it went over a bound: output, memory, processes, CPU time
WRONG = "wrong"  # what came was not what was promised
KINDS = (CRASHED, HUNG, NO_READY_LINE, LIMIT, WRONG)

ALL_PROCESSES = "it met its bound on processes"
MOST = 0.5  # of the processes that its user may have: if there are no more, it has taken them
OVER_A_BOUND = frozenset({signal.SIGXCPU, signal.SIGXFSZ})
# What the suite says where it waited in vain.
_IN_VAIN = re.compile(
    r"nothing happened for|not done after|still there \S+ s after|waited more than|waited \S+ s|"
    r"did not end by itself"
)
_NOT_READY = re.compile(r"no ready line|not a ready line")


@dataclass(frozen=True)
class Ending:
    """kind: of KINDS; doing: what the server was seen doing, or how it ended; may be ''."""

    kind: str
    doing: str = ""


def by_signal(status: int) -> str:
    """ "SIGSEGV" for 128 + 11, as a shell says it; '' for a status that no signal makes."""
    try:
        return signal.Signals(status - 128).name if status > 128 else ""
    except ValueError:
        return ""


def of(error: BaseException, subjects: Iterable[Subject]) -> Ending:
    """What the servers of a case that failed with `error` came to, before they are ended."""
    text = str(error)
    if isinstance(error, DidNotStart):
        return _of_status(error.status, "before it was ready", NO_READY_LINE)
    alive = None
    for subject in subjects:
        if subject.wait(0) is None:
            alive = alive or subject
        elif subject.exit is not None and (not subject.finished or by_signal(subject.exit.status)):
            when = "when it was to end" if subject.finished else "by itself"
            return _of_status(subject.exit.status, when, CRASHED)
    if alive and _has_all_processes(alive.server_pid):
        return Ending(LIMIT, ALL_PROCESSES)
    if _NOT_READY.search(text):
        return Ending(NO_READY_LINE)
    if "to stdout" in text and "more than" in text:
        return Ending(LIMIT)
    if _IN_VAIN.search(text):
        return Ending(HUNG, activity.describe(alive.server_pid) if alive else "")
    return Ending(WRONG)


def _has_all_processes(pid: int) -> bool:
    """Whether RLIMIT_NPROC lets nobody here make another process, for the sake of this server."""
    most, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    if most == resource.RLIM_INFINITY or activity.count(pid) < MOST * most:
        return False
    try:
        made = os.fork()
    except BlockingIOError:
        return True
    if made == 0:
        os._exit(0)
    os.waitpid(made, 0)
    return False


def _of_status(status: int, when: str, otherwise: str) -> Ending:
    name = by_signal(status)
    if name and signal.Signals[name] in OVER_A_BOUND:
        return Ending(LIMIT, name)
    return Ending(CRASHED, name) if name else Ending(otherwise, f"exit status {status} {when}")
