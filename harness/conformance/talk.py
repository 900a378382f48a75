# SPDX-License-Identifier: MIT
"""What the three protocols say: requests by number, and the answer each must get.

Written from the description of the protocols (DESIGN section 3, common/wire.h), not from the
servers' code: the suite and the servers must not share a mistake.
"""
from __future__ import annotations

import functools
import re
from abc import ABC, abstractmethod

from harness.conformance.outcome import Failed
from harness.conformance.peer import Peer, Reply

ROOT_BODY = b"hello, tenk\n"
PATTERN = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-\n"
ROT13_LINE_MAX = 16384
HEAD_MAX = 8192
BODY_MAX = 65536
_FOX = b" The Quick Brown Fox Jumps Over The Lazy Dog Xyzzy...\n"
_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_TURNED = _LETTERS[13:] + _LETTERS[:13]
_ROT13 = bytes.maketrans(_LETTERS + _LETTERS.lower(), _TURNED + _TURNED.lower())


class Talk(ABC):
    """One protocol. request(i) for different small i are different, and so are their answers, so
    that an answer that is lost, repeated or misplaced shows."""

    name: str
    smallest_buffer: int  # bytes: the least --buffer it can work with

    @abstractmethod
    def request(self, i: int) -> bytes:
        """The i-th small request."""

    @abstractmethod
    def check(self, peer: Peer, i: int) -> None:
        """Read the answer to request(i) and compare it; raises Failed."""

    @abstractmethod
    def partial(self) -> bytes:
        """Part of a request that gets no answer yet; empty if the protocol has no such thing."""

    @abstractmethod
    def bulk(self, size: int) -> bytes:
        """What to send to be answered with `size` bytes (after what begin_bulk() reads)."""

    def begin_bulk(self, peer: Peer) -> None:
        """Read what stands before the answer to bulk(), if anything does."""

    @abstractmethod
    def check_bulk(self, answer: bytes, size: int) -> None:
        """Compare all of the answer to bulk(size); raises Failed."""

    def converse(self, peer: Peer, singly: int, burst: int, bulk: int) -> None:
        """Requests one by one, then some at once, then one with a long answer; raises Failed."""
        for i in range(singly):
            self.exchange(peer, i)
        peer.send(b"".join(self.request(i) for i in range(burst)))
        for i in range(burst):
            self.check(peer, i)
        peer.send(self.bulk(bulk))
        self.begin_bulk(peer)
        self.check_bulk(peer.read(bulk), bulk)

    def exchange(self, peer: Peer, i: int = 0) -> None:
        """One request and its answer."""
        peer.send(self.request(i))
        self.check(peer, i)


def _same(got: bytes, wanted: bytes, what: str) -> None:
    if got == wanted:
        return
    at = next(
        (k for k, (a, b) in enumerate(zip(got, wanted)) if a != b), min(len(got), len(wanted))
    )
    raise Failed(
        f"{what}: wrong from byte {at}: got {got[at:at + 40]!r}, expected {wanted[at:at + 40]!r}"
    )


