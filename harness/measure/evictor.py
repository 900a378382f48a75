# SPDX-License-Identifier: MIT
"""The evictor's program: empty the page cache of some files, again and again.

evictor.py SECONDS FILE... It needs nothing beside the standard library and ends when it is killed.
The kernel drops clean pages that nobody uses at the moment; those of a read under way stay.
"""
from __future__ import annotations

import os
import sys
import time


def main() -> None:
    pause_s, paths = float(sys.argv[1]), sys.argv[2:]
    open_files = [os.open(path, os.O_RDONLY) for path in paths]
    while True:
        for fd in open_files:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        time.sleep(pause_s)


if __name__ == "__main__":
    main()
