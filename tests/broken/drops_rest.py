#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""What stands behind the first request in the buffer is thrown away.

caught by split_everywhere, rot13: .
caught by pipelined_burst, http: .
"""
from reference import Server


class Broken(Server):
    def answer_rot13(self, conn):
        end = conn.inp.find(b"\n") + 1
        conn.out += self.turn(conn.inp[:end])
        if end:
            conn.inp.clear()

    def answer_http(self, conn):
        super().answer_http(conn)
        if conn.out:
            conn.inp.clear()


if __name__ == "__main__":
    Broken().main()
