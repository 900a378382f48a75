# SPDX-License-Identifier: MIT
"""From many failed cases to a few causes: what belongs together, what to call it, how to see it.

One mistake fails many cases. Two failures have one cause where the server ended alike (the same
signal, the same call that it hung in), or where the same promise was broken in the same words.
"""
from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.conformance import ending
from harness.conformance.core import Case
from harness.conformance.grading.submission import NOT_APPLICABLE, NOT_REACHED, OK, Cause, Tried


@dataclass(frozen=True)
class Rule:
    """Failures of these outcomes whose text matches: their short name, and a sentence on them."""

    cause: str
    outcomes: tuple[str, ...]
    pattern: str
    title: str


_HUNG, _WRONG, _BOTH = (ending.HUNG,), (ending.WRONG,), (ending.HUNG, ending.WRONG)
# The first that matches names the cause; where none does, the case does.
RULES = (
    Rule(
        "left_processes",
        (ending.WRONG, ending.LIMIT),
        r"left .*(processes|a process|children|child)",
        "It ends, but processes that it started live on.",
    ),
    Rule(
        "too_many_processes",
        (ending.LIMIT,),
        r"bound on processes",
        "It starts more processes or threads than it may.",
    ),
    Rule(
        "too_much_memory",
        (ending.LIMIT,),
        r"bound on memory",
        "It takes more memory than it may.",
    ),
    Rule(
        "too_much_output",
        (ending.LIMIT,),
        r"to stdout|SIGXFSZ",
        "It writes without end to stdout, stderr or a file.",
    ),
    Rule("too_much_time", (ending.LIMIT,), r"SIGXCPU", "It computes longer than it may."),
    Rule(
        "does_not_stop",
        _HUNG,
        r"still there",
        "It does not end when it is told to (SIGTERM or SIGINT).",
    ),
    Rule(
        "never_closes",
        _HUNG,
        r"the server to close",
        "It does not close the connection after its client has closed its side: "
        "a descriptor is lost with every client.",
    ),
    Rule(
        "leaks_descriptors",
        _WRONG,
        r"descriptors? more",
        "Descriptors that it opens are not all closed again.",
    ),
    Rule(
        "one_client_waits_for_another",
        _BOTH,
        r"client waited|not served",
        "One client keeps the others waiting.",
    ),
    Rule("no_answer", _HUNG, r"", "An answer that was due did not come."),
    Rule(
        "no_ready_line",
        (ending.NO_READY_LINE,),
        r"",
        "It does not say that it is ready: 'ready model=NAME port=N pid=N', at once.",
    ),
    Rule(
        "wrong_bytes",
        _WRONG,
        r"wrong from byte|bytes too many",
        "The answer is not the right one: its bytes differ.",
    ),
    # A close looks like a reset to a client that has sent more: which of them is seen is chance.
    Rule(
        "closes_too_early",
        _WRONG,
        r"closed by the server while|but got a close|reset the connection|broke the connection"
        r"|Connection reset",
        "It ends a connection (a close, or a reset) whose client still waits for an answer.",
    ),
    Rule(
        "does_not_listen",
        _WRONG,
        r"cannot connect",
        "It says that it is ready, and nobody can connect.",
    ),
    Rule("spins", _WRONG, r"spins|% busy", "It keeps a CPU busy while there is nothing to do."),
    Rule("memory_grows", _WRONG, r"memory", "Its memory grows with what clients do."),
    Rule(
        "counters",
        _WRONG,
        r"counter",
        "At its end it does not print the line of counters, or the counts are wrong.",
    ),
    Rule(
        "exit_status",
        _WRONG,
        r"exit status",
        "Its exit status is not the one that was promised.",
    ),
)

# Where the right one is a cause, the left one is what comes of it.
CONSEQUENCES = {"leaks_descriptors": "never_closes"}


def find(
    tried: Sequence[Tried], cases: Mapping[str, Case], path: str, reports: Mapping[str, str]
) -> list[Cause]:
    """The causes, the most basic first. path: the submission, for commands; reports: of a
    sanitizer, by cause."""
    bad = [one for one in tried if one.outcome not in (OK, NOT_APPLICABLE, NOT_REACHED)]
    names = {name(one) for one in bad}
    grouped: dict[tuple[str, str], list[Tried]] = {}
    for one in bad:
        key = name(one), one.outcome
        if (comes_of := CONSEQUENCES.get(key[0])) in names:
            key = next((k for k in grouped if k[0] == comes_of), key)
        grouped.setdefault(key, []).append(one)
    return [_cause(key, found, cases, path, reports) for key, found in grouped.items()]


def name(one: Tried) -> str:
    """The short name of the cause of one failure."""
    if one.outcome == ending.CRASHED:
        return _crash(one.doing)
    rule = _rule(one)
    return rule.cause if rule else one.case


def _crash(doing: str) -> str:
    found = re.match(r"(SIG\w+)|exit status (\d+)", doing)
    return f"crashed_{found[1] or found[2]}" if found else "crashed"


def _rule(one: Tried) -> Rule | None:
    for rule in RULES:
        if one.outcome in rule.outcomes and re.search(rule.pattern, f"{one.text} {one.doing}"):
            return rule
    return None


def _cause(
    key: tuple[str, str],
    found: Sequence[Tried],
    cases: Mapping[str, Case],
    path: str,
    reports: Mapping[str, str],
) -> Cause:
    first = found[0]
    rule = _rule(first)
    if first.outcome == ending.CRASHED:
        how = f"{first.doing} ended it" if first.doing.startswith("SIG") else first.doing
        title = f"It crashes: {how or 'it ended by itself'}."
    elif rule:
        title = rule.title
    else:
        title = cases[first.case].summary if first.case in cases else first.case
    # What usually goes wrong in a case is not why a bound is met in it.
    told = first.case in cases and first.outcome != ending.LIMIT
    doc = cases[first.case].doc if told else ""
    usually = " ".join(doc.partition("What usually goes wrong:")[2].split())
    seen = f"; it was {first.doing}" if first.outcome == ending.HUNG and first.doing else ""
    return Cause(
        cause=key[0],
        outcome=key[1],
        title=title,
        cases=tuple(dict.fromkeys(one.case for one in found)),
        protocols=tuple(dict.fromkeys(one.protocol for one in found)),
        text=first.text + seen,
        usually=usually[:1].upper() + usually[1:],
        again=_again(first, path),
        report=reports.get(key[0], ""),
    )


def _again(one: Tried, path: str) -> tuple[str, ...]:
    """How to see it by hand: the case alone, the server and a client, strace where it hangs."""
    client = {
        "echo": "printf 'hello\\n' | nc -N 127.0.0.1 9000",
        "rot13": "printf 'Hello\\n' | nc -N 127.0.0.1 9000",
        "http": "curl -v http://127.0.0.1:9000/bytes/10",
    }[one.protocol]
    lines = [
        f"harness/tenk check --file {shlex.quote(path)} --keep server "
        f"--case {one.case} --protocol {one.protocol}",
        f"./server -p 9000 -P {one.protocol}",
        client,
    ]
    if one.outcome in (ending.HUNG, ending.WRONG):
        lines.append("strace -f -p $(pidof server)   # what it does while the client waits")
    if one.outcome == ending.CRASHED:
        lines.append("gdb --args ./server -p 9000    # run, then bt when it has crashed")
    return tuple(lines)
