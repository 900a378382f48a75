#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""It takes options that mean nothing to it.

caught by options_not_used, echo: exit status|did not end
"""
from reference import Server


class Broken(Server):
    def parse(self, words):
        if "--accept-batch=1" in words or "-w" in words:
            words = ["-p", "0"]
        super().parse(words)


if __name__ == "__main__":
    Broken().main()
