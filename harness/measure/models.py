# SPDX-License-Identifier: MIT
"""The catalogue of server models: every executable in build/servers, asked with --describe."""
from __future__ import annotations

import contextlib
import fnmatch
import functools
import hashlib
import os
import shlex
import signal
import subprocess
from collections.abc import Container, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from harness import shape
from harness.design import guest, selection
from harness.design import source as sources
from harness.design.model import Model
from harness.errors import EXIT_USAGE, SetupError, UsageError
from harness.measure import listener
from harness.measure.process import task_state
from harness.paths import ROOT, servers_dir

EXIT_CANNOT_RUN_HERE = 77
DESCRIBE_S = 2.0  # to answer --describe; it takes a few milliseconds
BUILD_S = 300.0  # to make a guest's program, the first time
_PATIENCE = 10  # times that long for one that is not given a CPU
_AT_A_TIME = 8  # asked at the same time: one that hangs keeps no other waiting


def discover(directory: Path | None = None, only: Container[str] | None = None) -> list[Model]:
    """All models, or `only` those, by name. Raises SetupError when nothing is built.

    A binary whose source is gone is not a model; one that is older than its source is not asked.
    """
    where = directory or servers_dir()
    files = _binaries(where)
    ours = _is_ours(where)
    if only is not None:
        files = [path for path in files if path.name in only]
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        return list(pool.map(lambda path: _look_at(path, ours), files))


def names(directory: Path | None = None) -> list[str]:
    """The names of all models, none of which is asked anything. Raises SetupError as discover()."""
    return [path.name for path in _binaries(directory or servers_dir())]


def _is_ours(where: Path) -> bool:
    """Elsewhere the sources are not known."""
    return where.resolve().is_relative_to(ROOT / "build")


def _binaries(where: Path) -> list[Path]:
    files = sorted(p for p in where.glob("*") if p.is_file() and os.access(p, os.X_OK))
    if _is_ours(where):
        files = [path for path in files if source(path.name)]
    if not files:
        raise SetupError(f"no servers in {where}: run `make` first")
    return files


def source(name: str) -> Path | None:
    """The source of the model of that name in this checkout; None if there is none."""
    found = [path for ext in (".c", ".cc") if (path := ROOT / "servers" / (name + ext)).exists()]
    return found[0] if found else None


def _look_at(path: Path, ours: bool) -> Model:
    text = source(path.name) if ours else None
    if text is None:
        return describe(path)
    if text.stat().st_mtime <= path.stat().st_mtime:
        found = describe(path)
    else:
        why = f"the binary is older than {text.relative_to(ROOT)}: run `make`"
        found = Model(path.name, path, unavailable=why, broken=True, stale=True)
    if found.family:
        return found
    # One that cannot run here cannot say what it is; its file can.
    told = sources.read(text)
    return replace(found, family=told.family, summary=told.summary)


def refuse_stale(chosen: Iterable[Model]) -> None:
    """Raise SetupError if one of them is older than its source: its figures would be another's."""
    for model in chosen:
        if model.stale:
            raise SetupError(f"{model.name}: {model.unavailable}")


def choose(models: Iterable[Model], wanted: str | None) -> list[Model]:
    """The models that --models stands for (selection.HOW), in catalogue order, then those with
    options and the guests, as they were named; all for None.

    UsageError where one is named twice, or refuses its options. Raises SetupError if one is stale.
    """
    words = _guests_of(selection.words(selection.ALL if wanted is None else wanted))
    foreign = [one for word in words if (one := guest.parse_foreign(word, "--models"))]
    ours = [word for word in words if not guest.parse_foreign(word, "--models")]
    plain = [word for word in ours if len(word.split()) == 1]
    catalogue = list(models)
    chosen = selection.select(catalogue, plain, "--models") if plain or not words else []
    chosen += [set_up(catalogue, word, "--models") for word in ours if word not in plain]
    chosen += [describe_foreign(one) for one in foreign]
    names_of = [model.name for model in chosen]
    for name in names_of:
        if names_of.count(name) > 1:
            raise UsageError("--models", name, "name each once")
    refuse_stale(chosen)
    return chosen


