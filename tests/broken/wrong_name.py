#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""The model was copied, and one of its names was not changed.

caught by one_name, echo: the ready line says
"""
import os

from reference import Server


class Broken(Server):
    def say_ready(self):
        port = self.listener.getsockname()[1]
        print(f"ready model=reference port={port} pid={os.getpid()}", flush=True)


if __name__ == "__main__":
    Broken().main()
