# SPDX-License-Identifier: MIT
"""Shutting a process in: namespaces, a small file system of its own, a user of its own.

System calls that Python 3.11 has no function for are made through libc. All of it is done by a
process that was forked for that, before any foreign code runs in it.
"""
from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import resource
import socket
import struct
from collections.abc import Sequence
from pathlib import Path

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
NAMESPACES = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 32, 4096, 16384, 1 << 18
MNT_DETACH = 2
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4
_PR_CAPBSET_DROP, _CAPABILITY_VERSION_3 = 24, 0x20080522
_PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 36, 38
_SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41}
_SYS_LANDLOCK_CREATE, _SYS_LANDLOCK_ADD, _SYS_LANDLOCK_RESTRICT = 444, 445, 446
# Rights to files by the version of Landlock that knows them first: bits of <linux/landlock.h>.
_FILE_RIGHTS = {1: (1 << 13) - 1, 2: 1 << 13, 3: 1 << 14, 5: 1 << 15}
_EXECUTE, _READ_FILE, _READ_DIR = 1, 4, 8
_OF_A_FILE = _EXECUTE | 2 | _READ_FILE | 1 << 14 | 1 << 15  # what a rule for no directory may give
_SCOPE = 3  # no abstract sockets and no signals to the outside: version 6
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_SYSTEM = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "etc")
_DEVICES = ("null", "zero", "full", "random", "urandom")
TMP_BYTES = 128 << 20  # all that can be written to, in memory

_libc = ctypes.CDLL(None, use_errno=True)


def _held(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int, uid: int, gid: int) -> None:
    """New namespaces for this process, and for its children the PID namespace. With CLONE_NEWUSER,
    uid and gid stay what they are, and nobody else exists."""
    _held(_libc.unshare(flags), "unshare")
    if flags & CLONE_NEWUSER:
        Path("/proc/self/setgroups").write_text("deny", "ascii")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1", "ascii")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1", "ascii")


def die_with_parent(signal_number: int) -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0)


def adopt_orphans() -> None:
    """Descendants whose parent has ended become children of this process, whatever session or
    group they have put themselves into."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def loopback_up() -> None:
    """A new network namespace has 127.0.0.1, but it is down; and nothing else."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = fcntl.ioctl(sock, _SIOCGIFFLAGS, struct.pack("16sh22x", b"lo", 0))
        flags = struct.unpack_from("16sh", request)[1] | _IFF_UP
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", flags))


def _mount(source: str, target: Path, kind: str, flags: int, data: str = "") -> None:
    what = (source.encode(), str(target).encode(), kind.encode(), ctypes.c_ulong(flags))
    _held(_libc.mount(*what, data.encode()), f"mount {target}")


