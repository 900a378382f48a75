# SPDX-License-Identifier: MIT
"""What each file of tests/broken says in its docstring about who must catch it, and how."""
from __future__ import annotations

import re
from dataclasses import dataclass

from harness.paths import ROOT

BROKEN = ROOT / "tests" / "broken"


@dataclass(frozen=True)
class Claim:
    """The case that must fail for this server, in that protocol; says: a regular expression."""

    server: str
    case: str
    protocol: str
    says: str


def claims(verb: str) -> list[Claim]:
    """All lines "VERB by CASE, PROTOCOL: SAYS"; verb: "caught" (conformance) or "felled" (faults).

    Raises AssertionError for a broken server that nothing is said to notice.
    """
    found = []
    for path in sorted(BROKEN.glob("*.py")):
        text = path.read_text("utf-8")
        rows = re.findall(r"^(caught|felled) by (\w+), (\w+): (.+)$", text, re.M)
        assert rows or path.stem == "reference", f"{path.name} does not say what must catch it"
        found += [Claim(path.stem, *row[1:]) for row in rows if row[0] == verb]
    return found
