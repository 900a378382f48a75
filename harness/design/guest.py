# SPDX-License-Identifier: MIT
"""A guest: a server that is not ours, as its model.toml (in a folder of servers/guests) says.

Nothing else depends on a guest; a missing runtime costs one line. docs/bring-your-own-server.md is
the manual of the file.
"""
from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from harness.design.load import OWN_PROTOCOLS
from harness.design.model import FAMILIES
from harness.errors import SetupError, UsageError
from harness.paths import ROOT

PREFIX = "guest:"
GUESTS = ROOT / "servers" / "guests"
FILE = "model.toml"
# Starts guests, commands and what runs already, and speaks for them as a model speaks for itself.
HOST = ROOT / "harness" / "guest"
# Filled in, in commands and in files: the port; how many CPUs the server may use; a folder of its
# own that is gone afterwards; the guest's folder; where what was built lies.
PLACES = ("port", "workers", "scratch", "dir", "build")
_KEYS = {
    "summary": str,
    "family": str,
    "protocols": list,
    "paths": list,
    "options": str,
    "build": list,
    "start": str,
    "ready": str,
    "prepare": list,
    "files": list,
    "needs": list,
    "max_connections": int,
    "limit_reason": str,
}
# What the models speak, whom a server of others is compared with.
PROTOCOLS = ("http", "echo", "rot13")
_NEEDS = "'needs' has command, package and perhaps probe, all of them texts"
_REQUIRED = ("summary", "family", "protocols", "start")


@dataclass(frozen=True)
class Need:
    """A command that must be there, and the Debian package that has it."""

    command: str
    package: str
    probe: str = ""  # a command that ends with status 0 if it is really there


@dataclass(frozen=True)
class Guest:
    """build: commands that make what `start` runs. ready: a regular expression for a line of its
    standard output, or "" for: its port is listened on. files: of its folder, copied into {scratch}
    with all places filled in. prepare: commands run once it is ready, before anybody else asks:
    what it is to hold. paths: what it serves of http, or keys. options: what was set, in words."""

    name: str
    summary: str
    family: str
    protocols: tuple[str, ...]
    start: str
    paths: tuple[str, ...] = ("/",)
    options: str = ""
    build: tuple[str, ...] = ()
    ready: str = ""
    prepare: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    needs: tuple[Need, ...] = ()
    max_connections: int | None = None
    limit_reason: str = ""

    @property
    def folder(self) -> Path:
        return GUESTS / self.name


def available() -> list[str]:
    """The names of all guests: every folder of servers/guests with a model.toml."""
    return sorted(path.parent.name for path in GUESTS.glob(f"*/{FILE}"))


