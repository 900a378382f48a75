# SPDX-License-Identifier: MIT
"""Servers that are not ours, of which a run must know that they are still the same: what a command
or a guest's file starts, and what runs already."""
from __future__ import annotations

import contextlib
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.design import guest
from harness.design.model import Model
from harness.measure import models

NOT_SEEN = "a process that cannot be seen"


def program(pid: int) -> str:
    """What a process runs: its command line, and the fingerprint of its executable where that may
    be read (not another user's). The same program started anew has the same. NOT_SEEN where it is
    gone."""
    here = Path(f"/proc/{pid}")
    words: list[str] = []
    with contextlib.suppress(OSError):
        words = (here / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
        words.append(models.fingerprint(here / "exe"))
    return " ".join(filter(None, words)) or NOT_SEEN


def identity(model: Model) -> str:
    """What is measured under this name, as far as it can be known: of our models the binary, of a
    guest its folder, of a command the program and every file that it names, of a server that runs
    already its URL and what its process runs."""
    if model.is_attached:
        pid = int(model.describe["guest"].get("pid") or 0)
        return f"{model.url} {program(pid) if pid else NOT_SEEN}"
    called = [models.fingerprint(model.path), *model.words, *model.options]
    return " ".join([*called, *(models.fingerprint(path) for path in _files(model))])


def _files(model: Model) -> list[Path]:
    if not model.is_guest:
        return []
    if model.words[0] != "--cmd":
        folder = guest.GUESTS / model.words[0]
        return sorted(path for path in folder.rglob("*") if path.is_file())
    first, *others = shlex.split(model.words[1]) or [""]
    found = [Path(shutil.which(first) or first), *map(Path, others)]
    return [path for path in found if path.is_file()]


def again(name: str, told: Mapping[str, Any], then: str) -> Model | None:
    """The server that run.json tells of under this name, to be measured further; None where it does
    not say how it was called. then: its identity() when the run began.

    A process that is gone is not waited for: it is whoever listens at its URL now. SetupError where
    nobody does.
    """
    called = told.get("called")
    one = guest.parse_foreign(called, "--resume") if isinstance(called, str) else None
    if one is None:
        return None
    if "--pid" in one.words:
        now = program(int(one.words[-1]))
        if now == NOT_SEEN or not then.endswith(f" {now}"):
            one = replace(one, words=one.words[: one.words.index("--pid")])
    return models.describe_foreign(replace(one, name=name))
