#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""It prints no counters at the end.

caught by stop_idle, echo: line of counters
"""
from reference import Server


class Broken(Server):
    def report(self):
        pass


if __name__ == "__main__":
    Broken().main()
