#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""A child holds the listening socket, and lives on.

caught by stop_waiting_clients, echo: behind
caught by stop_idle, echo: behind
"""
import os
import signal
import time

from reference import Server


class Broken(Server):
    def run(self):
        if os.fork() == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.close(1)
            time.sleep(20)
            os._exit(0)
        super().run()


if __name__ == "__main__":
    Broken().main()
