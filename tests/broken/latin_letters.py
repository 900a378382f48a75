#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""It knows more letters than there are.

caught by rot13_letters_only, rot13: got
"""
from reference import Server


class Broken(Server):
    def turn(self, line):
        return bytes((b + 13) % 256 if b in range(192, 240) else b for b in super().turn(line))


if __name__ == "__main__":
    Broken().main()
