"""
Every measurement of docs/performance.md, one after the other, each in a process of its own.

    python benchmarks/run_all.py [NAME...]

*NAME* is what follows ``bench_`` in a file's name; without one all are run. It fails if one of them fails.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def main(names: list[str]) -> int:
    """Run the benchmarks called *names*, all if there are none, and return how many failed."""
    here = Path(__file__).parent
    known = {path.stem.removeprefix("bench_"): path for path in sorted(here.glob("bench_*.py"))}
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"no benchmark called {', '.join(unknown)}; there are {', '.join(known)}", file=sys.stderr)
        return len(unknown)
    failed = 0
    for name in names or known:
        print(f"\n== {name} ==\n", flush=True)
        failed += subprocess.run([sys.executable, str(known[name])], check=False).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
