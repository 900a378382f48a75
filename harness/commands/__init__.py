# SPDX-License-Identifier: MIT
"""One module per subcommand: harness.cli finds every module here that has `register(subparsers)`."""
