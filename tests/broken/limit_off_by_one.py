#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""The longest head it reads is a byte too short.

caught by http_oversized, http: the longest head
"""
from reference import Server


class Broken(Server):
    head_max = 8191


if __name__ == "__main__":
    Broken().main()
