#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""A zero byte is the end of the data.

caught by any_bytes, echo: .
"""
from reference import Server


class Broken(Server):
    def answer_echo(self, conn):
        conn.out += conn.inp.split(b"\0")[0]
        conn.inp.clear()


if __name__ == "__main__":
    Broken().main()
