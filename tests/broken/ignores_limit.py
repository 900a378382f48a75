#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""-c is read and forgotten.

caught by connection_limit, echo: a fourth client must wait
"""
from reference import Server


class Broken(Server):
    def may_accept(self):
        return True


if __name__ == "__main__":
    Broken().main()
