#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""End of file is not looked at.

caught by half_close_after_reply, echo: .
caught by half_close_in_a_request, http: .
caught by http_truncated, http: .
"""
from reference import Server


class Broken(Server):
    def at_end(self, conn):
        pass


if __name__ == "__main__":
    Broken().main()
