# SPDX-License-Identifier: MIT
"""What `tenk run` takes for the claims of the textbooks. No subcommand itself."""
from __future__ import annotations

import fnmatch
from collections.abc import Sequence

from harness import errors
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
