# SPDX-License-Identifier: MIT
"""A client of the server under test: one TCP connection and what may be expected of it.

Every wait has a time-out and every disappointment is a Failed that says what was waited for.
"""
from __future__ import annotations

import contextlib
import re
import select
import socket
import struct
import time
from dataclasses import dataclass
from types import TracebackType

from harness.conformance.outcome import Failed

_LINGER_RESET = struct.pack("ii", 1, 0)
_CHUNK = 1 << 18


@dataclass(frozen=True)
class Reply:
    """An HTTP reply. Header names are in lower case; a repeated one keeps its last value."""

    version: str
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def closes(self) -> bool:
        return "close" in self.headers.get("connection", "").lower()


class Peer:
    """A connected client. What arrives is kept in an inbox until it is asked for."""

    def __init__(
        self,
        address: tuple[str, int],
        timeout_s: float,
        receive_buffer: int = 0,
        send_buffer: int = 0,
    ) -> None:
        """receive_buffer, send_buffer: SO_RCVBUF and SO_SNDBUF, where a case needs them small."""
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.timeout_s = timeout_s
        self.inbox = bytearray()
        self.ended = False  # end of file was read
        self.received = 0  # bytes so far
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            if receive_buffer:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            if send_buffer:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
            self.sock.settimeout(timeout_s)
            self.sock.connect(address)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sock.setblocking(False)
        except OSError as error:
            self.sock.close()
            raise Failed(f"cannot connect: {error}") from None

    def __enter__(self) -> "Peer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- sending -----------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send all of it, reading into the inbox meanwhile, so that neither side has to wait for
        the other for ever, however much it is."""
        view = memoryview(data)
        while view:
            readable, writable = self._wait(read=not self.ended, write=True, what="sending")
            if readable:
                self._receive()
            if writable:
                view = view[self._send_some(view) :]

    def send_until_blocked(self, data: bytes | memoryview, quiet_s: float) -> int:
        """Send without reading until nothing more is taken for quiet_s; how much was taken."""
        view = memoryview(data)
        while view and self._poll(select.POLLOUT, quiet_s):
            view = view[self._send_some(view) :]
        return len(data) - len(view)

    def _send_some(self, view: memoryview) -> int:
        try:
            return self.sock.send(view[:_CHUNK])
        except BlockingIOError:
            return 0
        except OSError as error:
            raise Failed(f"the server broke the connection while it was sent to: {error}") from None

    def half_close(self) -> None:
        """Say that nothing more comes (FIN), and go on reading."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    # --- receiving ---------------------------------------------------------------------------

    def read(self, n: int, what: str = "a reply") -> bytes:
        """Exactly n bytes."""
        deadline = time.monotonic() + self.timeout_s
        while len(self.inbox) < n:
            self._receive_by(deadline, f"{what}: got {len(self.inbox)} of {n} bytes")
        return self.take(n)

    def read_some(self, most: int) -> bytes:
        """Whatever comes next, at least one byte, at most `most`: for readers that are slow."""
        deadline = time.monotonic() + self.timeout_s
        while not self.inbox:
            self._wait(read=True, write=False, what="reading", deadline=deadline)
            self._receive(most)
        return self.take(min(most, len(self.inbox)))

    def take(self, n: int) -> bytes:
        data = bytes(self.inbox[:n])
        del self.inbox[:n]
        return data

    def read_head(self) -> bytes:
        """Up to and including an empty line."""
        deadline = time.monotonic() + self.timeout_s
        while (end := self.inbox.find(b"\r\n\r\n")) < 0:
            if len(self.inbox) > 65536:
                raise Failed(f"no end of a reply head in 64 KiB: {bytes(self.inbox[:80])!r}")
            self._receive_by(deadline, f"a reply head: got {bytes(self.inbox[:120])!r}")
        return self.take(end + 4)

    def read_reply(self, head_only: bool = False) -> Reply:
        """One HTTP reply; head_only: it answers HEAD, so no body follows."""
        lines = self.read_head().decode("latin-1").split("\r\n")[:-2]
        found = re.fullmatch(r"(HTTP/1\.[01]) ([1-5]\d\d) [\t -~]*", lines[0])
        if not found:
            raise Failed(f"not a status line: {lines[0][:120]!r}")
        headers = {}
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
                raise Failed(f"not a header line: {line[:120]!r}")
            headers[name.lower()] = value.strip(" \t")
        length = headers.get("content-length", "")
        if not length.isdigit():
            raise Failed(f"a reply without a sound Content-Length: {lines!r}")
        body = b"" if head_only else self.read(int(length), "the body of a reply")
        return Reply(found[1], int(found[2]), headers, body)

    def expect_end(self, what: str = "") -> None:
        """The server closes its side in order, with nothing before that."""
        deadline = time.monotonic() + self.timeout_s
        while not self.ended:
            self._wait(True, False, f"the server to close{what and ' ' + what}", deadline)
            self._receive()
        if self.inbox:
            raise Failed(f"{len(self.inbox)} bytes too many before the close: {self._peek()}")

    def expect_gone(self, what: str = "") -> None:
        """The server closes it, in order or not; what comes before does not matter."""
        deadline = time.monotonic() + self.timeout_s
        while not self.ended:
            self._wait(True, False, f"the server to close{what and ' ' + what}", deadline)
            try:
                self.ended = not self.sock.recv(_CHUNK)
            except BlockingIOError:
                pass
            except OSError:
                self.ended = True

    def expect_silence(self, seconds: float, what: str) -> None:
        """Nothing arrives for a while: for clients that may not be served yet."""
        if self.inbox or self._poll(select.POLLIN, seconds):
            if not self.inbox:
                self._receive()
            raise Failed(f"{what}: but got {self._peek() if self.inbox else 'a close'}")

    def answered_within(self, seconds: float) -> bool:
        """Whether something arrives (or has) in that time."""
        return bool(self.inbox or self._poll(select.POLLIN, seconds))

    def _peek(self) -> str:
        return repr(bytes(self.inbox[:80]))

    def _receive_by(self, deadline: float, what: str) -> None:
        if self.ended:
            raise Failed(f"closed by the server while waiting for {what}")
        self._wait(read=True, write=False, what=what, deadline=deadline)
        self._receive()

    def _receive(self, most: int = _CHUNK) -> None:
        try:
            chunk = self.sock.recv(most)
        except BlockingIOError:
            return
        except OSError as error:
            raise Failed(f"the server reset the connection: {error}") from None
        self.inbox += chunk
        self.received += len(chunk)
        self.ended = not chunk

    def _wait(
        self, read: bool, write: bool, what: str, deadline: float | None = None
    ) -> tuple[bool, bool]:
        left = self.timeout_s if deadline is None else deadline - time.monotonic()
        mask = (select.POLLIN if read else 0) | (select.POLLOUT if write else 0)
        ready = self._poll(mask, left)
        if not ready:
            raise Failed(f"nothing happened for {self.timeout_s:g} s while waiting for {what}")
        wrong = select.POLLERR | select.POLLHUP
        return read and bool(ready & (select.POLLIN | wrong)), write and bool(
            ready & (select.POLLOUT | wrong)
        )

    def _poll(self, mask: int, seconds: float) -> int:
        """What the socket is ready for; 0 if for nothing in that time. (Not select: descriptors may
        be beyond FD_SETSIZE here too.)"""
        poller = select.poll()
        poller.register(self.sock, mask)
        events = poller.poll(max(0.0, seconds) * 1000)
        return events[0][1] if events else 0

    # --- leaving -----------------------------------------------------------------------------

    def close(self) -> None:
        self.sock.close()

    def reset(self) -> None:
        """Leave with a reset (RST) instead of a close in order."""
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
        self.sock.close()
