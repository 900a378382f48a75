#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""What is there at the end of the input is answered as if it were whole.

caught by half_close_in_a_request, rot13: .
"""
from reference import Server


class Broken(Server):
    def at_end(self, conn):
        conn.sock.send(self.turn(conn.inp))
        self.drop(conn)


if __name__ == "__main__":
    Broken().main()
