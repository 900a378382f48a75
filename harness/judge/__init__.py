# SPDX-License-Identifier: MIT
"""What may be concluded: estimators, comparisons, claims. Pure functions."""
