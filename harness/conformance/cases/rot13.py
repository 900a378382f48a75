# SPDX-License-Identifier: MIT
"""The line protocol: framing, and its longest line."""
from __future__ import annotations

from harness.conformance.core import case
from harness.conformance.outcome import Failed
from harness.conformance.talk import ROT13_LINE_MAX, rot13
from harness.conformance.trial import Trial

ORDER = 50


@case("rot13", gate=True)
def rot13_line_lengths(t: Trial) -> None:
    """Lines of 0, 1, 16383 and 16384 bytes (without the newline) are answered; 16385 are too many:
    the lines before it are answered, it is not, and the connection ends.

    What usually goes wrong: the newline is or is not counted; an empty line is taken for the end;
    or the earlier answers are lost when the connection is closed.
    """
    subject = t.start()
    for size in (0, 1, ROT13_LINE_MAX - 1, ROT13_LINE_MAX):
        line = (b"Nowhere " * 2100)[:size] + b"\n"
        with t.connect(subject) as peer:
            for _ in range(2):
                peer.send(line)
                got = peer.read(len(line), f"a line of {size} bytes")
                assert got == rot13(line), f"a line of {size} bytes came back wrong"
    for extra in (1, 2, 60_000):
        for end in (b"\n", b"\nafter\n", b""):
            _too_long(t, b"x" * (ROT13_LINE_MAX + extra) + end, extra)


def _too_long(t: Trial, line: bytes, extra: int) -> None:
    before = b"first\n\nsecond\n"
    with t.connect(t.start()) as peer:
        peer.send(before)
        got = peer.read(len(before), "the lines before one that is too long")
        assert got == rot13(before)
        try:
            peer.send(line)
        except Failed:
            pass  # it may close before it has read all of it
        peer.expect_gone(f"after a line {extra} bytes too long")
        assert not peer.inbox, f"a line {extra} bytes too long was answered: {peer.inbox[:40]!r}"


@case("rot13")
def rot13_earlier_lines_first(t: Trial) -> None:
    """A line that is too long in the same send as good lines: those are answered before the close.

    What usually goes wrong: the connection is closed with unread input, so that the kernel sends a
    reset, which throws away answers that the client has not read yet (RFC 9112, 9.6, says it for
    HTTP).
    """
    subject = t.start()
    good = b"".join(b"line %d\n" % i for i in range(50))
    for _ in range(10):
        with t.connect(subject) as peer:
            peer.send(good + b"y" * (ROT13_LINE_MAX + 5000) + b"\nmore\n")
            got = peer.read(len(good), "the lines before one that is too long")
            assert got == rot13(good), "the lines before one that is too long came back wrong"
            peer.half_close()
            peer.expect_end("after a line that is too long")
    t.probe(subject)


@case("rot13")
def rot13_letters_only(t: Trial) -> None:
    """Only the 26 ASCII letters move; every other byte, zero and 128 to 255 among them, stays.

    What usually goes wrong: isalpha(3) on a signed char: undefined for negative values, and it
    knows more letters than 26 in some locales.
    """
    line = bytes(b for b in range(256) if b != 10) + b"\n"
    with t.connect(t.start()) as peer:
        peer.send(line)
        got = peer.read(len(line))
        assert got == rot13(line), f"got {got!r}"
