# SPDX-License-Identifier: MIT
"""The neighbour's program: spin, sleep, again, so that its CPU time is a share of the wall time.

half_busy.py SHARE SEED. It needs nothing beside the standard library and ends when it is killed.
"""
from __future__ import annotations

import random
import sys
import time

# Seconds of CPU time of one spin. They vary: a fixed period could keep step with the slices.
LEAST_S, MOST_S = 0.001, 0.02


def main() -> None:
    share, rng = float(sys.argv[1]), random.Random(int(sys.argv[2]))
    began, used = time.monotonic(), 0.0
    while True:
        used += rng.uniform(LEAST_S, MOST_S)
        while time.process_time() < used:
            pass
        # Others take the CPU from it now and then: it sleeps less after that.
        ahead = time.process_time() / share - (time.monotonic() - began)
        if ahead > 0:
            time.sleep(ahead)


if __name__ == "__main__":
    main()
