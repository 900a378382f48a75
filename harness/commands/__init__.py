# SPDX-License-Identifier: MIT
"""The subcommands of tenk, one module each; harness/cli.py says what each must have."""
from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # argparse's own type: what parser.add_subparsers() returns.
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]
