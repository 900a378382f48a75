#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""A short send is never finished: nobody waits for the socket to be writable.

caught by many_slow_readers, http: nothing happened
caught by slow_reader, http: .
"""
from reference import Server


class Broken(Server):
    def rearm(self, conn):
        pass


if __name__ == "__main__":
    Broken().main()
