#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""Two lengths in one request: it takes one of them.

caught by http_malformed, http: two lengths: status 405|two lengths: status 200
"""
from reference import Server


class Strict(Server):
    def reply(self, conn, request):
        if request.status == 400 and len(request.lengths) == 2:
            request.status, request.body = 0, min(request.lengths)
        super().reply(conn, request)


Broken = Strict


if __name__ == "__main__":
    Broken().main()
