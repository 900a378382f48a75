#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""Content-Length is one too many where the body is long.

caught by http_replies, http: .
"""
from reference import Server


class Broken(Server):
    def put_head(self, conn, request, status, length, closes):
        super().put_head(conn, request, status, length + (length > 16384), closes)


if __name__ == "__main__":
    Broken().main()
