# SPDX-License-Identifier: MIT
"""Going on with the grading of a course: which grades of an earlier run are still true.

A grade is true as long as all that it was made from is what it was: the student's files, the
teacher's headers, the sheet, the bounds, and tenk itself with its servers/lib. A mark is a digest
of all that, kept with each grade.
"""
from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from harness import errors, paths
from harness.conformance.grading import build
from harness.conformance.grading.grader import Task

# What of the checkout a grade is made with; the second also, where a server is compared.
_OURS = ("Makefile", "harness/**/*.py", "servers/lib/*", "common/*")
_COMPARED_WITH = ("servers/*.c", "servers/*.cc", "loadgen/*")


def mark(task: Task) -> str:
    """The digest of all that the grade of this submission follows from. Where it lies is no part of
    it. '' where a file cannot be read."""
    try:
        taken = _digest(path for found in build.taken(task.path, task.include) for path in found)
    except OSError:
        return ""
    bounds = [task.case_s, task.total_s, list(task.protocols)]
    patterns = _OURS + (_COMPARED_WITH if task.points and task.points.comparisons else ())
    said = json.dumps([taken, repr(task.points), bounds, _tenk(patterns)])
    return hashlib.sha256(said.encode()).hexdigest()


@functools.cache
def _tenk(patterns: tuple[str, ...]) -> str:
    found = {path for pattern in patterns for path in paths.ROOT.glob(pattern)}
    return _digest(path for path in sorted(found) if path.is_file())


def _digest(files: Iterable[Path]) -> str:
    """Of names and contents."""
    rows = [(path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def known(path: Path, schema: str) -> dict[str, dict[str, Any]]:
    """Name → record of all that was graded to its end; nothing where there is no such file.

    Raises UsageError where the file is none of ours.
    """
    try:
        said = json.loads(path.read_text("utf-8"))
        if said["schema"] != schema:
            raise ValueError(said["schema"])
        return {one["name"]: one for one in said["submissions"] if one["complete"]}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError):
        allowed = "its grades.json is to be one of tenk grade's; leave --resume out to grade all"
        raise errors.UsageError("--resume", path.parent, allowed) from None
