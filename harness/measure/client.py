# SPDX-License-Identifier: MIT
"""What of a load becomes options of the load generator, with one server as with several."""
from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from harness.design.load import Load


def options(load: Load, requests: Path) -> list[str]:
    """Everything but loop, connections and workers, which go by the arrangement. requests: where
    asked_for() puts the load's mix."""
    words = ["-T", f"{load.timeout_s:g}s"]
    usual = Load()
    for option, value, default in (
        ("--pipeline", load.pipeline, usual.pipeline),
        ("--requests-per-connection", load.requests_per_connection, 0),
        ("--close", load.close, usual.close),
        ("--size", load.size, usual.size),
        ("--idle", load.idle, 0),
        ("--silent", load.silent, 0),
        ("--slow-readers", load.slow_readers, 0),
        ("--slow-writers", load.slow_writers, 0),
        ("--short-lived", load.short_lived, 0),
    ):
        if value != default:
            words += [option, str(value)]
    if load.slow_readers or load.slow_writers:
        words += ["--slow-rate", str(load.slow_rate)]
    if load.stamps != "none":
        words += ["--stamps", "kernel"]
    if load.connect_rate:
        words += ["--connect-rate", str(load.connect_rate)]
    if load.connect_ahead:
        words += ["--connect-ahead", str(load.connect_ahead)]
    if load.mix:
        words += ["--requests", str(requests)]
    return words


@contextlib.contextmanager
def asked_for(load: Load, requests: Path) -> Iterator[None]:
    """The file `requests` has the load's mix, if it has one, as long as this lasts. OSError where
    it cannot be written."""
    if not load.mix:
        yield
        return
    requests.write_text(load.mix_lines, encoding="utf-8")
    try:
        yield
    finally:
        requests.unlink(missing_ok=True)
