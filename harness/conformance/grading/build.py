# SPDX-License-Identifier: MIT
"""Compiling a submission: in a directory of its own, within bounds, with the project's flags.

A submission is one .c or .cc file, or a directory whose .c and .cc files make one program (those at
its top; where there are none, those in its src/). It may use servers/lib, or have a main() of its
own: then nothing of servers/lib is linked. The compiler runs shut in like the program itself.
"""
from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import errors, paths
from harness.conformance.grading import sandbox
from harness.conformance.grading.sandbox import Bounds, Means

SUFFIXES = (".c", ".cc")
HEADERS = (".h", ".hh", ".hpp")
BOUNDS = Bounds(seconds=90, processes=64, memory_bytes=2 << 30, file_bytes=64 << 20)
SANITIZED = "address,undefined"
MOST_SOURCE = 1 << 20  # bytes of one file
MOST_FILES = 200  # of one submission
MOST_SAID = 20_000  # characters of the compiler's messages that are kept
_PACKAGE = re.compile(r"tenk-needs: *(\w[\w.+-]*)")


@dataclass(frozen=True)
class Workshop:
    """The private directories of one submission, all below one that is removed at the end.

    stage: for the sandbox; src: what the student wrote; out: where the compiler writes; bin: the
    program under the name it gives itself, which the student's code cannot write to.
    """

    root: Path

    @property
    def stage(self) -> Path:
        return self.root / "stage"

    @property
    def src(self) -> Path:
        return self.root / "src"

    @property
    def out(self) -> Path:
        return self.root / "out"

    @property
    def bin(self) -> Path:
        return self.root / "bin"

    def lay_out(self, means: Means) -> None:
        # Another user must get in; where there is none, nobody else is to look in.
        self.root.chmod(0o755 if means.own_user else 0o700)
        for path in (self.stage, self.src, self.out, self.bin):
            path.mkdir()
            path.chmod(0o755)  # whatever the teacher's umask says
        sandbox.own(self.out, means)


@dataclass(frozen=True)
class Compiled:
    """ok: there is a program at `path`; said: the compiler's messages; warnings: how many of them
    are warnings."""

    ok: bool
    path: Path
    said: str
    warnings: int


@dataclass(frozen=True)
class Recipe:
    """What `make how-to-compile` says: the commands, as words, relative to the checkout."""

    c: list[str]
    cxx: list[str]
    link: list[str]
    libs: list[str]


def sources(submission: Path) -> list[Path]:
    """The files to be compiled; none where there are none."""
    if not submission.is_dir():
        return [submission] if _is_taken(submission) else []
    for folder in (submission, submission / "src"):
        found = [path for path in _plain_files(folder) if path.suffix in SUFFIXES]
        if found:
            return found
    return []


def _plain_files(folder: Path) -> list[Path]:
    """Files that lie there themselves. A link may lead to what the student must not read."""
    if not folder.is_dir() or (folder.is_symlink() and folder.name in ("src", "include")):
        return []
    return sorted(path for path in folder.iterdir() if not path.is_symlink() and _is_taken(path))[
        :MOST_FILES
    ]


def _is_taken(path: Path) -> bool:
    return path.is_file() and path.stat().st_size <= MOST_SOURCE


