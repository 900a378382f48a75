# SPDX-License-Identifier: MIT
"""Marks for the tests that take minutes: run only when asked for by name (-m)."""
from __future__ import annotations

from typing import Any

import built
import lean
import pytest

ON_REQUEST = {"sanitizer": "the conformance suite under ASan and UBSan, TSan and valgrind"}


LONG = (
    "tests/test_harness_hostile.py::test_a_damaged_run",
    "tests/test_bring_your_own_server.py",
    "tests/test_grading.py::test_every_broken",
)


def pytest_configure(config: pytest.Config) -> None:
    for mark, meaning in ON_REQUEST.items():
        config.addinivalue_line("markers", f"{mark}: {meaning}; run with -m {mark}")
    if said := getattr(config, "workerinput", {}).get("built"):
        built.handed_on(said)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """xdist is about to start a process."""
    node.workerinput["built"] = built.to_hand_on()


def pytest_unconfigure() -> None:
    lean.end()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    asked = str(config.option.markexpr)
    dropped = [
        item
        for item in items
        if any(item.get_closest_marker(mark) and mark not in asked for mark in ON_REQUEST)
    ]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = [item for item in items if item not in set(dropped)]
    # The longest ones first: at the end they would run by themselves, beside idle CPUs.
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))
