#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""A reply is made whole before the first byte of it is sent.

caught by memory_huge_replies, http: .
"""
from reference import Server


class Broken(Server):
    def resource(self, path):
        status, body, large = super().resource(path)
        return status, body or bytes(large // 16) * 16, 0


if __name__ == "__main__":
    Broken().main()