class Echo(Talk):
    name = "echo"
    smallest_buffer = 1

    def request(self, i: int) -> bytes:
        return b"echo %06d \x00\xff\r\n" % i

    def check(self, peer: Peer, i: int) -> None:
        wanted = self.request(i)
        _same(peer.read(len(wanted), f"echo {i}"), wanted, f"echo {i}")

    def partial(self) -> bytes:
        return b""

    def bulk(self, size: int) -> bytes:
        # Blocks that differ, so that one lost or repeated shows.
        return numbered(15, b"|", (size + 15) // 16)[:size]

    def check_bulk(self, answer: bytes, size: int) -> None:
        _same(answer, self.bulk(size), "echo")


class Rot13(Talk):
    name = "rot13"
    smallest_buffer = ROT13_LINE_MAX + 1

    def request(self, i: int) -> bytes:
        return b"Line %d, AZ az NM nm {@[`\t\n" % i

    def check(self, peer: Peer, i: int) -> None:
        wanted = rot13(self.request(i))
        _same(peer.read(len(wanted), f"line {i}"), wanted, f"rot13 of line {i}")

    def partial(self) -> bytes:
        return b"half a line"

    def bulk(self, size: int) -> bytes:
        return numbered(10, _FOX, (size + 63) // 64)[: size - 1] + b"\n"

    def check_bulk(self, answer: bytes, size: int) -> None:
        _same(answer, rot13(self.bulk(size)), "rot13")


class Http(Talk):
    name = "http"
    smallest_buffer = HEAD_MAX + 1

    def request(self, i: int) -> bytes:
        if i % 8 == 7:
            return head("HEAD", f"/bytes/{i}")
        return head("GET", "/" if i % 8 == 0 else f"/bytes/{i % 1000}")

    def check(self, peer: Peer, i: int) -> None:
        if i % 8 == 7:
            expect(peer.read_reply(head_only=True), 200, length=i, what=f"request {i}")
        elif i % 8 == 0:
            expect(peer.read_reply(), 200, ROOT_BODY, what=f"request {i}")
        else:
            expect(peer.read_reply(), 200, pattern(i % 1000), what=f"request {i}")

    def partial(self) -> bytes:
        return b"GET / HTTP/1.1\r\nHost: te"

    def bulk(self, size: int) -> bytes:
        return head("GET", f"/bytes/{size}")

    def begin_bulk(self, peer: Peer) -> None:
        peer.read_head()

    def check_bulk(self, answer: bytes, size: int) -> None:
        _same(answer, pattern(size), f"/bytes/{size}")


class AnyHttp(Http):
    """HTTP with a server that is not ours: one path, answered with any success and any framing."""

    def __init__(self, path: str) -> None:
        self._path = path

    def request(self, i: int) -> bytes:
        return head("HEAD" if i % 8 == 7 else "GET", self._path)

    def check(self, peer: Peer, i: int) -> None:
        rows = peer.read_head().decode("latin-1").split("\r\n")
        found = re.fullmatch(r"HTTP/1\.[01] (\d\d\d)( .*)?", rows[0])
        if not found or not 200 <= int(found[1]) < 400:
            raise Failed(f"request {i}: {rows[0][:120]!r} is no success of HTTP/1.x")
        fields = {
            name.strip().lower(): value.strip()
            for name, colon, value in (row.partition(":") for row in rows[1:])
            if colon
        }
        if i % 8 == 7 or int(found[1]) in (204, 304):
            return
        if "chunked" in fields.get("transfer-encoding", "").lower():
            _skip_chunks(peer)
        elif fields.get("content-length", "").isdigit():
            peer.read(int(fields["content-length"]), f"the body of reply {i}")
        else:
            raise Failed(f"request {i}: a reply that goes on has a Content-Length or is chunked")


def _skip_chunks(peer: Peer) -> None:
    """Read a chunked body to its end (RFC 9112, 7.1)."""
    while True:
        line = _line(peer)
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,8}([ \t]*;.*)?", line):
            raise Failed(f"not the size of a chunk: {line[:80]!r}")
        size = int(line.partition(b";")[0], 16)
        if size == 0:
            break
        if peer.read(size + 2, "a chunk")[-2:] != b"\r\n":
            raise Failed("a chunk without its line end")
    while _line(peer):
        pass


def _line(peer: Peer) -> bytes:
    line = b""
    while not line.endswith(b"\r\n"):
        line += peer.read(1, "a line of a chunked body")
    return line[:-2]


TALKS: dict[str, Talk] = {talk.name: talk for talk in (Echo(), Http(), Rot13())}


def rot13(data: bytes) -> bytes:
    return data.translate(_ROT13)


@functools.lru_cache(maxsize=8)
def numbered(digits: int, tail: bytes, count: int) -> bytes:
    """The numbers from 0 to count - 1, each with leading zeros in `digits` digits and then `tail`.

    A thousand at a time, and kept: it is megabytes, and the same for every server."""
    low = [b"%03d%s" % (k, tail) for k in range(1000)]
    high = (b"%0*d" % (digits - 3, k) for k in range((count + 999) // 1000))
    return b"".join(h + h.join(low) for h in high)[: count * (digits + len(tail))]


def pattern(size: int) -> bytes:
    """The body of /bytes/SIZE."""
    return (PATTERN * (size // len(PATTERN) + 1))[:size]


def head(
    method: str, target: str, *lines: str, version: str = "HTTP/1.1", host: bool = True
) -> bytes:
    """A request head."""
    rows = [f"{method} {target} {version}", *(["Host: tenk"] if host else []), *lines, "", ""]
    return "\r\n".join(rows).encode("latin-1")


def expect(
    reply: Reply, status: int, body: bytes | None = None, length: int | None = None, what: str = ""
) -> Reply:
    """Hold a reply against what it should be; returns it."""
    where = f"{what}: " if what else ""
    if reply.status != status:
        raise Failed(f"{where}status {reply.status} instead of {status}")
    if body is not None:
        _same(reply.body, body, f"{where}body")
    said = int(reply.headers["content-length"])
    if length is not None and said != length:
        raise Failed(f"{where}Content-Length {said} instead of {length}")
    return reply
