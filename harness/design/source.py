# SPDX-License-Identifier: MIT
"""What the file of a server model says of itself: the header comment and `struct model`.

It is the same on every machine, unlike what the binary says (harness/measure/models.py).
"""
from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from harness.design.model import FAMILIES
from harness.paths import ROOT

SERVERS = ROOT / "servers"
# What a reader finds in each header, in this order.
FIELDS = ("What to look for", "Limits", "Needs", "Try")

_STRINGS = r'((?:"(?:[^"\\]|\\.)*"\s*)+)'


@dataclass(frozen=True)
class Source:
    """One model's file. fields: the header's text by name, each as one line, perhaps empty."""

    path: Path
    title: str  # the header's first words, up to the colon: the file's stem
    name: str
    summary: str
    family: str
    fields: dict[str, str]

    @property
    def limits(self) -> str:
        """The first clause of what the header says of limits."""
        return re.split(r"[.;:]\s", self.fields["Limits"] + " ", maxsplit=1)[0].rstrip(".")


def sources(directory: Path = SERVERS) -> list[Source]:
    """Every model there is a file of, by family and name."""
    found = [read(path) for suffix in ("c", "cc") for path in directory.glob(f"*.{suffix}")]
    order = {family: rank for rank, family in enumerate(FAMILIES)}
    return sorted(found, key=lambda one: (order.get(one.family, len(order)), one.name))


def read(path: Path) -> Source:
    text = path.read_text(encoding="utf-8")
    header = _comment(text)
    return Source(
        path,
        header.partition(":")[0].strip(),
        _member(text, "name"),
        _member(text, "summary"),
        _member(text, "family"),
        {name: _field(header, name) for name in FIELDS},
    )


def _comment(text: str) -> str:
    """The first block comment, without its stars."""
    found = re.search(r"/\*(.*?)\*/", text, re.S)
    return re.sub(r"^ ?\* ?", "", found.group(1), flags=re.M) if found else ""


def _field(header: str, name: str) -> str:
    """A field goes on until the next one, or an empty line."""
    found = re.search(rf"^{name}:(.*?)(?=^\S[\w -]*:\s|^\s*$|\Z)", header, re.S | re.M)
    return " ".join(found.group(1).split()) if found else ""


def _member(text: str, name: str) -> str:
    found = re.search(rf"\.{name}\s*=\s*{_STRINGS}", text)
    return "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', found.group(1))) if found else ""


def table(models: list[Source]) -> str:
    """Markdown: the models as README.md shows them."""
    lines = ["| model | family | what it is | limits |", "|---|---|---|---|"]
    for one in models:
        cells = (one.family, one.summary, one.limits)
        told = " | ".join(cell.replace("|", "\\|").replace("*", "\\*") for cell in cells)
        lines.append(f"| [{one.name}](servers/{one.path.name}) | {told} |")
    return "\n".join(lines) + "\n"
