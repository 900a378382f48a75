# SPDX-License-Identifier: MIT
"""Is a server a correct server? The conformance suite: every case on every model and protocol.

docs/conformance.md is its manual. `harness/tenk check` runs all of it; gate() is the quick part
that comes before every measurement.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.conformance.catalogue import discover
from harness.conformance.runner import FAIL, plan, run_all
from harness.errors import UsageError
from harness.design.model import Model
from harness.measure.models import discover as discover_models

__all__ = ["Failure", "gate"]


@dataclass(frozen=True)
class Failure:
    """A promise that a model did not keep."""

    model: str
    protocol: str
    case: str
    text: str

    def __str__(self) -> str:
        return f"{self.model}, {self.protocol}: {self.case}: {self.text}"


def gate(
    models: Sequence[Model | str], protocols: Sequence[str] = (), workers: int = 2
) -> list[Failure]:
    """What must not be wrong with a server that is to be measured; empty if nothing is.

    A few seconds for ten models. models: as discovered, or names. protocols: only those, if given.
    Models that cannot run here are passed over. Raises UsageError for a name that is none.
    """
    chosen = _resolve(models)
    cases = [case for case in discover() if case.gate]
    results = run_all(plan(chosen, cases, protocols), workers=workers)
    return [Failure(r.model, r.protocol, r.case, r.text) for r in results if r.outcome == FAIL]


def _resolve(models: Sequence[Model | str]) -> list[Model]:
    known = (
        {m.name: m for m in discover_models()} if any(isinstance(m, str) for m in models) else {}
    )
    chosen = []
    for model in models:
        if isinstance(model, Model):
            chosen.append(model)
        elif model in known:
            chosen.append(known[model])
        else:
            raise UsageError("model", model, f"known models: {', '.join(known)}")
    return chosen
