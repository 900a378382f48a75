#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""The body of a request is kept until it is whole.

caught by memory_huge_bodies, http: memory grew
"""
from reference import Server


kept = []


class Broken(Server):
    def reply(self, conn, request):
        kept.append(bytearray(b"q") * request.body)
        super().reply(conn, request)


if __name__ == "__main__":
    Broken().main()
