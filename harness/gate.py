# SPDX-License-Identifier: MIT
"""No timing of a server that answers wrongly: what `tenk run` asks before it measures.

harness.conformance.gate, where it exists, is the judge. It takes the models to be measured and
returns one printable failure per broken promise. Without it, every model must at least answer one
request of each protocol in question with the right bytes and stop when told to.
"""
from __future__ import annotations

import codecs
import importlib
import socket
from collections.abc import Iterable, Sequence

from harness.models import Model
from harness.process import ProcessError, Server

HTTP_BODY = b"hello, tenk\n"
TIMEOUT_S = 5.0


def gate(models: Sequence[Model], protocols: Iterable[str]) -> list[str]:
    """What is wrong, one line each; empty when everything may be timed."""
    able = [model for model in models if not model.unavailable]
    try:
        conformance = importlib.import_module("harness.conformance")
    except ModuleNotFoundError as missing:
        if missing.name != "harness.conformance":
            raise
        return smoke(able, protocols)
    return [str(failure) for failure in conformance.gate(able)]


def smoke(models: Iterable[Model], protocols: Iterable[str]) -> list[str]:
    """One request per model and protocol that it speaks."""
    wanted = sorted(set(protocols))
    failures = []
    for model in models:
        for protocol in wanted:
            if protocol in model.protocols:
                problem = _one_request(model, protocol)
                if problem:
                    failures.append(f"{model.name}, {protocol}: {problem}")
    return failures


def _one_request(model: Model, protocol: str) -> str:
    request, answer = {
        "http": (b"GET / HTTP/1.1\r\nHost: tenk\r\n\r\n", HTTP_BODY),
        "echo": (b"tenk 0123456789\n", b"tenk 0123456789\n"),
        "rot13": (b"Hello, tenk\n", codecs.encode("Hello, tenk\n", "rot13").encode("ascii")),
    }[protocol]
    try:
        with Server([str(model.path), "-p", "0", "-P", protocol]) as server:
            with socket.create_connection(("127.0.0.1", server.port), TIMEOUT_S) as client:
                client.sendall(request)
                got = b""
                while not got.endswith(answer):
                    chunk = client.recv(65536)
                    if not chunk:
                        return f"closed after {got!r} instead of answering {answer!r}"
                    got += chunk
            if protocol == "http" and not got.startswith(b"HTTP/1.1 200 "):
                return f"status line {got.partition(b'%c' % 13)[0]!r} instead of HTTP/1.1 200"
            if protocol != "http" and got != answer:
                return f"answered {got!r} instead of {answer!r}"
            server.stop()
    except ProcessError as error:
        return str(error)
    except OSError as error:
        return f"no right answer within {TIMEOUT_S:g} s: {error}"
    return ""
