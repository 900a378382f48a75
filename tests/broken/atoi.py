#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""Numbers are read as atoi(3) reads them.

caught by options_out_of_range, echo: .
"""
import re

from reference import Server


class Broken(Server):
    def number(self, option, text, low, high):
        found = re.match(r"\s*-?\d+", text)
        return max(low, min(high, int(found[0]) if found else 0))


if __name__ == "__main__":
    Broken().main()
