# SPDX-License-Identifier: MIT
"""A control group for somebody who is not root: systemd's manager of the user gives one away.

A terminal's processes lie in a group that is root's, and so no group can be made below it. With
`systemd-run --user --scope` the same command runs once more, in a group of its user's.
"""
from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence

from harness.conformance.grading import cgroup

_RUN = ("systemd-run", "--user", "--scope", "--quiet", "--collect", "-p", "Delegate=yes", "--")
# Set for what runs in the scope: nobody asks twice.
MARK = "TENK_IN_SCOPE"
_ASK_S = 10.0


def enter(argv: Sequence[str]) -> None:
    """Become argv in a group that we may divide, and settle there; go on as we are where there is
    no such group, or no need of one."""
    if os.environ.get(MARK):
        cgroup.settle()
    elif wanted(os.geteuid(), os.environ) and _given():
        os.execvpe(_RUN[0], [*_RUN, *argv], {**os.environ, MARK: "1"})


def wanted(user: int, environment: Mapping[str, str]) -> bool:
    """Whether it is worth asking: root makes groups without, and the manager is asked through the
    directory of the session."""
    return user != 0 and "XDG_RUNTIME_DIR" in environment and not cgroup.available()


def _given() -> bool:
    """Whether the manager is there and does it: tried with a program that does nothing."""
    if not shutil.which(_RUN[0]):
        return False
    try:
        done = subprocess.run(
            [*_RUN, "true"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_ASK_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
