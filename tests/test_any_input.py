# SPDX-License-Identifier: MIT
"""What others wrote, spoilt in any way: read, or refused with the error that its reader documents."""
from __future__ import annotations

import base64
import copy
import json
import random
import shlex
import struct
import tomllib
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.design import guest
from harness.errors import EXIT_USAGE, UsageError
from harness.judge import hdr
from harness.measure import guest_host, models, targets
from harness.measure.process import ProcessError

CASES = 500
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 0.5, 1e308, 10**30, 10**400, float("nan"), float("inf")),
    *("", "inf", "x", "(", "[", "{port}", "'", "a\nb", "\0", "\udcff", "é", "memcached", "x" * 300),
    *([], [1], [None], ["x"], [[]], {}, {"a": 1}, [{"command": 1, "package": None}]),
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a document."""
    keys = value if isinstance(value, dict) else range(len(value))
    found = [(value, key) for key in keys]
    for key in keys:
        if isinstance(value[key], (dict, list)):
            found += places(value[key])
    return found


def spoilt(rng: random.Random, document: Any) -> Any:
    """A copy with one to three values replaced or gone."""
    document = copy.deepcopy(document)
    for _ in range(rng.randint(1, 3)):
        if not (all_places := places(document)):
            break
        container, key = rng.choice(all_places)
        if rng.random() < 0.8:
            container[key] = copy.deepcopy(rng.choice(ODD))
        else:
            del container[key]
    return document


def only(allowed: type[Exception], case: object, call: Callable[[], object]) -> bool:
    """Whether it is read; fails for any error but the allowed one, and for one that says nothing."""
    try:
        call()
    except allowed as error:
        assert str(error), f"{case!r}: refused without a word"
        return False
    except Exception as error:  # pylint: disable=broad-except
        pytest.fail(f"{case!r}: {error!r}")
    return True


def test_any_guest_is_read_or_refused_by_its_key() -> None:
    rng = random.Random("guests")
    right = [
        tomllib.loads((guest.GUESTS / name / guest.FILE).read_text(encoding="utf-8"))
        for name in guest.available()
    ]
    for one in right:
        guest.parse("right", one)
    read = 0
    for _ in range(CASES):
        one = spoilt(rng, rng.choice(right))
        read += only(ValueError, one, lambda one=one: usable(guest.parse("one", one)))
    assert 0 < read < CASES


def usable(one: guest.Guest) -> None:
    """Every field is what those who use it take it for."""
    texts = [one.summary, one.start, one.options, one.ready, one.limit_reason]
    texts += [*one.paths, *one.build, *one.prepare, *one.files, *one.protocols]
    texts += [word for need in one.needs for word in (need.command, need.package, need.probe)]
    assert all(isinstance(text, str) for text in texts), texts
    probes = [need.probe for need in one.needs if need.probe]
    for command in (one.start, *one.build, *one.prepare, *probes):
        assert shlex.split(command)
    most = one.max_connections
    assert most is None or (type(most) is int and most > 0), most


FOREIGN = (
    "url=http://127.0.0.1:80/,pid=1",
    "url=echo://[::1]:9",
    "url=http://unix:/run/x:/y",
    "cmd=node app.js {port}",
    "guest:asyncio -w 2",
)


DESCRIBED = {
    **{"name": "x", "summary": "s", "family": "readiness", "protocols": ["http", "echo"]},
    **{"limits": {"connections": 100, "reason": "r"}, "needs": [], "options": ["-w"]},
}


def test_any_description_of_a_server_is_read_or_calls_it_broken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = random.Random("descriptions")
    said = ["[" * 100_000, "", "null", "5", '{"protocols": [], "limits": {"connections": 1e999}}']
    said += [json.dumps(spoilt(rng, DESCRIBED)) for _ in range(CASES)]
    read = 0
    for text in said:
        monkeypatch.setattr(models, "_ask", lambda *_, text=text: (0, text, ""))
        only(AssertionError, text[:300], lambda: models.describe(Path("x")))
        one = models.describe(Path("x"))
        assert one.broken == bool(one.unavailable) and "\n" not in one.unavailable
        read += not one.broken
    assert 0 < read < CASES


def test_any_contender_is_named_or_refused_with_its_option() -> None:
    rng = random.Random("contenders")
    letters = "{}[]()%@:/?#,= \t\n\0'\"\\$-+0123456789azAZ\udcffé１"
    named = 0
    for _ in range(CASES):
        text = rng.choice(FOREIGN)
        for _ in range(rng.randint(0, 4)):
            at = rng.randrange(len(text) + 1)
            text = text[:at] + rng.choice((*letters, "")) + text[at + rng.randint(0, 2) :]
        named += only(UsageError, text, lambda text=text: callable_as(text))
    assert 0 < named < CASES


def callable_as(text: str) -> None:
    """What is taken can be called so."""
    if one := guest.parse_foreign(text, "SERVER"):
        words = dict(zip(one.words[::2], one.words[1::2]))
        assert shlex.split(words.get("--cmd", "x"))
        assert 0 < int(words.get("--pid", 1)) < 10**10


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--cmd", "x 'y {port}"],
            "--cmd: the command 'x 'y {port}' has a quote that is not closed",
        ),
        (["--cmd", " "], "--cmd: a command is empty"),
        (["--cmd", "x {port}", "--ready", "("], "--ready: missing )"),
    ],
)
def test_a_command_that_cannot_be_one_is_refused_in_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert guest_host.main(words) == EXIT_USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"guest: {said}")


def histogram(words: bytes) -> str:
    plain = struct.pack(">IIIIQQd", 0x1C849313, len(words), 0, 3, 1, 3600 * 10**9, 1.0) + words
    packed = zlib.compress(plain)
    return base64.b64encode(struct.pack(">II", 0x1C849314, len(packed)) + packed).decode("ascii")


def test_any_histogram_is_decoded_or_refused() -> None:
    rng = random.Random("histograms")
    assert hdr.decode(histogram(b"\x02"))[1].tolist() == [1]
    read = 0
    for _ in range(CASES):
        words = bytes(
            rng.choice((0, 1, 2, 3, 0x7F, 0x80, 0xFF, rng.randrange(256)))
            for _ in range(rng.randint(0, 24))
        )
        text = histogram(words)
        if rng.random() < 0.5:
            at = rng.randrange(len(text) + 1)
            text = text[:at] + rng.choice(("", "A", "=", "é", "\n", text)) + text[at + 1 :]
        read += only(ValueError, text, lambda text=text: hdr.percentiles([text], 10, (50, 99)))
    assert 0 < read < CASES


SLICE = {
    **{"target": 0, "round": 1, "warmup": False, "begin_ns": 1, "from_ns": 2, "to_ns": 3},
    **{"replies": 9, "failures": 0, "due": None, "server_cpu_ns": 5, "turn_replies": 9},
    **{"turn_cpu_ns": 6, "client_cpu_ns": 1, "client_spin_ns": 0, "client_delay_ns": 0},
    **{"steal_ns": 0, "foreign_cpu_ns": None, "idle_ns": 1, "idle_cpu_ns": 0},
    "latency": {"count": 9, "p50": 10, "p99": "inf"},
    "histogram": histogram(b"\x02"),
}
REASON = {"code": "lag", "status": "suspect", "text": "late"}
REPORT = {
    "targets": [
        {
            "verdict": {"status": "suspect", "reasons": [REASON]},
            "latency_ns": {"response": {"count": 9, "p50": 10, "p99": 20}},
        }
    ],
    "slices": [SLICE, SLICE],
}


def test_any_report_of_the_load_generator_is_read_or_refused() -> None:
    rng = random.Random("reports")
    assert len(targets.read(REPORT, ["a"]).slices) == 2
    read = 0
    for _ in range(CASES):
        # As it comes: through JSON, in which 1e999 is infinite.
        one = json.loads(json.dumps(spoilt(rng, REPORT)))
        read += only(ProcessError, one, lambda one=one: targets.read(one, ["a"]))
    assert 0 < read < CASES
