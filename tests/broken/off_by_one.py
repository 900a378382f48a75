#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""The last byte of a full buffer is lost.

caught by smallest_buffer, echo: .
caught by odd_buffer, rot13: .
caught by odd_buffer, http: .
"""
from reference import Server


class Broken(Server):
    def answer(self, conn):
        if len(conn.inp) >= self.buffer:
            del conn.inp[-1:]
        super().answer(conn)


if __name__ == "__main__":
    Broken().main()
