#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""What send took of an answer is taken for all of it.

felled by send_short, http: clients noticed
"""
from reference import Server


class Broken(Server):
    def transmit(self, conn):
        super().transmit(conn)
        conn.out.clear()
        return True


if __name__ == "__main__":
    Broken().main()
