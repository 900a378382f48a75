#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""HEAD is answered with a body.

caught by http_head, http: .
"""
from reference import Server


class Broken(Server):
    def reply(self, conn, request):
        head, request.is_head = request.is_head, False
        super().reply(conn, request)
        request.is_head = head


if __name__ == "__main__":
    Broken().main()
