# SPDX-License-Identifier: MIT
"""Who listens on a TCP port of this machine: the sockets of /proc/net, and the processes that hold
them. And whether somebody takes a connection at a URL."""
from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import struct
from pathlib import Path
from urllib.parse import urlsplit

CONNECT_S = 3.0  # on this machine it takes no time; a host name may have to be looked up
LISTEN = "0A"  # TCP_LISTEN of the kernel's include/net/tcp_states.h
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def listening(port: int) -> bool:
    """Whether somebody listens on that TCP port of this machine. Nobody is connected to."""
    return bool(_sockets(port))


def owner(host: str, port: int) -> int:
    """The process that listens at that address of this machine, and whose children hold the socket,
    too, if others do; 0 where there is none, where several do not descend from one, or where it may
    not be seen (another user's, in another network namespace)."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return 0
    for *_, where in found:
        inodes = _bound_to(_plain(str(where[0])), port)
        holders = _holders(inodes)
        eldest = [pid for pid in holders if _parent(pid) not in holders]
        if len(eldest) == 1:
            return eldest[0]
    return 0


def port_of(url: str) -> int:
    """The port that a URL names or its scheme means; 0 of a UNIX socket."""
    parts = urlsplit(url)
    if parts.netloc.startswith("unix:"):
        return 0
    usual = {"http": 80, "memcached": 11211, "redis": 6379}
    return parts.port or usual.get(parts.scheme) or 0


def is_elsewhere(url: str) -> bool:
    """Whether a URL is on another machine. A name that is not found is nowhere."""
    parts = urlsplit(url)
    if parts.netloc.startswith("unix:"):
        return False
    try:
        found = socket.getaddrinfo(parts.hostname, port_of(url), type=socket.SOCK_STREAM)
    except OSError:
        return False
    addresses = [_plain(str(where[0])) for *_, where in found]
    return not any(one.is_loopback or _is_own(one) for one in addresses)


def unreachable(url: str) -> str:
    """Why nobody takes a connection there, in a few words; '' where somebody does."""
    parts = urlsplit(url)
    try:
        if parts.netloc.startswith("unix:"):
            with socket.socket(socket.AF_UNIX) as peer:
                peer.settimeout(CONNECT_S)
                peer.connect((parts.netloc.removeprefix("unix:") + parts.path).split(":")[0])
        else:
            socket.create_connection((parts.hostname, port_of(url)), CONNECT_S).close()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _bound_to(address: Address, port: int) -> set[str]:
    """The inodes of the sockets that are asked by who connects there: first those of that very
    address, then those of any address."""
    sockets = _sockets(port)
    exact = {inode for bound, inode in sockets if bound == address}
    if exact or not _is_own(address):
        return exact
    return {
        inode
        for bound, inode in sockets
        # One of IPv6 takes IPv4 as well, unless it has IPV6_V6ONLY.
        if bound.is_unspecified and bound.version >= address.version
    }


def _is_own(address: Address) -> bool:
    """Whether it is an address of this machine: only those can be bound to."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with contextlib.suppress(OSError), socket.socket(family) as probe:
        probe.bind((str(address), 0))
        return True
    return False


def _sockets(port: int) -> list[tuple[Address, str]]:
    """Address and inode of each socket that listens on that port."""
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
                words = line.split()
                bound, _, number = words[1].rpartition(":")
                if words[3] == LISTEN and int(number, 16) == port:
                    found.append((_address(bound), words[9]))
    return found


def _plain(text: str) -> Address:
    """Without the interface that an address of IPv6 may name."""
    return ipaddress.ip_address(text.split("%", 1)[0])


def _address(text: str) -> Address:
    """Words of 32 bits, each printed as the number that its bytes are on this machine."""
    words = [int(text[i : i + 8], 16) for i in range(0, len(text), 8)]
    found = ipaddress.ip_address(struct.pack(f"={len(words)}I", *words))
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def _holders(inodes: set[str]) -> set[int]:
    """The processes with one of these sockets open. The first process holds those that it opens for
    others (systemd's socket activation): it is not their server."""
    wanted = {f"socket:[{inode}]" for inode in inodes}
    found = set()
    for entry in Path("/proc").iterdir() if wanted else ():
        if not entry.name.isdigit() or entry.name == "1":
            continue
        with contextlib.suppress(OSError):
            for fd in os.scandir(entry / "fd"):
                with contextlib.suppress(OSError):
                    if os.readlink(fd.path) in wanted:
                        found.add(int(entry.name))
                        break
    return found


def _parent(pid: int) -> int:
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        return int(text.rpartition(")")[2].split()[1])
    return 0
