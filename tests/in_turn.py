# SPDX-License-Identifier: MIT
"""Which of its protocols a model is tested with, where the case could take any of them.

What a case costs is mostly waiting and moving bytes, and three protocols cost three times as much.
They differ in servers/lib alone, which is the same code for all models; what differs by model is
how it receives, sends, accepts, ends and keeps its bounds. So `make test` tries

- the gate's cases (the quick part before every measurement) on every protocol of every model,
- cases of one protocol (http_*, rot13_*, any_bytes) on every model,
- every other case on every model in one protocol: protocols take turns from model to model and from
  case to case, so that each case meets each protocol on a third of the models, and each model each
  protocol in a third of its cases.

`make test-all` (TENK_EVERY_PROTOCOL=1), `make check` and `make sanitize` leave nothing out.
"""
from __future__ import annotations

import os
from collections.abc import Sequence

from harness.conformance.runner import Job

EVERY = "TENK_EVERY_PROTOCOL"


def chosen(jobs: Sequence[Job], names: Sequence[str]) -> list[Job]:
    """Those that are to be run, in their order. names: all models there are, also those that
    cannot run here, in an order that is always the same."""
    if os.environ.get(EVERY):
        return list(jobs)
    cases = list(dict.fromkeys(job.case.name for job in jobs))
    return [job for job in jobs if job.protocol == _turn(job, names, cases)]


def _turn(job: Job, names: Sequence[str], cases: Sequence[str]) -> str:
    if job.case.gate or job.case.once or job.case.protocols:
        return job.protocol
    protocols = sorted(job.model.protocols)
    at = names.index(job.model.name) + cases.index(job.case.name)
    return protocols[at % len(protocols)]
