# SPDX-License-Identifier: MIT
"""The three standard streams of a command, guarded in one place.

What cannot be written to standard output is an error of the command: a full disk, a reader that has
gone (`| head -1`), a stream that was closed. print(), rich and argparse all write through the
guard, and it is flushed before the exit status is decided, so nothing is left for the interpreter's
exit.
"""
from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import IO

from harness.errors import EXIT_NO_READER, TenkError, one_line


class OutputError(TenkError):
    """Standard output takes no more; no OSError, so that nobody takes it for another file's."""

    def __init__(self, error: OSError) -> None:
        if isinstance(error, BrokenPipeError):
            super().__init__("standard output: the reader is gone, so the command was stopped")
            self.status = EXIT_NO_READER
        else:
            super().__init__(f"standard output: {error.strerror}")


class _Guard(io.RawIOBase):
    """Writes to a descriptor; the first failure is raised as OutputError, and what comes after it
    is dropped, since a program that is ending has nothing to say to a reader that is gone."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._failed = False

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data: "bytes | bytearray | memoryview") -> int:  # type: ignore[override]
        if self._failed:
            return len(data)
        try:
            return os.write(self._descriptor, data)
        except OSError as error:
            self._failed = True
            raise OutputError(error) from None


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """Guard sys.stdout while a command runs; flushes it at the end. Raises OutputError.

    A character that the locale's encoding lacks is shown as "?". A stream that is not the process's
    own standard output (a test's) is left alone.
    """
    _fill_gaps()
    plain = sys.stdout
    if plain is None or plain is not sys.__stdout__:
        yield
        return
    plain.flush()
    stream: IO[str] = io.TextIOWrapper(
        io.BufferedWriter(_Guard(plain.fileno())),
        encoding=plain.encoding,
        errors="replace",
        line_buffering=plain.isatty(),
    )
    sys.stdout = stream  # type: ignore[assignment]
    try:
        try:
            yield
        finally:
            stream.flush()
    finally:
        sys.stdout = plain


def complain(text: str) -> None:
    """One line on standard error, whatever `text` holds; where that cannot be written, nothing."""
    with contextlib.suppress(OSError, ValueError):
        print(f"tenk: {one_line(text)}", file=sys.stderr, flush=True)


def _fill_gaps() -> None:
    """Put /dev/null where standard input or error is closed, so that no file of ours gets that
    number and is written to by mistake. A closed standard output is an OutputError."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError as error:
            os.open(os.devnull, os.O_RDWR)
            if descriptor == 1:
                raise OutputError(error) from None
    if sys.stderr is None:
        sys.stderr = open(  # pylint: disable=consider-using-with
            2, "w", encoding="utf-8", errors="backslashreplace", closefd=False
        )