def _guests_of(words: Sequence[str]) -> list[str]:
    """The words, with every guest that a glob as 'guest:*' stands for in its place. UsageError for
    one that stands for none."""
    found: list[str] = []
    for word in words:
        if not (word.startswith(guest.PREFIX) and any(c in word for c in "*?[")):
            found.append(word)
            continue
        known = [guest.PREFIX + name for name in guest.available()]
        named = [name for name in fnmatch.filter(known, word) if name not in words]
        if not fnmatch.filter(known, word):
            raise UsageError(
                "--models", word, f"it stands for no guest; there are {', '.join(known)}"
            )
        found += [name for name in named if name not in found]
    return found


def set_up(catalogue: Sequence[Model], word: str, option: str) -> Model:
    """ "thread_pool -w 32": a model that is always started with those options, and is called so in
    all tables. UsageError where there is no such model, or it refuses one of them."""
    name, options = selection.with_options(word, option)
    plain = next((model for model in catalogue if model.name == name), None)
    if plain is None:
        known = ", ".join(model.name for model in catalogue)
        raise UsageError(option, word, f"options are for one model: {known}")
    told = plain if plain.unavailable else describe(plain.path, options)
    return replace(told, name=" ".join([name, *options]), options=options)


def started_with(model: Model, options: str) -> Model:
    """The model as it describes itself with further options of a load, under its own name;
    unavailable, with the reason, where it does not heed one of them. A text without an option
    changes nothing."""
    words = tuple(shlex.split(options))
    if not words or model.unavailable:
        return model
    if model.is_attached:
        return replace(model, unavailable=f"runs already, so it cannot be given {options}")
    own = {_option(word) for word in model.options}
    twice = [_option(word) for word in words if _option(word) and _option(word) in own]
    if twice:
        return replace(model, unavailable=f"its name has {twice[0]}, and so has {options}")
    told = _describe_with(model.path, (*model.options, *words), model.words)
    if isinstance(told, str):
        return replace(model, unavailable=told)
    return replace(told, name=model.name, options=model.options)


@functools.lru_cache(maxsize=None)
def _describe_with(path: Path, options: tuple[str, ...], words: tuple[str, ...]) -> Model | str:
    """describe(), asked once for each; where it refuses an option, why, in its own words."""
    try:
        return describe(path, options, words)
    except UsageError as error:
        return str(error).partition("; ")[2].removeprefix(f"{path.name}: ")


def _option(word: str) -> str:
    """ "-w" of "-w20", "--nodelay" of "--nodelay=0", '' of a value."""
    if not word.startswith("-"):
        return ""
    return word.split("=")[0] if word.startswith("--") else word[:2]


def guests(only: Container[str] | None = None) -> list[Model]:
    """Every guest there is, or `only` those, by name; one that lacks something says what to
    install. Asking one starts its host and perhaps its runtime: a tenth of a second and more."""
    return [
        _told(describe(guest.HOST, words=(name,)), guest.PREFIX + name)
        for name in guest.available()
        if only is None or guest.PREFIX + name in only
    ]


def describe_foreign(one: guest.Foreign) -> Model:
    """A guest, a command or a server that runs, as its host describes it, under its name; what it
    needs is made, which may take a while the first time. SetupError as refuse_absent()."""
    found = _told(describe(guest.HOST, one.options, one.words), one.name)
    refuse_absent(found)
    return replace(made(found), called=one.asked)


def refuse_absent(model: Model) -> None:
    """SetupError where a server is to run already and does not, or not on this machine."""
    if not model.url:
        return
    if model.broken:
        # The host of guests has said it; how it was asked is nothing to the user.
        raise SetupError(f"{model.name}: {model.unavailable.rpartition('guest: ')[2]}")
    if listener.is_elsewhere(model.url):
        raise SetupError(
            f"{model.name}: {model.url} is on another machine: load only servers that are yours, or"
            " whose owner has agreed, and those with build/loadgen/loadgen --remote"
        )
    if why := listener.unreachable(model.url):
        raise SetupError(
            f"{model.name}: nobody answers at {model.url} ({why}): start the server first"
        )


