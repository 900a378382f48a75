# SPDX-License-Identifier: MIT
"""Small checks of a fact, each a file: see harness/measure/probe.py."""
