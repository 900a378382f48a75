# SPDX-License-Identifier: MIT
"""Clients that read slowly, or send without end: who pays for them?"""
from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from harness.conformance.core import case
from harness.conformance.outcome import Failed
from harness.conformance.peer import Peer
from harness.conformance.subject import Subject
from harness.conformance.talk import head
from harness.conformance.trial import Helper, Trial

ORDER = 60

MIB = 1 << 20
BULK = 16 * MIB
# Documented in docs/conformance.md: another client waits at most this long beside one that reads
# slowly or sends without end. Models that serve one connection at a time are excepted.
DELAY_BOUND_S = 1.0
GROWTH_BOUND = 2 * MIB
WATCHED_S = 0.25  # a server that has come to rest: it uses nothing, or all it can get


def _quiet_s(t: Trial) -> float:
    """How long a peer takes nothing before it is thought to take nothing more. A window that was
    full is asked about again by a timer of 200 ms at the least, whoever is in a hurry."""
    return 0.3 * max(1.0, t.conditions.patience)


@case(timeout_s=60)
def slow_reader(t: Trial) -> None:
    """16 MiB of answers for a client that does not read: the server stops taking its requests,
    keeps its memory, uses no CPU time, and goes on serving others; then the client reads, and gets
    every byte.

    What usually goes wrong: what cannot be sent now is kept in a list that grows for as long as the
    client likes (a denial of service); or the server waits in send(2) for this one client; or a
    short send(2) loses or repeats bytes, which shows only when the send buffer is full. Or the
    socket is still watched for requests that are not taken, so that every wait returns at once.
    """
    subject = t.start()
    t.probe(subject)  # whatever is set up at the first client is set up now
    before = subject.memory_bytes()
    slow = t.connect(subject, receive_buffer=32768, send_buffer=32768)
    data = t.talk.bulk(BULK)
    taken = slow.send_until_blocked(data, quiet_s=_quiet_s(t))
    if t.serves(2):
        _others_are_served(t, subject, "a client that does not read")
    if t.conditions.measures_memory:
        grown = subject.memory_bytes() - before
        if grown > GROWTH_BOUND:
            raise Failed(
                f"its memory grew by {grown / MIB:.1f} MiB for a client that does not read "
                f"(bound {GROWTH_BOUND / MIB:g} MiB)"
            )
    if not t.model.describe.get("busy_polls"):
        _must_wait(subject)
    if taken == len(data) > MIB:
        raise Failed("it took 16 MiB of requests from a client that does not read its answers")
    _read_slowly(t, slow, memoryview(data)[taken:])


def _must_wait(subject: Subject) -> None:
    subject.settle()
    spent = subject.busy(WATCHED_S, 0.5)
    if spent.busiest > 0.5:
        raise Failed(
            f"it keeps a CPU {100 * spent.busiest:.0f} % busy while no client reads or sends"
        )


def _read_slowly(t: Trial, slow: Peer, rest: memoryview) -> None:
    """Small pieces at first, so that the server meets a full send buffer again and again."""
    got = bytearray()
    pieces = 0
    while rest or len(got) < BULK:
        if rest:
            rest = rest[slow.send_until_blocked(rest[: 1 << 18], quiet_s=0) :]
        if pieces == 0:
            t.talk.begin_bulk(slow)
        pieces += 1
        if len(got) < BULK:
            got += slow.read_some(4096 if pieces < 200 else 1 << 18)
    t.talk.check_bulk(bytes(got), BULK)
    # What was asked with it is answered, and nothing more comes.
    t.talk.exchange(slow, 1)


def _others_are_served(t: Trial, subject: Subject, beside: str) -> None:
    bound = DELAY_BOUND_S * t.conditions.patience
    with t.connect(subject) as other:
        for i in range(20):
            start, kept_waiting = time.monotonic(), subject.kept_waiting()
            t.talk.exchange(other, i)
            took = time.monotonic() - start - kept_waiting()
            if took > bound:
                raise Failed(
                    f"another client waited {took:.2f} s beside {beside} (bound {bound} s)"
                )


def _answered(subject: Subject, other: Peer, bound_s: float) -> bool:
    """Whether an answer begins within bound_s, not counting the time in which other programs kept
    the server from its CPU."""
    start, kept_waiting = time.monotonic(), subject.kept_waiting()
    left = bound_s
    while left > 0:
        if other.answered_within(left):
            return True
        left = bound_s + kept_waiting() - (time.monotonic() - start)
    return other.answered_within(0)


@case(timeout_s=60)
def greedy_client(t: Trial) -> None:
    """While one client sends requests without end, as fast as it is answered, others get answers.

    What usually goes wrong: "read until EAGAIN" without a bound: EAGAIN never comes from a client
    that sends as fast as the server reads (the classic trap of edge-triggered epoll).
    """
    t.needs_connections(2)
    subject = t.start()
    bound = DELAY_BOUND_S * t.conditions.patience
    with Helper(lambda tell: _flood(t, subject, tell)), t.connect(subject) as other:
        for i in range(20):
            other.send(t.talk.request(i))
            if not _answered(subject, other, bound):
                raise Failed(f"a client waited more than {bound} s beside one that sends much")
            t.talk.check(other, i)


