# SPDX-License-Identifier: MIT
"""Marks for the tests that take minutes: run only when asked for by name (-m). And what fails is told
when it fails: a log may be cut off before its end."""
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


def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    """Tests that look for what a run left behind look at the children of this process."""
    if getattr(getattr(nextitem, "module", None), "lean", None) is not lean:
        lean.end()


def pytest_unconfigure() -> None:
    lean.end()


def pytest_sessionstart(session: pytest.Session) -> None:
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None and not hasattr(session.config, "workerinput"):  # workers report to it
        session.config.pluginmanager.register(Told(terminal), "told")


class Told:
    """Says at once, on a line of its own, which test failed and why in a few words."""

    def __init__(self, terminal: Any) -> None:
        self._terminal = terminal

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            why = crash.message if crash else str(report.longrepr)
            self._terminal.ensure_newline()
            self._terminal.write_line(
                f"FAILED {report.nodeid} ({report.when}): {(why.splitlines() or [''])[0][:200]}"
            )


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
