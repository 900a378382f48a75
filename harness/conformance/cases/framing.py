# SPDX-License-Identifier: MIT
"""TCP is a stream of bytes: it keeps their order, and nothing else of how they were sent."""
from __future__ import annotations

from harness.conformance.core import case
from harness.conformance.outcome import NotApplicable
from harness.conformance.trial import Trial

ORDER = 10


@case(gate=True, foreign=True)
def byte_at_a_time(t: Trial) -> None:
    """Requests that arrive one byte at a time are answered like any others.

    What usually goes wrong: the server takes what one recv(2) returned for a whole request. It
    works on loopback, where a small request arrives in one piece, and fails on a real network.
    """
    with t.connect(t.start()) as peer:
        for i in (0, 1, 7):
            for byte in t.talk.request(i):
                peer.send(bytes([byte]))
            t.talk.check(peer, i)


@case(timeout_s=60, foreign=True)
def split_everywhere(t: Trial) -> None:
    """Three requests in two pieces, cut at every possible offset, the second piece some time later.

    What usually goes wrong: the bytes behind the first request's end are thrown away with it; or
    what is left of a request is moved in the buffer, and the place where the next bytes go is not.
    """
    subject = t.start()
    data = b"".join(t.talk.request(i) for i in (1, 7, 2))
    with t.connect(subject) as peer:
        for cut in range(1, len(data)):
            peer.send(data[:cut])
            # An answer that is complete now must come now: this is also what makes the server
            # read the first piece by itself.
            whole = 0
            for i in (1, 7, 2):
                whole += len(t.talk.request(i))
                if whole <= cut:
                    t.talk.check(peer, i)
            peer.send(data[cut:])
            whole = 0
            for i in (1, 7, 2):
                whole += len(t.talk.request(i))
                if whole > cut:
                    t.talk.check(peer, i)


@case(gate=True, foreign=True)
def pipelined_burst(t: Trial) -> None:
    """12,000 requests sent without waiting for answers: many times what a server's buffers hold.

    What usually goes wrong: only the first of the requests in a buffer is answered and the rest
    waits for the next bytes, which do not come; the request that is cut by the end of the buffer is
    lost; or server and client wait for each other for ever, because a full send buffer was an
    error.
    """
    count = 12_000
    with t.connect(t.start()) as peer:
        peer.send(b"".join(t.talk.request(i) for i in range(count)))
        for i in range(count):
            t.talk.check(peer, i)
        # And the connection is still in step.
        t.talk.exchange(peer, 1)


@case("echo")
def any_bytes(t: Trial) -> None:
    """All 256 byte values, zero bytes among them, come back in runs of every length up to 600.

    What usually goes wrong: strlen(3) or "%s" on data from the network: it ends at a zero byte.
    """
    with t.connect(t.start()) as peer:
        for size in (*range(1, 600), 4095, 4096, 4097, 16383, 16384, 16385, 65536, 100_001):
            data = (bytes(range(256)) * (size // 256 + 1))[:size]
            peer.send(data)
            got = peer.read(size, f"{size} bytes")
            assert got == data, f"{size} bytes came back changed"


@case()
def smallest_buffer(t: Trial) -> None:
    """With the smallest --buffer the protocol allows, everything still works, only slower.

    What usually goes wrong: an off-by-one at the end of the buffer. With a buffer of 16 KiB it is
    met once in a long while, with the smallest one at once.
    """
    t.needs_option("--buffer")
    size = t.talk.smallest_buffer
    bulk = 4096 if size == 1 else 200_000
    with t.connect(t.start("--buffer", str(size))) as peer:
        t.talk.converse(peer, 40, 100, bulk)


@case()
def odd_buffer(t: Trial) -> None:
    """With a --buffer that is no power of two, requests fall across its end at ever new places.

    What usually goes wrong: as in smallest_buffer; and arithmetic that takes a power of two for
    granted (size - 1 as a mask).
    """
    t.needs_option("--buffer")
    count = 3_000
    with t.connect(t.start("--buffer", str(t.talk.smallest_buffer + 1236))) as peer:
        peer.send(b"".join(t.talk.request(i) for i in range(count)))
        for i in range(count):
            t.talk.check(peer, i)


@case(foreign=True)
def two_clients_interleaved(t: Trial) -> None:
    """Halves of requests from several clients in turn: each gets the answer to its own.

    What usually goes wrong: the state of a half-received request is in a global variable or on the
    stack of the loop instead of in the connection.
    """
    t.needs_connections(5)
    if not t.talk.partial():
        raise NotApplicable(f"{t.protocol} has no request that could be half there")
    subject = t.start()
    peers = [t.connect(subject) for _ in range(5)]
    for turn in range(4):
        for k, peer in enumerate(peers):
            request = t.talk.request(turn * 8 + k + 1)
            peer.send(request[: len(request) // 2])
        subject.settle(1.0)  # all halves are with the server before the others come
        for k, peer in enumerate(peers):
            request = t.talk.request(turn * 8 + k + 1)
            peer.send(request[len(request) // 2 :])
        for k, peer in enumerate(peers):
            t.talk.check(peer, turn * 8 + k + 1)
