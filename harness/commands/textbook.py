# SPDX-License-Identifier: MIT
"""What `tenk run` takes for the claims of the textbooks. No subcommand itself."""
from __future__ import annotations

import argparse
import fnmatch
from collections.abc import Sequence
from pathlib import Path

from harness import errors, store
from harness.design import evidence, experiment

ALL = "all-claims"


def expanded(names: Sequence[str]) -> list[str]:
    """The experiments that `names` mean, each once: ALL is every claim, and a pattern ("0*",
    "claims/1?_*") the claims that it matches. UsageError for a name of nothing."""
    others, claims = experiment.available(), experiment.textbook_claims()
    known = ", ".join([*others, *evidence.available(evidence.FOLDER), ALL])
    known = f"{known}, or a claim (tenk list)"
    if not names:
        raise errors.UsageError("EXPERIMENT", "", f"name at least one of: {known}")
    found: list[str] = []
    for name in names:
        pattern = name.removeprefix(f"{experiment.CLAIMS}/")
        matching = claims if name == ALL else fnmatch.filter(claims, pattern)
        if name in others:
            matching = [name]
        if not matching:
            raise errors.UsageError("EXPERIMENT", name, f"known experiments: {known}")
        found += matching
    return list(dict.fromkeys(found))


def refuse(args: argparse.Namespace) -> None:
    """UsageError for an option that would make another experiment of each claim."""
    if ALL not in args.experiments:
        return
    why = "each claim names the models that settle it; run one by its name to change them"
    for option, value in (("--models", args.models), ("--also", " ".join(args.also) or None)):
        if value is not None:
            raise errors.UsageError(option, value, why)


def session_of(path: Path) -> list[Path]:
    """All runs of claims that the same `tenk run` made as the one at `path`, oldest first. They lie
    beside it: results/<machine>/<experiment>/<run>."""
    mark = store.Run.open(path, whole=True).meta.get("session")
    found = []
    for other in store.all_runs(path.resolve().parents[2]):
        if other == path.resolve() or (mark and store.Run.open(other).meta.get("session") == mark):
            if store.Run.open(other).meta["experiment"].get("textbook"):
                found.append(other)
    if not found:
        raise errors.UsageError("RUN", path, "it must be a run of a textbook's claim")
    return found
