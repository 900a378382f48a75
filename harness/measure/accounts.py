# SPDX-License-Identifier: MIT
"""Do the parts of the load generator's report add up?

It checks itself; this is the second pair of eyes. A worker that is stopped or killed can leave a
report that looks whole: a window of 0 s, requests of which nobody knows what became of them.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.measure.derive import number

# A window may be a little off what was asked for: its ends are moments when the client looked.
WINDOW_TOLERANCE = 0.05


def contradiction(report: Mapping[str, Any], asked_s: float) -> str:
    """What in a tenk.loadgen report cannot be true of a whole run of `asked_s` seconds, or ''.

    Only what the report says is judged: a part that is absent contradicts nothing.
    """
    if report.get("complete") is False:
        return "it was cut short"
    window = number(report.get("window_s"))
    if window is not None and abs(window - asked_s) > WINDOW_TOLERANCE * asked_s:
        return f"its window was {window:g} s, not the {asked_s:g} s that were asked for"
    requests = _table(report, "requests")
    sent, failed = number(requests.get("sent")), number(requests.get("failed"))
    completed, unanswered = number(requests.get("completed")), number(requests.get("unanswered"))
    if None not in (sent, completed, unanswered, failed):
        ended = (completed or 0) + (unanswered or 0) + (failed or 0)
        if ended != sent:
            return f"{sent:g} requests were sent, but {ended:g} ended in one way or another"
    rate = number(_table(report, "rate_rps").get("achieved"))
    if rate == 0 and completed:
        return f"{completed:g} requests were completed, at a rate of 0 per second"
    status = _table(report, "verdict").get("status")
    unsent = number(requests.get("unsent"))
    if completed == 0 and not (unanswered or failed or unsent) and status in ("valid", "suspect"):
        return f"no request was completed, and yet its verdict is {status}"
    return ""


def _table(report: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = report.get(name)
    return found if isinstance(found, Mapping) else {}
