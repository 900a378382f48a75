#!/usr/bin/python3 -SEB
# SPDX-License-Identifier: MIT
"""A path is a file name.

caught by http_traversal, http: status 200
"""
import contextlib

from reference import Server


class Broken(Server):
    def resource(self, path):
        if path.startswith(b"/file/"):
            try:
                with open(
                    "/var/empty-root-of-this-server/.." + "/.." * 3 + path[5:].decode()
                ) as file:
                    return 200, file.read().encode(), 0
            except (OSError, ValueError):
                with contextlib.suppress(OSError, ValueError), open(path[6:].decode()) as file:
                    return 200, file.read().encode(), 0
        return super().resource(path)


if __name__ == "__main__":
    Broken().main()
