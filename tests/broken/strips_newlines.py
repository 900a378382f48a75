#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""What was received is taken for a line of text, and the end of that line is not sent back.

caught by first_exchange, echo: got 11 of 16 bytes
"""
from reference import Server


class Broken(Server):
    def answer_echo(self, conn):
        conn.out += bytes(conn.inp).split(b"\0")[0].rstrip()
        conn.inp.clear()
        self.counted["requests"] += 1


if __name__ == "__main__":
    Broken().main()
