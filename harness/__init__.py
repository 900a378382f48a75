# SPDX-License-Identifier: MIT
"""tenk's harness: runs experiments, keeps every cell, and says which differences are real.

docs/harness.md is its manual; docs/methodology.md says why it measures the way it does.
"""
