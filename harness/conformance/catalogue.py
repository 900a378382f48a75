# SPDX-License-Identifier: MIT
"""All cases there are: every module in harness/conformance/cases is imported, none is listed."""
from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence

from harness.conformance import cases
from harness.conformance.core import Case, registered


def discover() -> Sequence[Case]:
    """All cases, in the order of their modules' names and of the functions in them."""
    for module in sorted(pkgutil.iter_modules(cases.__path__), key=lambda m: m.name):
        importlib.import_module(f"{cases.__name__}.{module.name}")
    return registered()
