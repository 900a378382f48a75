#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""It does not say how many it serves.

caught by describes_itself, echo: reason
"""
from reference import Server


class Broken(Server):
    def describe(self):
        return super().describe() | {"limits": {"reason": ""}}


if __name__ == "__main__":
    Broken().main()