def made(model: Model) -> Model:
    """A guest whose program is made, so that it starts at once; broken where it cannot be. Anybody
    else as he is."""
    if not model.is_guest or model.unavailable or model.words[0] not in guest.available():
        return model
    try:
        done = subprocess.run(
            [*model.argv, "--build"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=BUILD_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return replace(model, unavailable=f"not built within {BUILD_S:g} s", broken=True)
    if done.returncode:
        return replace(model, unavailable=_last_line(done.stderr) or "not built", broken=True)
    return model


def _told(model: Model, name: str) -> Model:
    """A guest under its name. Without its runtime it cannot say what it is; its file can."""
    if model.unavailable and model.words[0] in guest.available():
        told = guest.load(model.words[0])
        model = replace(model, family=told.family, summary=told.summary)
    return replace(model, name=name)


def describe(path: Path, options: Sequence[str] = (), words: tuple[str, ...] = ()) -> Model:
    """Ask one server what it is; one that cannot say so is listed as broken.

    words: what a guest's host is called with, before the options.

    options: what it is to be started with, which may change its limits. UsageError if it refuses
    them.
    """
    try:
        status, out, err = _ask(path, [*words, *options])
    except OSError as error:
        return _broken(path, str(error), words)
    except subprocess.TimeoutExpired:
        return _broken(path, f"no answer within {DESCRIBE_S:g} s", words)
    if status == EXIT_CANNOT_RUN_HERE:
        return Model(path.name, path, unavailable=_last_line(err) or "exit status 77", words=words)
    if status == EXIT_USAGE and options:
        raise UsageError(path.name, " ".join(options), _last_line(err))
    if status != 0:
        return _broken(path, f"exit {status}: {_last_line(err) or 'no message'}", words)
    try:
        said = shape.parse(out)
        limits = said.get("limits") or {}
        connections = limits.get("connections")
        return Model(
            name=path.name,
            path=path,
            summary=str(said.get("summary", "")),
            family=str(said.get("family", "")),
            protocols=tuple(said["protocols"]),
            max_connections=int(connections) if connections else None,
            limit_reason=str(limits.get("reason") or ""),
            describe=said,
            words=words,
        )
    except (ArithmeticError, ValueError, KeyError, TypeError, AttributeError) as error:
        return _broken(path, f"not as agreed: {error!r}", words)


def _broken(path: Path, why: str, words: tuple[str, ...]) -> Model:
    return Model(path.name, path, unavailable=f"--describe: {why}", broken=True, words=words)


def _ask(path: Path, options: Sequence[str]) -> tuple[int, str, str]:
    """Status, stdout and stderr of --describe. Raises OSError and TimeoutExpired, and leaves
    nothing running: not even a child that holds the pipes."""
    with subprocess.Popen(
        [str(path), *options, "--describe"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    ) as server:
        try:
            for _ in range(_PATIENCE):
                with contextlib.suppress(subprocess.TimeoutExpired):
                    out, err = server.communicate(timeout=DESCRIBE_S)
                    return server.returncode, out, err
                if not _is_starved(server.pid):
                    break
            raise subprocess.TimeoutExpired(str(path), DESCRIBE_S)
        except BaseException:
            os.killpg(server.pid, signal.SIGKILL)
            raise


def _is_starved(pid: int) -> bool:
    """It has waited for a CPU and hardly had one, or would still run: the machine is to blame. What
    it waited (the kernel's Documentation/scheduler/sched-stats.rst) is over, but made it late."""
    with contextlib.suppress(OSError, ValueError):
        ran_ns, waited_ns, *_ = map(int, Path(f"/proc/{pid}/schedstat").read_text("ascii").split())
        if waited_ns > DESCRIBE_S * 1e9 / 4:
            return ran_ns < DESCRIBE_S * 1e9
        return ran_ns < DESCRIBE_S * 1e9 / 4 and task_state(Path(f"/proc/{pid}")) in "RD"
    return False


def fingerprint(path: Path) -> str:
    """First 16 hex digits of the SHA-256 of a file: is this still the binary that was measured?"""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
