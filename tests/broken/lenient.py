#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""It answers whatever it can make sense of.

caught by http_malformed, http: status 200 instead of
"""
from reference import Server


class Broken(Server):
    def reply(self, conn, request):
        if request.status == 400:
            request.status = 0
        super().reply(conn, request)


if __name__ == "__main__":
    Broken().main()
