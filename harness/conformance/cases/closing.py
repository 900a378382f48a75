# SPDX-License-Identifier: MIT
"""How connections end: in order, half, by reset, and in crowds."""
from __future__ import annotations

import socket

from harness.conformance.core import case
from harness.conformance.outcome import Failed, NotApplicable
from harness.conformance.subject import Subject, wait_until
from harness.conformance.trial import LOCALHOST, Trial

ORDER = 20

MIB = 1 << 20


def _in_use(t: Trial, subject: Subject) -> int:
    """Descriptors while exactly one client is connected and has been served."""
    with t.connect(subject) as peer:
        t.talk.exchange(peer)
        return subject.descriptors()


def _settled(t: Trial, subject: Subject, base: int, after: str) -> None:
    """The descriptors of clients that left are closed: _in_use() is what it was."""
    if not wait_until(lambda: _in_use(t, subject) <= base, t.timeout_s):
        more = _in_use(t, subject) - base
        raise Failed(f"{more} descriptors more than before are still open after {after}")


@case(gate=True)
def half_close_before_reply(t: Trial) -> None:
    """A client sends requests and says at once that no more will come (shutdown(2), FIN): it still
    gets all answers, then the server closes too.

    What usually goes wrong: end of file is taken for "the client is gone", and answers that are
    still owed are thrown away. `printf … | nc` does exactly this.
    """
    subject = t.start()
    with t.connect(subject) as peer:
        peer.send(b"".join(t.talk.request(i) for i in range(10)))
        peer.half_close()
        for i in range(10):
            t.talk.check(peer, i)
        peer.expect_end("after the client's half-close")
    # The same with an answer so large that it is far from sent when the end arrives.
    with t.connect(subject, receive_buffer=32768) as peer:
        peer.send_until_blocked(t.talk.bulk(65536), quiet_s=0.1)
        peer.half_close()
        t.talk.begin_bulk(peer)
        t.talk.check_bulk(peer.read(65536), 65536)
        peer.expect_end("after the client's half-close")


@case(gate=True, foreign=True)
def half_close_after_reply(t: Trial) -> None:
    """After its answer the client half-closes; the server closes its side, with nothing more said.

    What usually goes wrong: recv(2) returning 0 is not looked at, and the server spins on a socket
    that is readable for ever, or keeps its descriptor for ever.
    """
    t.needs_own_process()
    subject = t.start()
    base = _in_use(t, subject)
    with t.connect(subject) as peer:
        t.talk.exchange(peer)
        peer.half_close()
        peer.expect_end("after the client's half-close")
    with t.connect(subject) as peer:  # never said anything
        peer.half_close()
        peer.expect_end("after a half-close without a request")
    _settled(t, subject, base, "clients left")


@case()
def half_close_in_a_request(t: Trial) -> None:
    """A client that ends in the middle of a request gets no answer to it and is closed.

    What usually goes wrong: the half request is answered as if it were whole, or the connection
    stays open for ever, because more input is waited for that cannot come.
    """
    if not t.talk.partial():
        raise NotApplicable(f"{t.protocol} has no request that could be half there")
    subject = t.start()
    with t.connect(subject) as peer:
        peer.send(t.talk.request(1) + t.talk.partial())
        t.talk.check(peer, 1)
        peer.half_close()
        peer.expect_end("after half a request")
    t.probe(subject)


@case(foreign=True)
def reset_while_reading(t: Trial) -> None:
    """Clients break off with a reset while the server waits for the rest of their requests.

    What usually goes wrong: ECONNRESET from recv(2) is taken for a reason to exit; or the
    connection is never closed, because only end of file (0) was thought of.
    """
    t.needs_own_process()
    subject = t.start()
    base = _in_use(t, subject)
    for _ in range(20):
        with t.connect(subject) as peer:
            t.talk.exchange(peer)
            if t.talk.partial():
                peer.send(t.talk.partial())
            peer.reset()
    _settled(t, subject, base, "resets")
    t.probe(subject, "a client after resets")


@case(timeout_s=60)
def reset_while_writing(t: Trial) -> None:
    """Clients break off with a reset while the server has megabytes to send to them.

    What usually goes wrong: SIGPIPE, which ends the process unless it is ignored or MSG_NOSIGNAL is
    given; EPIPE and ECONNRESET from send(2) are not expected.
    """
    subject = t.start()
    base = _in_use(t, subject)
    data = t.talk.bulk(8 * MIB)
    for i in range(6):
        with t.connect(subject, receive_buffer=16384) as peer:
            peer.send_until_blocked(data, quiet_s=0.05 * t.conditions.patience)
            if i % 2:
                peer.half_close()  # a reset after the end gives EPIPE, not ECONNRESET
            peer.reset()
    _settled(t, subject, base, "resets")
    t.probe(subject, "a client after resets")


@case()
def reset_while_accepting(t: Trial) -> None:
    """Clients are gone, by reset or in order, before the server has accepted them.

    What usually goes wrong: accept(2) says ECONNABORTED (on other systems), or gives a socket on
    which everything fails at once (on Linux), and the server ends or loses count. A server that
    waits for the client it was told of in a blocking accept(2) hangs.
    """
    subject = t.start()
    base = _in_use(t, subject)
    subject.pause()
    request = t.talk.request(1)
    for i in range(60):
        peer = t.connect(subject)
        if i % 3:
            peer.send(request)
        if i % 2:
            peer.reset()
        else:
            peer.close()
    subject.resume()
    _settled(t, subject, base, "clients that left before they were accepted")
    t.probe(subject, "a client after those that left before they were accepted")


@case(foreign=True)
def both_at_once(t: Trial) -> None:
    """Data, its end and its connection arrive in one: the server finds them all when it wakes up.

    What usually goes wrong: an event that says "readable" and "hung up" at once is handled as a
    hang-up alone (EPOLLHUP or EPOLLRDHUP looked at first), and the request is never answered.
    """
    t.needs_connections(8)
    t.needs_own_process()
    subject = t.start()
    subject.pause()
    peers = []
    for i in range(8):
        peer = t.connect(subject)
        peer.send(t.talk.request(i))
        peer.half_close()
        peers.append(peer)
    subject.resume()
    for i, peer in enumerate(peers):
        t.talk.check(peer, i)
        peer.expect_end("after the client's half-close")


@case(timeout_s=60)
def connect_burst(t: Trial) -> None:
    """Four times 1,000 clients connect and leave in a burst: descriptors and memory come back.

    What usually goes wrong: a descriptor or a block of memory per connection is lost on the way
    that is rarely taken (the client left before it said anything); children stay as zombies. Memory
    may grow when it is first needed, but not by more than 512 KiB with each further thousand.
    """
    subject = t.start()
    base = _in_use(t, subject)
    memory = []
    for _ in range(4):
        for i in range(1000):
            sock = socket.create_connection((LOCALHOST, subject.port), t.timeout_s)
            if i % 4 == 1:
                sock.sendall(t.talk.request(i))
            sock.close()
        _settled(t, subject, base, "a burst of connects and closes")
        subject.settle(1.0)
        memory.append(subject.memory_bytes())
    growth = [(later - earlier) // 1024 for earlier, later in zip(memory, memory[1:])]
    if t.conditions.measures_memory and min(growth) > 512:
        raise Failed(f"memory grew by {growth} KiB with each thousand of connects and closes")
