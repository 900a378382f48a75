#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""It never closes, whatever the client asked for.

caught by http_close, http: .
"""
from reference import Server


class Broken(Server):
    def reply(self, conn, request):
        request.close = False
        request.keep_alive = True
        super().reply(conn, request)


if __name__ == "__main__":
    Broken().main()