def recipe(sanitizers: str = "") -> Recipe:
    """Build what every submission is linked with, and learn how. Raises SetupError.

    A warning is no error of a student's, whatever WERROR in the environment says of ours.
    """
    command = ["make", "-s", "--no-print-directory", "how-to-compile"]
    with _alone(paths.ROOT / "build" / ".how-to-compile.lock"):
        done = subprocess.run(
            command + ([f"SAN={sanitizers}"] if sanitizers else []),
            cwd=paths.ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    rows = dict(line.partition(" ")[::2] for line in done.stdout.splitlines())
    if done.returncode or not {"c", "c++", "link", "libs"} <= set(rows):
        why = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise errors.SetupError(f"servers/lib cannot be built: {why}; run `make` to see it all")
    words = {name: [word for word in rows[name].split() if word != "-Werror"] for name in rows}
    return Recipe(*(words[name] for name in ("c", "c++", "link", "libs")))


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Two at a time would make the same library at once; who may not write there makes nothing."""
    with contextlib.ExitStack() as held:
        with contextlib.suppress(PermissionError):
            lock.parent.mkdir(exist_ok=True)
            file = held.enter_context(open(lock, "w", encoding="ascii"))
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def taken(submission: Path, include: Path | None) -> tuple[list[Path], list[Path]]:
    """What is taken of a submission: its sources, and headers, the teacher's before its own."""
    folders = [include] if include else []
    if submission.is_dir():
        folders += [submission, submission / "src", submission / "include"]
    headers = [path for one in folders for path in _plain_files(one) if path.suffix in HEADERS]
    return sources(submission), headers


def take(submission: Path, include: Path | None, shop: Workshop) -> list[Path]:
    """Copy them into the workshop; the sources there."""
    theirs, headers = taken(submission, include)
    for header in headers:
        _copy(header, shop.src)
    return [_copy(path, shop.src) for path in theirs]


def _copy(path: Path, folder: Path) -> Path:
    copy = Path(shutil.copyfile(path, folder / path.name))
    copy.chmod(0o644)
    return copy


def must_be_readable(how: Recipe, shop: Workshop, means: Means) -> None:
    """Raises SetupError where the compiler, as the user that students' code runs as, could not read
    what of ours it needs: that would be told as a student's mistake."""
    if not means.own_user:
        return
    folders = _ours(how)
    files = [str(path) for folder in folders for path in folder.iterdir() if path.is_file()]
    ended = sandbox.run(
        lambda: [path for path in files if not os.access(path, os.R_OK)],
        BOUNDS,
        means,
        shop.stage,
        readable=folders,
    )
    if ended.answer:
        raise errors.SetupError(
            f"{ended.answer[0]} cannot be read by the user that students' code runs as; "
            f"run `chmod -R a+rX {paths.ROOT}`, in a directory that everybody may go into"
        )


def _ours(how: Recipe) -> list[Path]:
    """The directories of this checkout that a submission is compiled with."""
    libs = {(paths.ROOT / lib).parent for lib in how.libs}
    return [paths.ROOT / "servers" / "lib", paths.ROOT / "common", *sorted(libs)]


def compile_(files: Sequence[Path], how: Recipe, shop: Workshop, means: Means) -> Compiled:
    """Make one program of them. What the compiler says names the student's files as they are."""
    program = shop.out / "server"
    program.unlink(missing_ok=True)
    cxx = any(path.suffix == ".cc" for path in files)
    text = "".join(path.read_text(encoding="utf-8", errors="replace") for path in files)
    packages = sorted(set(_PACKAGE.findall(text)))
    command = [
        *(how.cxx if cxx else how.c),
        "-fdiagnostics-color=never",
        f"-I{shop.src}",
        *_package("--cflags", packages),
        *map(str, files),
        "-o",
        str(program),
        *how.link,
        *how.libs,
        *_package("--libs", packages),
        "-ljansson",
        "-lm",
    ]
    ended = sandbox.run(
        lambda: _run(command),
        BOUNDS,
        means,
        shop.stage,
        readable=[shop.src, *_ours(how)],
        writable=[shop.out],
    )
    if ended.answer is None:
        bound = ", ".join(ended.exceeded) or ended.fault or "it was killed"
        return Compiled(False, program, f"the compiler met a bound: {bound}", 0)
    status, said = ended.answer
    said = said.replace(f"{shop.src}/", "").replace(f"{shop.out}/", "")[:MOST_SAID]
    if status and ended.exceeded:
        said = f"the compiler met a bound: {', '.join(ended.exceeded)}\n{said}"
    ok = status == 0 and program.is_file() and not program.is_symlink()
    return Compiled(ok, program, said.strip(), said.count(" warning: "))


def _run(command: Sequence[str]) -> tuple[int, str]:
    done = subprocess.run(
        command,
        cwd=paths.ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    return done.returncode, done.stderr[: 4 * MOST_SAID].decode(errors="replace")


def _package(option: str, packages: Sequence[str]) -> list[str]:
    if not packages:
        return []
    done = subprocess.run(
        ["pkg-config", option, *packages], capture_output=True, text=True, check=False
    )
    return done.stdout.split()
