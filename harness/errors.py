# SPDX-License-Identifier: MIT
"""How the harness fails: one clear line, and an exit status that says whose fault it was."""
from __future__ import annotations

import errno
import os

EXIT_OK = 0  # done, every cell usable or unsupported
EXIT_FAILURE = (
    1  # set-up failure: something is missing or cannot be written; the line says what to do
)
EXIT_USAGE = 2  # bad option, value or experiment file; nothing was written
EXIT_DOUBTFUL = 3  # ran to its end, but at least one cell failed or is void
EXIT_INTERNAL = 70  # a fault of tenk itself (EX_SOFTWARE of sysexits.h)
EXIT_INTERRUPTED = 130  # Ctrl-C or SIGTERM; what was measured is kept
EXIT_NO_READER = 141  # nobody reads the standard output any more: 128 + SIGPIPE, as from a shell

# What a system call says when the machine has run out of something, whoever asked for it.
HOST_ERRNOS = frozenset(
    {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EIO,
        errno.EROFS,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
        errno.ENOBUFS,
        errno.EADDRNOTAVAIL,  # no local port is free
    }
)


class TenkError(Exception):
    """Ends the command with one line on stderr and `status`."""

    status = EXIT_FAILURE


class UsageError(TenkError):
    """A value that is not allowed: names the option, the value and what is allowed."""

    status = EXIT_USAGE

    def __init__(self, option: str, value: object, allowed: str) -> None:
        super().__init__(f"{option}: '{value}' is not allowed; {allowed}")


class SetupError(TenkError):
    """Something the command needs is missing or broken; the text says what to do."""


class HostFault(TenkError):
    """The machine failed, not the server that was measured: a full disk, no descriptors, no memory.

    Nothing is recorded of the cell in which it happens.
    """


def one_line(text: str) -> str:
    """`text` without line ends and other control characters, which are shown as in Python."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def host_fault(said: str) -> str:
    """The words with which a program's last line tells of a HOST_ERRNOS, or ''."""
    for number in sorted(HOST_ERRNOS):
        if os.strerror(number) in said:
            return os.strerror(number)
    # A thread or a process that cannot be made: a limit of the machine, or of its control group.
    again = os.strerror(errno.EAGAIN)
    if again in said and any(call in said for call in ("pthread_create", "fork", "clone")):
        return again
    return ""


def why(error: OSError) -> str:
    """ "/some/file: Permission denied", or without the file where there is none."""
    said = error.strerror or str(error)
    return f"{error.filename}: {said}" if error.filename else said
