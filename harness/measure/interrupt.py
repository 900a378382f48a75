# SPDX-License-Identifier: MIT
"""Ctrl-C, SIGTERM and SIGHUP as KeyboardInterrupt that cannot get lost.

A signal that arrives while Python runs a callback of its own (around a fork, in a destructor)
raises its exception there, where it is printed and dropped. So the handler also remembers, and what
runs for long asks with `check`. A process has one set of signal handlers: hence the one flag.
"""
from __future__ import annotations

import signal
from types import FrameType

from harness.measure.process import INTERRUPTIONS

_requested = False


def install() -> None:
    """Handle the three signals; SIGINT too, which a script's background job starts with ignored."""
    global _requested
    _requested = False
    for number in INTERRUPTIONS:
        signal.signal(number, _interrupt)


def check() -> None:
    """Raise KeyboardInterrupt if one of the signals has come since `install`, even if its own
    exception was dropped or has been dealt with."""
    if _requested:
        raise KeyboardInterrupt


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    global _requested
    _requested = True
    raise KeyboardInterrupt
