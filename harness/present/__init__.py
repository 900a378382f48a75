# SPDX-License-Identifier: MIT
"""How it is said: console and reports."""
