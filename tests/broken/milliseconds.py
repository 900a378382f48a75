#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""/work and /sleep are in milliseconds, or what somebody took for them.

caught by http_work_and_sleep, http: was over after
"""
from reference import Server


class Broken(Server):
    def spend(self, what, seconds):
        super().spend(what, seconds / 1000)


if __name__ == "__main__":
    Broken().main()