def small_root(stage: Path, readable: Sequence[Path], writable: Sequence[Path]) -> None:
    """Make `stage`, an empty directory, the root of all files, in a mount namespace of our own.

    In it: the system's programs and libraries, read only; /proc of the new PID namespace; a few
    devices; /tmp and /dev/shm in memory; and the directories given, each at its own place.
    """
    _mount("none", Path("/"), "none", MS_REC | MS_PRIVATE)
    _mount("tmpfs", stage, "tmpfs", MS_NOSUID | MS_NODEV, f"size={TMP_BYTES},mode=755")
    for name in _SYSTEM:
        path = Path("/") / name
        if path.is_symlink():
            (stage / name).symlink_to(os.readlink(path))
        elif path.is_dir():
            _bind(path, stage, True)
    (stage / "proc").mkdir()
    _mount("proc", stage / "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    (stage / "dev").mkdir()
    for name in _DEVICES:
        (stage / "dev" / name).touch()
        _mount(f"/dev/{name}", stage / "dev" / name, "none", MS_BIND)
    for place in (stage / "tmp", stage / "dev" / "shm"):
        place.mkdir()
        place.chmod(0o1777)
    for path in readable:
        _bind(path, stage, True)
    for path in writable:
        _bind(path, stage, False)
    os.chdir(stage)
    number = _SYS_PIVOT_ROOT[os.uname().machine]
    _held(_libc.syscall(number, b".", b"."), "pivot_root")  # the old root now lies on the new one
    _held(_libc.umount2(b".", MNT_DETACH), "umount")
    os.chdir("/")


def _bind(path: Path, stage: Path, read_only: bool) -> None:
    target = stage / str(path).lstrip("/")
    target.mkdir(parents=True, exist_ok=True)
    _mount(str(path), target, "none", MS_BIND | MS_REC)
    if read_only:
        flags = MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID
        try:
            _mount("none", target, "none", flags | MS_NODEV)
        except PermissionError:
            # In a user namespace the flags that the mount has cannot be taken away.
            _mount("none", target, "none", flags | _locked(path))


def _locked(path: Path) -> int:
    have = os.statvfs(path).f_flag
    pairs = ((os.ST_NODEV, MS_NODEV), (os.ST_NOEXEC, MS_NOEXEC), (os.ST_NOATIME, 1024))
    return sum(flag for seen, flag in pairs if have & seen) | (1 << 21 if have & 4096 else 0)


def landlock_version() -> int:
    """0 where the kernel has none, or has it switched off."""
    version = _libc.syscall(_SYS_LANDLOCK_CREATE, None, 0, 1)
    return max(0, int(version))


def confine(readable: Sequence[Path], writable: Sequence[Path]) -> None:
    """Where there are no namespaces: this process and all it starts reach the system's programs,
    /proc and these directories, by Landlock(7), and no other file; from Linux 6.12 they signal
    nobody else. After harden(), which it needs. Nobody's right is asked for. Raises OSError."""
    version = landlock_version()
    every = sum(rights for since, rights in _FILE_RIGHTS.items() if since <= version)
    scope = _SCOPE if version >= 6 else 0
    size = 8 if version < 4 else 16 if version < 6 else 24
    rules = _libc.syscall(_SYS_LANDLOCK_CREATE, struct.pack("QQQ", every, 0, scope)[:size], size, 0)
    if rules < 0:
        _held(rules, "landlock_create_ruleset")
    try:
        reading = _EXECUTE | _READ_FILE | _READ_DIR
        for path in [*(Path("/") / name for name in (*_SYSTEM, "proc")), *readable]:
            _allow(rules, path, reading)
        for path in [*(Path("/dev") / name for name in _DEVICES), Path("/dev/shm"), *writable]:
            _allow(rules, path, every)
        _held(_libc.syscall(_SYS_LANDLOCK_RESTRICT, rules, 0), "landlock_restrict_self")
    finally:
        os.close(rules)


def _allow(rules: int, path: Path, rights: int) -> None:
    if not path.exists():
        return
    descriptor = os.open(path, os.O_PATH)
    try:
        rule = struct.pack("=Qi", rights if path.is_dir() else rights & _OF_A_FILE, descriptor)
        _held(_libc.syscall(_SYS_LANDLOCK_ADD, rules, 1, rule, 0), f"landlock {path}")
    finally:
        os.close(descriptor)


def become(uid: int) -> None:
    """Another user for good: no groups, no capabilities. Raises OSError where that is not allowed.

    What may be changed by that user's other processes is not this one: it cannot be traced, and its
    files in /proc are root's.
    """
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def drop_capabilities() -> None:
    """No rights in our own user namespace, whoever we are in it: mounts stay as we made them. A
    program that is started gets none either, although it be that namespace's root."""
    for number in range(64):  # those the kernel does not know are refused
        _libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)
    header, none = struct.pack("Ii", _CAPABILITY_VERSION_3, 0), bytes(24)
    _held(_libc.capset(header, none), "capset")


def harden() -> None:
    """No programs with more rights than ours, and no looking into this process."""
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def limit(cpu_s: int, file_bytes: int, processes: int) -> None:
    """Resource limits of this process and all it starts; processes: of its user, threads
    included."""
    for what, most in (
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, processes),
    ):
        _, hard = resource.getrlimit(what)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(what, (most, most))
