#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""An option that --help does not mention.

caught by helps, echo: -c is in
"""
import sys

from reference import Server


class Broken(Server):
    def parse(self, words):
        if list(words) == ["--help"]:
            print("-p -b -P --buffer --backlog --nodelay --describe")
            sys.exit(0)
        super().parse(words)


if __name__ == "__main__":
    Broken().main()
