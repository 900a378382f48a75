# SPDX-License-Identifier: MIT
"""SIGTERM: gone within two seconds, exit status 0, the counters, no orphan, the port free.

All of that is checked by Subject.finish(), after every case. These cases bring the server into the
states in which it is hard.
"""
from __future__ import annotations

import itertools
import signal
from collections.abc import Callable

from harness.conformance.core import case
from harness.conformance.subject import Subject
from harness.conformance.trial import Helper, Trial

ORDER = 30

MIB = 1 << 20


@case(once=True, gate=True)
def stop_idle(t: Trial) -> None:
    """SIGTERM to a server that waits for its first client; then one that waits for its second.

    What usually goes wrong: the handler only sets a flag, and the wait is restarted (SA_RESTART) or
    was about to begin: the flag is never looked at.
    """
    t.start().finish()  # at once: before it waits, or when it is about to
    for served in (False, True):
        subject = t.start()
        if served:
            t.probe(subject)
        subject.settle()
        subject.finish()


@case(once=True)
def stop_interrupt(t: Trial) -> None:
    """SIGINT (Ctrl-C) stops it like SIGTERM, and a second signal does no harm.

    What usually goes wrong: Ctrl-C goes to all processes of the terminal at once, children
    included; or the second signal finds a half-stopped server.
    """
    subject = t.start()
    t.probe(subject)
    subject.finish(signal.SIGINT)
    subject = t.start()
    peer = t.connect(subject)
    t.talk.exchange(peer)
    subject.pause()
    subject.send_signal(signal.SIGTERM)
    subject.send_signal(signal.SIGINT)
    subject.resume()
    subject.finish(told=True)


@case()
def stop_idle_clients(t: Trial) -> None:
    """SIGTERM with clients connected that say nothing: they see the connection end.

    What usually goes wrong: threads or children blocked in recv(2) are waited for (pthread_join,
    wait), and they wait for clients that have nothing to say.
    """
    count = 1 if not t.serves(20) else 20
    subject = t.start()
    peers = [t.connect(subject) for _ in range(count)]
    for i, peer in enumerate(peers):
        t.talk.exchange(peer, i)
    if t.talk.partial():
        peers[0].send(t.talk.partial())
    subject.finish()
    for peer in peers:
        peer.expect_gone("when it stops")


@case(timeout_s=60)
def stop_blocked_clients(t: Trial) -> None:
    """SIGTERM with clients that asked for megabytes and do not read.

    What usually goes wrong: a thread blocked in send(2), or a polite attempt to send everything
    first: such a client could keep the server alive for ever.
    """
    subject = t.start()
    data = t.talk.bulk(8 * MIB)
    for _ in range(1 if not t.serves(5) else 5):
        peer = t.connect(subject, receive_buffer=16384)
        peer.send_until_blocked(data, quiet_s=0.1)
    subject.settle(1.0)
    subject.finish()


@case()
def stop_waiting_clients(t: Trial) -> None:
    """SIGTERM with clients in the backlog that were never accepted: they are not left hanging.

    What usually goes wrong: a descriptor of the listening socket lives on in a child or a thread,
    so that the kernel goes on taking connections nobody will ever serve.
    """
    subject = t.start()
    t.probe(subject)
    subject.pause()
    peers = [t.connect(subject) for _ in range(10)]
    for i, peer in enumerate(peers):
        peer.send(t.talk.request(i))
    subject.send_signal(signal.SIGTERM)
    subject.resume()
    subject.finish(told=True)
    for peer in peers:
        peer.expect_gone("when it stops")


@case(timeout_s=60)
def stop_under_load(t: Trial) -> None:
    """SIGTERM while clients send and come and go as fast as they can, five times over.

    What usually goes wrong: a race: the signal comes between the look at the flag and the wait; a
    connection that is accepted during the stop is forgotten; a child is forked after the children
    were told to end.
    """
    for _ in range(5):
        subject = t.start()
        with Helper(lambda tell: _come_and_go(t, subject, tell)):
            subject.finish()


def _come_and_go(t: Trial, subject: Subject, tell: Callable[[], None]) -> None:
    for i in itertools.count():
        with t.connect(subject) as peer:
            burst = 20 if i % 2 else 1
            peer.send(b"".join(t.talk.request(k) for k in range(burst)))
            for k in range(burst):
                t.talk.check(peer, k)
        t.leave()
        if i >= 20:
            tell()


@case("http", once=True)
def stop_while_sleeping(t: Trial) -> None:
    """SIGTERM in the middle of /sleep and /work of half a second.

    What usually goes wrong: clock_nanosleep(2) is restarted after the signal, or a chain of
    pipelined sleeps is worked through to its end.
    """
    for target in ("sleep", "work"):
        subject = t.start()
        peer = t.connect(subject)
        t.talk.exchange(peer)
        peer.send(b"GET /%s/900000 HTTP/1.1\r\nHost: tenk\r\n\r\n" % target.encode() * 20)
        subject.busy(0.1)  # let it begin
        subject.finish()
