#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""It answers when it has seven bytes.

caught by byte_at_a_time, echo: .
"""
from reference import Server


class Broken(Server):
    def answer_echo(self, conn):
        n = len(conn.inp) // 7 * 7
        conn.out += conn.inp[:n]
        del conn.inp[:n]


if __name__ == "__main__":
    Broken().main()
