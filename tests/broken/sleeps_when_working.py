#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""/work sleeps.

caught by http_work_and_sleep, http: of CPU time
"""
from reference import Server


class Broken(Server):
    def spend(self, what, seconds):
        super().spend(b"sleep", seconds)


if __name__ == "__main__":
    Broken().main()
