# SPDX-License-Identifier: MIT
"""Where things lie. Everything is found from the place of this file, never from the caller's
cwd."""
from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXPERIMENTS = ROOT / "harness" / "experiments"
SETS = ROOT / "harness" / "sets.toml"
TEMPLATES = ROOT / "harness" / "present" / "templates"


def build_dir() -> Path:
    """build/, or the directory TENK_BUILD names (for instance build/san-address-undefined)."""
    given = os.environ.get("TENK_BUILD")
    return Path(given).resolve() if given else ROOT / "build"


def from_root(text: str) -> str:
    """A path under the checkout as it is seen from there, anything else unchanged: a record is read
    on other machines, and where the checkout lay is nobody's business."""
    return text.removeprefix(f"{ROOT}/")


def servers_dir() -> Path:
    return build_dir() / "servers"


def loadgen_path() -> Path:
    return build_dir() / "loadgen" / "loadgen"


def results_dir() -> Path:
    return ROOT / "results"
