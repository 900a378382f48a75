#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""A line that is too long is answered.

caught by rot13_line_lengths, rot13: too long
"""
from reference import Server


class Broken(Server):
    line_max = 20000


if __name__ == "__main__":
    Broken().main()
