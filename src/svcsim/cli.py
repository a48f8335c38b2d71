"""
The command line: words to calls, nothing else.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import svcsim
from svcsim.commands import bench, demo, flows, modes, record, render, replay, simulate, trace, verify
from svcsim.errors import SvcsimError

__all__ = ["main"]

_COMMANDS = (demo, trace, modes, render, simulate, flows, replay, verify, record, bench)


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``svcsim`` with *argv*, the process's own arguments by default, and return its exit status."""
    parser = argparse.ArgumentParser(prog="svcsim", description="The Linux service dataplane in memory.")
    parser.add_argument("--version", action="version", version=f"svcsim {svcsim.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in _COMMANDS:
        command.add_parser(commands)
    args = parser.parse_args(argv)
    try:
        code: int = args.run(args)
    except SvcsimError as error:
        print(f"svcsim: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        sys.stderr.close()  # whoever read the output has seen enough
        return 0
    return code
