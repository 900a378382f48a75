# SPDX-License-Identifier: MIT
"""What is to be measured: experiment, load, grid, plan. It starts nothing."""
