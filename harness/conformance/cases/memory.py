# SPDX-License-Identifier: MIT
"""No request makes a server keep more than a known bound."""
from __future__ import annotations

import time

from harness.conformance.core import case
from harness.conformance.outcome import Failed
from harness.conformance.subject import Subject
from harness.conformance.trial import Trial

ORDER = 70

KIB = 1 << 10
MIB = 1 << 20
BUFFER = 64 * KIB
# Documented in docs/conformance.md: what a connection may hold beyond two buffers (a stack, page
# tables, a process), and what a process may keep for reuse (64 blocks) and for itself.
FIXED = 320 * KIB
PROCESS = 64 * BUFFER + 2 * MIB
CROWD = 12
FLOOD = 16 * MIB  # each: the kernel's buffers hold several MiB before the server's matter


def _bounded(t: Trial, flood: bytes, what: str) -> None:
    """CROWD clients send `flood` and read nothing: the memory stays within its bound."""
    t.needs_connections(CROWD)
    t.needs_memory_measured()
    t.needs_option("--buffer")
    subject = t.start("--buffer", str(BUFFER))
    t.probe(subject)
    before = subject.memory_bytes()
    left = {t.connect(subject, receive_buffer=16384): memoryview(flood) for _ in range(CROWD)}
    # A server that takes all it is sent is found by what it holds; the time is a net below that.
    deadline = time.monotonic() + 3 * t.timeout_s
    moved = True
    while moved and time.monotonic() < deadline:  # until nobody can send any more
        moved = False
        for peer, rest in list(left.items()):
            try:
                taken = peer.send_until_blocked(rest, quiet_s=0)
            except Failed:
                del left[peer]  # closed by the server: its right
                continue
            left[peer] = rest[taken:]
            moved = moved or taken > 0
        subject.settle(0.5)
        _judge(subject, before, what)


def _judge(subject: Subject, before: int, what: str) -> None:
    grown = subject.memory_bytes() - before
    bound = CROWD * (2 * BUFFER + FIXED) + PROCESS
    if grown > bound:
        raise Failed(
            f"{CROWD} clients that {what}: memory grew by {grown / MIB:.1f} MiB, the bound is "
            f"{bound / MIB:.1f} MiB ({CROWD} × (2 × {BUFFER // KIB} + {FIXED // KIB}) KiB + "
            f"{PROCESS // KIB} KiB)"
        )


@case(timeout_s=60)
def memory_never_reading(t: Trial) -> None:
    """Clients that send requests and never read: two buffers for each, and not one more.

    What usually goes wrong: a queue of answers without a bound. One client is enough to use up all
    memory of the machine then.
    """
    some = b"".join(t.talk.request(i) for i in range(8 * KIB))
    _bounded(t, some * (FLOOD // len(some)), "never read")


@case("http", "rot13", timeout_s=60)
def memory_never_ending(t: Trial) -> None:
    """Clients that send one request without an end: refused when it is too long, not kept.

    What usually goes wrong: the buffer grows until the end of the line or of the head is found, and
    the client never sends one.
    """
    if t.protocol == "http":
        start = b"GET / HTTP/1.1\r\nHost: tenk\r\n"
        _bounded(t, start + b"X: y\r\n" * (FLOOD // 6), "send headers without end")
    else:
        _bounded(t, b"z" * FLOOD, "send a line without end")


@case("http", timeout_s=60)
def memory_huge_replies(t: Trial) -> None:
    """Clients that ask for a gigabyte each: it is made as it is sent, not beforehand.

    What usually goes wrong: malloc(Content-Length) of what a client may choose.
    """
    _bounded(t, t.talk.bulk(1 << 30) * 40, "ask for a gigabyte forty times")


@case("http", timeout_s=60)
def memory_huge_bodies(t: Trial) -> None:
    """Clients that announce and send large bodies: passed over as they come, not collected.

    What usually goes wrong: malloc(Content-Length) again, on the way in.
    """
    request = b"POST / HTTP/1.1\r\nHost: tenk\r\nContent-Length: 65536\r\n\r\n" + b"q" * 65536
    _bounded(t, request * (FLOOD // 65536), "send large bodies")
