# SPDX-License-Identifier: MIT
"""More clients than there is room for, and as many as the model claims to serve."""
from __future__ import annotations

import resource
from collections.abc import Mapping

from harness.conformance.core import case
from harness.conformance.outcome import Failed, NotApplicable
from harness.conformance.peer import Peer
from harness.conformance.subject import Subject, wait_until
from harness.conformance.trial import Trial

ORDER = 80

CROWD = 300  # idle clients: more than any pool of threads should need


@case(once=True)
def connection_limit(t: Trial) -> None:
    """With -c 3, three clients are served; the others wait without cost until one leaves.

    What usually goes wrong: the listening socket is still watched at the limit, so that every wait
    returns at once and the server spins; or nothing makes it accept again when there is room.
    """
    t.needs_option("-c")
    t.needs_blocking_waits()
    subject = t.start("-c", "3")
    inside = [t.connect(subject) for _ in range(3)]
    for i, peer in enumerate(inside):
        t.talk.exchange(peer, i)
    outside = [t.connect(subject) for _ in range(3)]  # the kernel's backlog takes them
    for i, peer in enumerate(outside):
        peer.send(t.talk.request(i))
    early = [i for i, peer in enumerate(outside) if peer.answered_within(0 if i else 0.3)]
    if early:
        raise Failed(f"with -c 3 a fourth client must wait, but {len(early)} more were served")
    subject.must_rest("the connection limit is reached and clients wait")
    for i, peer in enumerate(inside):
        t.talk.exchange(peer, i)  # those inside do not suffer
    # Which of the clients comes next is the kernel's choice: there may be several backlogs.
    waiting = dict(enumerate(outside))
    for leaver in inside:
        leaver.close()
        served = _one_is_served(t, waiting)
        if len(served) != 1:
            raise Failed(
                f"no room after a client left the limit of 3, for none of {len(waiting)} that wait"
                if not served
                else f"one client left the limit of 3, and {len(served)} were let in"
            )
        i = served[0]
        t.talk.check(waiting.pop(i), i)


def _one_is_served(t: Trial, waiting: Mapping[int, Peer]) -> list[int]:
    """Which of them are answered: as soon as one is, and those that were too by then."""
    served: list[int] = []

    def look() -> bool:
        served[:] = [i for i, peer in waiting.items() if peer.answered_within(0)]
        return bool(served)

    wait_until(look, t.timeout_s)
    return served


@case(once=True)
def workers(t: Trial) -> None:
    """With -w 2 the model still serves: two clients at a time at the least.

    What usually goes wrong: the option is read and the default used; or a worker that has ended
    with its client is not there for the next.
    """
    t.needs_option("-w")
    subject = t.start("-w", "2")
    for _ in range(3):
        peers = [t.connect(subject) for _ in range(2)]
        for i, peer in enumerate(peers):
            t.talk.exchange(peer, i)
        for peer in peers:
            peer.close()
        t.probe(subject, "a client after others left")


@case(once=True)
def no_descriptors(t: Trial) -> None:
    """No descriptor is left (EMFILE): no spin, the clients inside are served, and those outside as
    soon as there are descriptors again.

    What usually goes wrong: accept(2) fails, the client stays in the backlog, the listening socket
    stays readable, and so the loop runs as fast as it can. Or the server exits; or an
    edge-triggered one never looks at its backlog again. See accept(2), and "The special problem of
    accept()ing when you can't" in the manual of libev.
    """
    t.needs_blocking_waits()
    subject = t.start()
    t.probe(subject)
    inside = [t.connect(subject) for _ in range(3 if t.serves(8) else 0)]
    for i, peer in enumerate(inside):
        t.talk.exchange(peer, i)
    subject.settle()
    # No number below this is free: stdin, stdout, stderr and the listening socket have them. (Not
    # fewer: poll(2) refuses more entries than that with EINVAL, and there are four to wait for.)
    before = subject.limit_descriptors(4)
    outside = [_first_outside(t, subject)]
    outside += [t.connect(subject) for _ in range(5 if t.serves(10) else 0)]
    for i, peer in enumerate(outside[1:], 1):
        peer.send(t.talk.request(i))
    subject.must_rest("no descriptor is left and clients wait")
    for i, peer in enumerate(inside):
        t.talk.exchange(peer, i)
    if not subject.alive():
        raise Failed("it ended when no descriptor was left")
    subject.restore_descriptors(before)
    for i, peer in enumerate(outside):
        try:
            t.talk.check(peer, i)
        except Failed as failed:
            raise Failed(f"descriptors are there again, but: {failed}") from None


