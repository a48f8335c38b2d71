"""
A list of rules against a hash table: the first packet of a connection, and one change, by the number of services.

    python benchmarks/bench_lookup.py [--services N,...] [--repeats N]

This is ``svcsim bench lookup`` and ``svcsim bench churn`` in one run. What is timed is the process's own CPU time, with
the garbage collector paused; connections are checked to reach an endpoint of their service beforehand.
"""

from __future__ import annotations

import argparse
import time

from svcsim.commands.bench import print_churn, print_fit, print_lookup
from svcsim.lab.churn import measure_churn
from svcsim.lab.cost import SIZES, measure_lookup


def main(services: tuple[int, ...] = SIZES, repeats: int = 5) -> None:
    """Print both tables; changes are measured up to a thousand services."""
    report = measure_lookup(time.process_time_ns, services, repeats=repeats)
    print_lookup(report)
    print_fit(report)
    print()
    print_churn(measure_churn(time.process_time_ns, [size for size in services if size <= 1000], repeats=repeats))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--services", type=lambda text: tuple(map(int, text.split(","))), default=SIZES)
    parser.add_argument("--repeats", type=int, default=5)
    main(**vars(parser.parse_args()))
