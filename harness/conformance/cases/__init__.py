# SPDX-License-Identifier: MIT
"""The cases, by subject. A new module here is found by itself."""
