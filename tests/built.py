# SPDX-License-Identifier: MIT
"""The models that are built, asked once for a whole test run.

Each process of a run collects all tests, and they must be the same in each. On a crowded machine a
model that is asked several times may have no answer to one of them. conftest.py asks before there
is a second process, and hands on what was said.
"""
from __future__ import annotations

import pickle

from harness import errors
from harness.design.model import Model
from harness.measure import models as catalogue

_known: list[list[Model]] = []


def models() -> list[Model]:
    """All of them, also those that cannot run here; none where nothing is built."""
    if not _known:
        try:
            _known.append(catalogue.discover())
        except errors.SetupError:
            _known.append([])
    return _known[0]


def to_hand_on() -> bytes:
    return pickle.dumps(models())


def handed_on(said: bytes) -> None:
    _known[:] = [pickle.loads(said)]