def _first_outside(t: Trial, subject: Subject) -> Peer:
    """The first client that waits. The kernel sets a descriptor aside before it waits in accept(2),
    so calls that were waiting when the limit fell still succeed, one for each thread."""
    for _ in range(300):
        peer = t.connect(subject)
        peer.send(t.talk.request(0))
        if not peer.answered_within(0.3 * t.conditions.patience):
            return peer
        t.talk.check(peer, 0)
        if not _takes_descriptors(t, subject, peer):
            raise NotApplicable("connections take no descriptor of any process")
        peer.close()
    raise Failed("300 clients were served, one after the other, without a descriptor for any")


def _takes_descriptors(t: Trial, subject: Subject, served: Peer) -> bool:
    """Whether the server has fewer descriptors, in all its processes, when a client that it serves
    has left. (The table of a ring of io_uring, for one, holds sockets that have none.)"""
    t.talk.exchange(served)
    before = subject.descriptors()
    served.half_close()
    served.expect_end()
    return wait_until(lambda: subject.descriptors() < before, 1.0 * t.conditions.patience)


@case(once=True)
def descriptors_freed(t: Trial) -> None:
    """No descriptor is left, then clients leave: those that waited are served, without any help.

    What usually goes wrong: accepting was given up when EMFILE came, and only a new client would
    wake the server up again; the ones that are already in the backlog starve.
    """
    t.needs_connections(10)
    subject = t.start()
    inside = []
    used = []
    for i in range(4):
        inside.append(t.connect(subject))
        t.talk.exchange(inside[i], i)
        used.append(len(subject.own_descriptors()))
    if used[3] < used[0] + 3:
        raise NotApplicable("connections take no descriptors of the first process")
    subject.settle()
    subject.limit_descriptors(max(subject.own_descriptors()) + 1)
    outside = [t.connect(subject) for _ in range(2)]
    for i, peer in enumerate(outside):
        peer.send(t.talk.request(i))
    wait_until(lambda: outside[-1].answered_within(0), 0.2)
    for peer in inside:
        peer.close()
    for i, peer in enumerate(outside):
        try:
            t.talk.check(peer, i)
        except Failed as failed:
            raise Failed(f"four descriptors were freed, but: {failed}") from None


@case(once=True, timeout_s=60)
def idle_clients(t: Trial) -> None:
    """Idle clients cost room only where the model says so.

    A model without a small limit serves the next client beside 300 idle ones. One with a limit N
    (limits.connections) starves client N + 1 as documented, and serves it when another leaves.

    What usually goes wrong: a pool of threads, each bound to a connection for as long as that
    lasts, is thought to scale because requests are short. Keep-alive makes connections long.
    """
    limit = t.limit
    crowd = CROWD if limit is None or limit > 2000 else limit
    subject = t.start()
    idle = [t.connect(subject) for _ in range(crowd)]
    for i in {0, crowd // 2, crowd - 1}:
        t.talk.exchange(idle[i], i)
    late = t.connect(subject)
    late.send(t.talk.request(3))
    if crowd == limit:
        late.expect_silence(
            0.3, f"it says that it serves {limit} at a time, but served {limit + 1}"
        )
        for i, peer in enumerate(idle):
            t.talk.exchange(peer, i)
        idle[0].close()
    try:
        t.talk.check(late, 3)
    except Failed as failed:
        beside = "after one left" if crowd == limit else f"beside {crowd} idle clients"
        raise Failed(f"a new client starves {beside}: {failed}") from None


@case(once=True, heavy=True, timeout_s=240)
def ten_thousand(t: Trial) -> None:
    """10,000 clients connected at once are all served, twice, where the model claims to.

    What usually goes wrong: a table of fixed size; FD_SETSIZE; a limit of threads or processes; a
    backlog that overflows silently (clients then wait a second for their SYN to be sent again).
    """
    count = t.conditions.connections
    t.needs_connections(count)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < count + 100:
        raise NotApplicable(f"the descriptor limit here is {most} (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    subject = t.start()
    crowd = []
    for i in range(count):
        try:
            crowd.append(t.connect(subject))
        except Failed as failed:
            raise Failed(f"client {i + 1} of {count}: {failed}") from None
    for turn in range(2):
        for i, peer in enumerate(crowd):
            peer.send(t.talk.request(i + turn))
        for i, peer in enumerate(crowd):
            try:
                t.talk.check(peer, i + turn)
            except Failed as failed:
                raise Failed(f"client {i + 1} of {count}, round {turn + 1}: {failed}") from None
    t.leave()
    # The stop is judged by other cases; here thousands of threads may still be on their way out.
    subject.settle(t.timeout_s)
    counters = subject.finish()
    if counters["connections"] != count:
        raise Failed(f"counted {counters['connections']} connections instead of {count}")
