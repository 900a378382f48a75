#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""A client that gave up before it was accepted is the end.

felled by accept_ECONNABORTED, http: it died of
"""
import errno
import sys

from reference import Server


class Broken(Server):
    def accept_failed(self, error):
        if error.errno == errno.ECONNABORTED:
            sys.exit(1)
        super().accept_failed(error)


if __name__ == "__main__":
    Broken().main()
