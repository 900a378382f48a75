# SPDX-License-Identifier: MIT
"""How the harness fails: one clear line, and an exit status that says whose fault it was."""

EXIT_OK = 0  # done, every cell usable or unsupported
EXIT_FAILURE = (
    1  # set-up failure: something is missing or cannot be written; the line says what to do
)
EXIT_USAGE = 2  # bad option, value or experiment file; nothing was written
EXIT_DOUBTFUL = 3  # ran to its end, but at least one cell failed or is void
EXIT_INTERRUPTED = 130  # Ctrl-C or SIGTERM; what was measured is kept


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