def _flood(t: Trial, subject: Subject, tell: Callable[[], None]) -> None:
    """One process sends all the time and another reads all the time, so that neither direction of
    the connection ever gives the server a reason to turn to somebody else."""
    block = b"".join(t.talk.request(i) for i in range(64)) * 256
    with t.connect(subject) as peer:
        peer.sock.setblocking(True)
        with Helper(lambda tell_parent: _swallow(peer, tell_parent)):
            sent = 0
            while True:
                peer.sock.sendall(block)
                sent += len(block)
                if sent > MIB:
                    tell()


def _swallow(peer: Peer, tell: Callable[[], None]) -> None:
    tell()
    room = bytearray(MIB)
    while peer.sock.recv_into(room):
        pass


@case("http")
def greedy_work(t: Trial) -> None:
    """A client that pipelines seconds of work does not keep the others waiting for all of it.

    What usually goes wrong: everything in a connection's buffer is answered before the next
    connection is looked at. One thread that does the work itself delays the others by as much as it
    does at a stretch; that must have a bound, here 1 s, with 8 s of work in 2 ms pieces waiting.
    """
    t.needs_connections(2)
    subject = t.start()
    greedy = t.connect(subject)
    greedy.send_until_blocked(head("GET", "/work/2000") * 4000, quiet_s=0)
    bound = DELAY_BOUND_S * t.conditions.patience
    with t.connect(subject) as other:
        for i in range(3):
            other.send(t.talk.request(i))
            if not _answered(subject, other, bound):
                raise Failed(f"a client waited more than {bound} s beside one that asks for work")
            t.talk.check(other, i)
            greedy.inbox.clear()


@case(foreign=True)
def idle_costs_nothing(t: Trial) -> None:
    """Connected clients that say nothing, or have said half of something, cost no CPU time.

    What usually goes wrong: writing is waited for although there is nothing to write: a socket is
    writable nearly always, so every wait returns at once. It works, and uses a whole CPU.
    """
    t.needs_blocking_waits()
    t.needs_own_process()
    subject = t.start()
    peers = [t.connect(subject) for _ in range(5 if t.serves(5) else 1)]
    for i, peer in enumerate(peers):
        t.talk.exchange(peer, i)
        if i % 2 and t.talk.partial():
            peer.send(t.talk.partial())
    subject.settle()
    spent = subject.busy(WATCHED_S, 0.5)
    if spent.busiest > 0.5:
        raise Failed(f"a thread is {100 * spent.busiest:.0f} % busy while all clients are idle")


@case(timeout_s=60)
def many_slow_readers(t: Trial) -> None:
    """Twenty clients that ask for 1 MiB and do not read; then they all read, and all get it.

    What usually goes wrong: waiting for writing is armed for one connection and not for another
    (or never disarmed: then the server spins, because a socket is nearly always writable).
    """
    t.needs_connections(21)
    t.needs_blocking_waits()
    subject = t.start()
    t.probe(subject)
    slow = [t.connect(subject, receive_buffer=16384, send_buffer=16384) for _ in range(20)]
    data = t.talk.bulk(MIB)
    taken = [peer.send_until_blocked(data, quiet_s=0.02) for peer in slow]
    _must_wait(subject)
    for peer, done in zip(slow, taken):
        peer.send(data[done:])
        t.talk.begin_bulk(peer)
        t.talk.check_bulk(peer.read(MIB), MIB)


@case("http", timeout_s=60)
def flood_behind_the_last(t: Trial) -> None:
    """A client asks for a reply and the end of the connection, reads nothing, and sends 16 MiB: the
    server keeps its memory, and serves others afterwards.

    What usually goes wrong: nothing that comes now will be answered, so nobody thinks of receiving
    no more of it. But the connection lives until the reply is out, which the client decides, and a
    library goes on collecting. (The last of the reply must be in the server's own hands, and not
    yet in the kernel's: with a large --buffer there is more of it.)
    """
    t.needs_memory_measured()
    t.needs_option("--buffer")
    subject = t.start("--buffer", str(MIB))
    t.probe(subject)
    room = _kernel_takes(t, subject)
    for size in (room + 64 * 1024, (room // MIB + 1) * MIB - 1024):
        before = subject.memory_bytes()
        with t.connect(subject, receive_buffer=4096) as peer:
            peer.send(head("GET", f"/bytes/{size}", "Connection: close"))
            subject.settle()
            with contextlib.suppress(Failed):  # it may break the connection off instead
                peer.send_until_blocked(bytes(BULK), quiet_s=_quiet_s(t))
            grown = subject.memory_bytes() - before
        if grown > GROWTH_BOUND + 2 * MIB:
            raise Failed(
                f"its memory grew by {grown / MIB:.1f} MiB while a client sent more behind its "
                f"last request (bound {GROWTH_BOUND / MIB:g} MiB and two buffers)"
            )
    t.probe(subject)


def _kernel_takes(t: Trial, subject: Subject) -> int:
    """Bytes of a reply that both sockets' buffers take from the server while nobody reads."""
    with t.connect(subject, receive_buffer=4096) as peer:
        peer.send(t.talk.bulk(BULK))
        subject.settle()
        with open("/proc/net/tcp", encoding="ascii") as rows:
            next(rows)
            found = [words for words in map(str.split, rows) if words[3] == "01"]
        mine = f":{peer.sock.getsockname()[1]:04X}", f":{subject.port:04X}"
        queues = [w[4].split(":") for w in found if w[1][-5:] in mine and w[2][-5:] in mine]
        return sum(int(n, 16) for queue in queues for n in queue)
