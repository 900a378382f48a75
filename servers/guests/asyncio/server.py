# SPDX-License-Identifier: MIT
"""HTTP on asyncio's Protocol callbacks: the loop waits with epoll, data_received() answers."""
import asyncio
import re
import sys

PATTERN = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-\n"
REQUEST = re.compile(rb"(GET|HEAD) (\S+) HTTP/1\.[01]\r\n")
SIZE = re.compile(rb"/bytes/(\d{1,9})")


def answer(head: bytes) -> tuple[bytes, bool]:
    """The reply to a request head, and whether the connection goes on."""
    request = REQUEST.match(head)
    if request is None:
        return b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", False
    method, path = request.groups()
    size = SIZE.fullmatch(path)
    if path == b"/":
        body, status = b"hello, tenk\n", b"200 OK"
    elif size:
        n = int(size[1])
        body, status = (PATTERN * (n // len(PATTERN) + 1))[:n], b"200 OK"
    else:
        body, status = b"", b"404 Not Found"
    reply = b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
    goes_on = b"connection: close" not in head.lower()
    return reply + (b"" if method == b"HEAD" else body), goes_on


class Http(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.data = b""

    def data_received(self, data: bytes) -> None:
        self.data += data
        replies = []
        while not self.transport.is_closing():
            head, end, rest = self.data.partition(b"\r\n\r\n")
            if not end:
                break
            self.data = rest
            reply, goes_on = answer(head + b"\r\n")
            replies.append(reply)
            if not goes_on:
                self.transport.write(b"".join(replies))
                self.transport.close()
                return
        if replies:
            self.transport.write(b"".join(replies))

    def pause_writing(self) -> None:
        """The client does not read: do not read from it either."""
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.transport.resume_reading()


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Http, "127.0.0.1", int(sys.argv[1]), backlog=4096)
    await server.serve_forever()


asyncio.run(main())