def load(name: str) -> Guest:
    """A guest by name. Raises SetupError where its file is not as agreed."""
    path = GUESTS / name / FILE
    try:
        return parse(name, tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise SetupError(f"{path}: {error.strerror}") from None
    except ValueError as error:  # of TOML too
        raise SetupError(f"{path}: {error}") from None


def parse(name: str, found: Mapping[str, Any]) -> Guest:
    """What a model.toml says; ValueError names the key that is wrong."""
    for key, value in found.items():
        if key not in _KEYS:
            raise ValueError(f"'{key}' is not a key; keys: {', '.join(_KEYS)}")
        if not isinstance(value, _KEYS[key]) or isinstance(value, bool):
            raise ValueError(f"'{key}' is not a {_KEYS[key].__name__}")
        if isinstance(value, list) and key != "needs":
            if not all(isinstance(one, str) for one in value):
                raise ValueError(f"'{key}' is not a list of texts")
    for key in _REQUIRED:
        if not found.get(key):
            raise ValueError(f"'{key}' is missing")
    if found["family"] not in FAMILIES:
        raise ValueError(f"family '{found['family']}' is not one of {', '.join(FAMILIES)}")
    for one in found["protocols"]:
        if one not in (*PROTOCOLS, *OWN_PROTOCOLS):
            known = ", ".join((*PROTOCOLS, *OWN_PROTOCOLS))
            raise ValueError(f"protocol '{one}' is not one of {known}")
        if one in OWN_PROTOCOLS and len(found["protocols"]) > 1:
            raise ValueError(f"protocol '{one}' stands alone: no model speaks it")
    if found["protocols"] == ["memcached"] and len((found.get("paths") or ["/"])[0]) < 2:
        raise ValueError("'paths' has the key that memcached is asked for, as /key")
    if "{port}" not in found["start"] and not found.get("files"):
        raise ValueError("'start' has no {port}")
    if found.get("max_connections", 1) < 1:
        raise ValueError("'max_connections' is not a number from 1")
    try:
        re.compile(found.get("ready", ""))
    except re.error as error:
        raise ValueError(f"'ready' is not a regular expression: {error}") from None
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in found.items()
    }
    try:
        values["needs"] = tuple(Need(**need) for need in found.get("needs", ()))
    except TypeError:
        raise ValueError(_NEEDS) from None
    if not all(isinstance(text, str) for need in values["needs"] for text in astuple(need)):
        raise ValueError(_NEEDS)
    probes = [need.probe for need in values["needs"] if need.probe]
    for command in [found["start"], *found.get("build", []), *found.get("prepare", []), *probes]:
        check_command(command)
    return Guest(name=name, **values)


def check_command(text: str) -> None:
    """ValueError unless a command can be cut into words, of which there is one."""
    try:
        words = shlex.split(text)
    except ValueError:
        raise ValueError(f"the command '{text}' has a quote that is not closed") from None
    if not words:
        raise ValueError("a command is empty")


@dataclass(frozen=True)
class Foreign:
    """How somebody else's server is called. name: for tables; words: of HOST's command line.
    asked: the text it was asked for by."""

    name: str
    words: tuple[str, ...]
    options: tuple[str, ...] = ()
    asked: str = ""


def parse_foreign(text: str, option: str) -> Foreign | None:
    """'guest:nginx -w 2', 'cmd=node app.js {port}' or 'url=http://127.0.0.1:80/,pid=12'; None where
    it is none of them. UsageError, with the option's name, where it is not as it should be.
    """
    if text.startswith("cmd="):
        command = text.removeprefix("cmd=")
        if "{port}" not in command:
            raise UsageError(option, text, "a command with {port} in it: the port it listens on")
        try:
            check_command(command)
        except ValueError as error:
            raise UsageError(option, text, str(error)) from None
        return Foreign(command, ("--cmd", command), asked=text)
    if text.startswith("url="):
        url, comma, pid = text.removeprefix("url=").partition(",pid=")
        _check_url(url, option, text)
        if comma and not re.fullmatch("[1-9][0-9]{0,9}", pid):
            raise UsageError(option, text, "a process as ,pid=1234 after the URL")
        return Foreign(url, ("--url", url, *(("--pid", pid) if comma else ())), asked=text)
    if text.startswith(PREFIX):
        name, *options = text.removeprefix(PREFIX).split()
        if name not in available():
            raise UsageError(option, text, f"known guests: {', '.join(available())}")
        return Foreign(" ".join([PREFIX + name, *options]), (name,), tuple(options), asked=text)
    return None


def _check_url(url: str, option: str, text: str) -> None:
    try:
        parts = urlsplit(url)
        right = parts.scheme in PROTOCOLS and bool(parts.hostname or parts.netloc)
        right = right and (parts.netloc.startswith("unix:") or parts.port != 0)
    except ValueError:
        right = False
    if not right:
        allowed = f"a URL as http://127.0.0.1:8080/, of {', '.join(PROTOCOLS)}"
        raise UsageError(option, text, allowed)


def fill(text: str, places: Mapping[str, object]) -> str:
    """Put values into {port} and the others of PLACES; other braces stay as they are."""
    return re.sub(r"\{(" + "|".join(PLACES) + r")\}", lambda m: str(places.get(m[1], m[0])), text)
