#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""Four kilobytes stay behind of every client.

caught by connect_burst, echo: memory grew
"""
from reference import Server


kept = []


class Broken(Server):
    def drop(self, conn):
        kept.append(bytearray(4096))
        super().drop(conn)


if __name__ == "__main__":
    Broken().main()
