#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""What one receive returned is taken for a whole request.

caught by byte_at_a_time, http: .
caught by two_clients_interleaved, rot13: .
felled by receive_short, http: clients noticed
"""
from reference import Server


class Broken(Server):
    def answer(self, conn):
        super().answer(conn)
        conn.inp.clear()


if __name__ == "__main__":
    Broken().main()
