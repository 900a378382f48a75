#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""Bytes are counted when they are to be sent, some of them twice.

caught by counters, http: bytes_out
"""
from reference import Server


class Broken(Server):
    def transmit(self, conn):
        self.counted["bytes_out"] += 1
        return super().transmit(conn)


if __name__ == "__main__":
    Broken().main()
