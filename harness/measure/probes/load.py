# SPDX-License-Identifier: MIT
"""Nothing is asked: a cell of load alone, in an experiment whose other levels are probes."""
