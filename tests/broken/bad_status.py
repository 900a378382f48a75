#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""It ends with status 1.

caught by stop_idle, echo: exit status 1 instead of 0
"""
import sys

from reference import Server


class Broken(Server):
    def report(self):
        super().report()
        sys.stdout.flush()
        sys.exit(1)


if __name__ == "__main__":
    Broken().main()
