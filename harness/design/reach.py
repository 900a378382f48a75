# SPDX-License-Identifier: MIT
"""How many connections can be open on a machine at a time, both ends of each on it, and what stops
more: pure functions of what the machine says of itself. harness.measure.reach asks it."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# Descriptors a process needs beside its connections.
SPARE_DESCRIPTORS = 64
# The load generator's: -t goes so far, and it takes so many 127.0.0.x by itself; of the ports of
# each it uses two fifths, because connect(2) gets slow when half of them are taken.
CLIENT_WORKERS = 256
SOURCE_ADDRESSES = 250
PORTS_NUMERATOR, PORTS_DENOMINATOR = 2, 5
# What a connection that says nothing takes, both ends: two struct tcp_sock, inodes, files, dentries
# and epoll items of the kernel make some 9.5 KiB on Linux 6, our two programs less than 1 KiB.
BYTES_PER_CONNECTION = 12 * 1024
# Of the memory that is free, so much may be taken: the rest is for everybody else.
MEMORY_SHARE = 0.8
# An epoll item of the kernel for each end; an open file for each end.
ENDS = 2
# Open files of the machine that are left to other programs.
SPARE_FILES = 10_000
SPARE_PROCESSES = 500


@dataclass(frozen=True)
class Machine:
    """What bounds connections on a machine; None where its kernel does not say, or does not bound.

    descriptors: the hard limit of a process. nr_open: the highest that limit can be set to.
    files: open files of the whole machine, now and at most. memory_bytes: what programs can still
    have. processes: how many more may be started. conntrack: tracked now, and at most, where the
    kernel tracks connections. epoll_watches: of a user (fs.epoll.max_user_watches).
    """

    descriptors: int
    nr_open: int | None
    files: tuple[int, int] | None
    ports: tuple[int, int] | None
    memory_bytes: int
    memory_of: str  # "the machine" or "the control group"
    processes: int | None
    conntrack: tuple[int, int] | None
    epoll_watches: int | None


@dataclass(frozen=True)
class Bound:
    """What stops a machine at so many connections: its name and value, and what raises it."""

    connections: int
    found: str
    remedy: str


def per_client_worker(descriptors: int) -> int:
    """How many connections one worker of the load generator can hold."""
    return max(1, descriptors - SPARE_DESCRIPTORS)


def client_workers(total: int, descriptors: int) -> int:
    """With fewer workers the load generator has not got the descriptors for `total` connections."""
    return -(-total // per_client_worker(descriptors))


def client_most(descriptors: int, active: int) -> int:
    """How many connections the load generator can hold: each worker has an active one."""
    return per_client_worker(descriptors) * min(CLIENT_WORKERS, active)


def one_process(machine: Machine) -> Bound:
    """How far a server of one process goes."""
    n = machine.descriptors
    return Bound(
        per_client_worker(n),
        f"one server process may have {n} descriptors",
        "a server of several processes (prefork_reuseport), or as root:"
        f" ulimit -Hn {_higher(machine)}",
    )


def bounds(machine: Machine) -> list[Bound]:
    """What stops a server of many processes and its client here, the tightest first."""
    found = [_client(machine), _memory(machine)]
    for bound in (_files(machine), _ports(machine), _conntrack(machine), _watches(machine)):
        if bound is not None:
            found.append(bound)
    if machine.processes is not None:
        found.append(_processes(machine, machine.processes))
    return sorted(found, key=lambda bound: bound.connections)


def why_not(total: int, known: Sequence[Bound]) -> str:
    """Why a machine with these bounds, tightest first, cannot hold `total` connections, or ''."""
    if not known or total <= known[0].connections:
        return ""
    first = known[0]
    return (
        f"{total} connections: this machine goes to about {first.connections}"
        f" ({first.found}; {first.remedy})"
    )


def _higher(machine: Machine) -> int:
    """A descriptor limit worth asking for: the highest there can be, up to a million."""
    return min(machine.nr_open or 1 << 20, 1 << 20)


def _client(machine: Machine) -> Bound:
    return Bound(
        client_most(machine.descriptors, CLIENT_WORKERS),
        f"{machine.descriptors} descriptors in each of at most {CLIENT_WORKERS} client processes",
        f"as root: ulimit -Hn {_higher(machine)}",
    )


def _memory(machine: Machine) -> Bound:
    can = int(machine.memory_bytes * MEMORY_SHARE) // BYTES_PER_CONNECTION
    return Bound(
        can,
        f"{machine.memory_bytes / 2**30:.1f} GiB of memory free in {machine.memory_of}, of which"
        f" {100 * MEMORY_SHARE:g} % are for connections of {BYTES_PER_CONNECTION // 1024} KiB, both"
        " ends",
        "end other programs, or take a machine with more memory",
    )


def _files(machine: Machine) -> Bound | None:
    if machine.files is None:
        return None
    now, most = machine.files
    return Bound(
        max(0, most - now - SPARE_FILES) // ENDS,
        f"fs.file-max = {most}, of which {now} are open; a connection has two",
        f"sysctl -w fs.file-max={max(4_000_000, 2 * most)}",
    )


def _ports(machine: Machine) -> Bound | None:
    if machine.ports is None:
        return None
    first, last = machine.ports
    each = (last - first + 1) * PORTS_NUMERATOR // PORTS_DENOMINATOR
    return Bound(
        each * SOURCE_ADDRESSES,
        f"{last - first + 1} local ports, of which two fifths are used, with each of"
        f" {SOURCE_ADDRESSES} source addresses",
        'sysctl -w net.ipv4.ip_local_port_range="15000 60999"',
    )


def _conntrack(machine: Machine) -> Bound | None:
    if machine.conntrack is None or machine.conntrack[0] == 0:
        return None
    now, most = machine.conntrack
    return Bound(
        max(0, most - now),
        f"connection tracking: {most} entries, {now} in use",
        f"sysctl -w net.netfilter.nf_conntrack_max={max(2_000_000, 2 * most)}, or NOTRACK for lo"
        " (see above)",
    )


def _watches(machine: Machine) -> Bound | None:
    if machine.epoll_watches is None:
        return None
    return Bound(
        machine.epoll_watches // ENDS,
        f"fs.epoll.max_user_watches = {machine.epoll_watches}; a connection takes two",
        f"sysctl -w fs.epoll.max_user_watches={2 * machine.epoll_watches}",
    )


def _processes(machine: Machine, free: int) -> Bound:
    pairs = max(0, free - SPARE_PROCESSES) // 2
    return Bound(
        pairs * per_client_worker(machine.descriptors),
        f"{free} more processes, half of them the client's, of {machine.descriptors} descriptors",
        "sysctl -w kernel.pid_max=4194304; raise pids.max of the control group",
    )
