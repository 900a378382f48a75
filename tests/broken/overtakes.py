#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""A reply that takes time is put aside, and the next one overtakes it.

caught by http_order, http: .
"""
from reference import Server


class Broken(Server):
    held = None

    def reply(self, conn, request):
        if request.path.startswith(b"/sleep") and not self.held:
            self.held = request
            return
        super().reply(conn, request)
        if self.held:
            held, self.held = self.held, None
            super().reply(conn, held)


if __name__ == "__main__":
    Broken().main()
