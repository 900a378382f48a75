# SPDX-License-Identifier: MIT
"""Points for costing little: a duel of the submission against a model, shut in like all else.

Only a server that is right is compared: wrong answers are often fast. What cannot be told is told
in the student's favour. The load generator runs as the same user as the server, so a server that
is made to cheat could disturb it: this is for credit, and no examination.
"""
from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import paths
from harness.conformance.grading import sandbox
from harness.conformance.grading.build import Workshop
from harness.conformance.grading.sandbox import Bounds, Means
from harness.conformance.grading.sheet import Comparison
from harness.conformance.grading.submission import Credit

SLACK_S = 60.0  # for the duel's own set-up
METRIC = "server_cpu_us_per_request"
_SEEN = ("harness", "plots", "servers")


@dataclass(frozen=True)
class Ratio:
    """CPU per request over the reference's, and its 95 % interval."""

    estimate: float
    lo: float
    hi: float


def run(asked: Comparison, program: Path, protocol: str, means: Means, shop: Workshop) -> Credit:
    """Measure, and say what it earns."""
    build = paths.build_dir()
    bounds = Bounds(seconds=asked.seconds + SLACK_S, processes=4096, memory_bytes=2 << 30)
    ended = sandbox.run(
        lambda: _duel(asked, program, protocol),
        bounds,
        means,
        shop.stage,
        [
            *(paths.ROOT / name for name in _SEEN),
            build / "servers",
            build / "loadgen",
            program.parent,
        ],
    )
    nothing: dict[str, Any] = {}
    said, why = ended.answer or (nothing, f"the duel met its bound on {', '.join(ended.exceeded)}")
    return credit(asked, ratio(said, str(program)), why)


def _duel(asked: Comparison, program: Path, protocol: str) -> tuple[Any, str]:
    """In the sandbox: what `tenk duel` writes, and the last thing it says."""
    target = Path(tempfile.gettempdir()) / "duel.json"
    command = ["/usr/bin/python3", "-B", str(paths.ROOT / "harness" / "tenk"), "duel"]
    command += [asked.reference, str(program), "--arrangement", "together", "--no-keep"]
    command += ["--protocol", protocol, "-c", str(asked.connections)]
    command += ["--seconds", f"{asked.seconds:g}", "--json", str(target)]
    done = subprocess.run(
        command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    lines = (done.stderr or done.stdout).strip().splitlines()
    said = json.loads(target.read_text("utf-8")) if target.exists() else {}
    kept = {key: said.get(key) for key in ("arrangements", "verdict")}
    return kept, lines[-1] if lines else "it said nothing"


def ratio(said: Mapping[str, Any], name: str) -> Ratio | None:
    """The submission's ratio in a duel's record; None where it has none, or none with an interval,
    or the duel is void."""
    if (said.get("verdict") or {}).get("status") in (None, "void"):
        return None
    for arrangement in (said.get("arrangements") or {}).values():
        for contender in arrangement["contenders"]:
            found = contender["ratio"].get(METRIC)
            # In a duel of few runs nothing can be said of how sure the ratio is.
            known = found and None not in (found["estimate"], found["lo"], found["hi"])
            if contender["name"] == name and known:
                return Ratio(found["estimate"], found["lo"], found["hi"])
    return None


def credit(asked: Comparison, found: Ratio | None, why: str) -> Credit:
    """All of the points, unless the whole interval is beyond what is allowed."""
    if found is None:
        note = f"cannot be told ({why}): in your favour"
        return Credit(asked.what, asked.points, asked.points, 0.0, note)
    low, high = (100 * (edge - 1) for edge in (found.lo, found.hi))
    note = f"{100 * (found.estimate - 1):+.0f} %, between {low:+.0f} and {high:+.0f} %"
    if low > asked.within_percent:
        return Credit(asked.what, 0.0, asked.points, 0.0, note)
    if high > asked.within_percent:
        note += ": cannot be told, in your favour"
    return Credit(asked.what, asked.points, asked.points, 0.0, note)
