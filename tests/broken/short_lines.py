#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""The longest line is a byte too short, because the newline was counted.

caught by rot13_line_lengths, rot13: 16384
"""
from reference import Server


class Broken(Server):
    line_max = 16383


if __name__ == "__main__":
    Broken().main()
