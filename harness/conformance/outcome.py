# SPDX-License-Identifier: MIT
"""How a case ends other than well: it failed, or it has no meaning for this model."""
from __future__ import annotations


class Failed(AssertionError):
    """The server did not keep a promise; the text says which, and what it did instead."""


class NotApplicable(Exception):
    """The case has no meaning for this model; the text says why, from what the model says of
    itself, so that the matrix can show it."""
