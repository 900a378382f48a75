#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""The body of a request is taken for the next request.

caught by http_bodies, http: .
"""
from reference import Server


class Broken(Server):
    def reply(self, conn, request):
        request.body = 0
        super().reply(conn, request)


if __name__ == "__main__":
    Broken().main()
