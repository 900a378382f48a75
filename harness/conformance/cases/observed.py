# SPDX-License-Identifier: MIT
"""Somebody else has a descriptor of the server's sockets, for a moment or for longer."""
from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import socket

from harness.conformance.core import case
from harness.conformance.outcome import Failed, NotApplicable
from harness.conformance.subject import Subject, wait_until
from harness.conformance.trial import Trial
from harness.measure import process

ORDER = 75

# The number of pidfd_getfd(2) on every architecture but Alpha; Linux 5.6. Python has no such call.
PIDFD_GETFD = 438
_libc = ctypes.CDLL(None, use_errno=True)


@case(once=True)
def held_socket(t: Trial) -> None:
    """A client leaves while somebody else holds the server's socket: the next one is served, and
    the server rests.

    Whoever reads /proc/PID/fd (ls, lsof, ss -p) holds each socket for a moment, a forked child for
    longer.

    What usually goes wrong: the server leaves it to close(2) to take a socket off its epoll list.
    What is on that list is not the descriptor but the open file, which lives on. So its last event
    comes again, with a pointer to a connection that is gone, or for ever. See EPOLL_CTL_DEL and the
    questions at the end of epoll(7).
    """
    t.needs_own_process()
    subject = t.start()
    t.probe(subject, "the first client")  # with it some open what they keep
    before = subject.descriptors()
    peer = t.connect(subject)
    t.talk.exchange(peer)
    with contextlib.closing(_hold(subject, peer.sock)):
        peer.close()
        if not wait_until(lambda: subject.descriptors() <= before, t.timeout_s):
            raise Failed("the client left, but the server did not close its socket")
        for i in range(3):
            t.probe(subject, f"client {i + 1} after one left whose socket somebody still holds")
        if not subject.never_waits:
            subject.must_rest("somebody still holds the socket of a client that has left")


def _hold(subject: Subject, client: socket.socket) -> socket.socket:
    """A descriptor of our own for the server's end of that client's connection."""
    wanted = client.getsockname()
    for pid in process.tree(subject.server_pid):
        with contextlib.suppress(ProcessLookupError):
            pidfd = os.pidfd_open(pid)
            try:
                if found := _held(pid, pidfd, wanted):
                    return found
            finally:
                os.close(pidfd)
    raise NotApplicable("no process of the server has the client's socket for others to take")


def _held(pid: int, pidfd: int, wanted: object) -> socket.socket | None:
    with contextlib.suppress(FileNotFoundError):
        for number in sorted(map(int, os.listdir(f"/proc/{pid}/fd"))):
            fd = _libc.syscall(PIDFD_GETFD, pidfd, number, 0)
            if fd < 0 and ctypes.get_errno() != errno.EBADF:  # it was closed meanwhile
                said = os.strerror(ctypes.get_errno())
                raise NotApplicable(f"pidfd_getfd of the server's descriptor {number}: {said}")
            if fd >= 0 and (found := _socket_to(fd, wanted)):
                return found
    return None


def _socket_to(fd: int, wanted: object) -> socket.socket | None:
    """The socket, if it is one that is connected to that address; else it is closed."""
    try:
        found = socket.socket(fileno=fd)
    except OSError:
        os.close(fd)
        return None
    with contextlib.suppress(OSError):
        if found.getpeername() == wanted:
            return found
    found.close()
    return None
