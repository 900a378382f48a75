#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""When its own call fails it ends, and does not say which.

felled by wait_EINVAL, http: names the call
felled by bind_EACCES, http: names the call|not 1
"""
import sys

from reference import Server


class Broken(Server):
    def must(self, call, function, *arguments):
        try:
            return function(*arguments)
        except OSError:
            sys.exit(3)


if __name__ == "__main__":
    Broken().main()
