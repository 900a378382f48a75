#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""It reads heads and bodies of any size.

caught by http_oversized, http: .
"""
from reference import Server


class Broken(Server):
    head_max = 1 << 17
    body_max = 1 << 30


if __name__ == "__main__":
    Broken().main()
