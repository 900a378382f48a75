# SPDX-License-Identifier: MIT
"""How a cell is measured: processes, placement, meters, system calls, the models built here."""
