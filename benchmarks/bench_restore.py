"""
How long a ruleset of kube-proxy's takes to load and to print, beside the real tool.

    python benchmarks/bench_restore.py [--services N] [--endpoints N] [--repeats N]

The real tool is ``iptables-legacy-restore --test`` in a network namespace of its own, which reads the text without loading
it; without root or without the tool it is left out. Times are CPU time, the median of the runs with the quickest and the
slowest, with Python's garbage collector paused.
"""

from __future__ import annotations

import argparse
import gc
import resource
import shutil
import statistics
import subprocess
import time

import workloads
from svcsim import Family, Node


def load_and_save(text: str) -> tuple[float, float]:
    """Seconds to load *text* into a new host, and to print it again; what is printed is checked."""
    rules = Node().rules[Family.IPV4]
    begin = time.process_time()
    rules.restore(text)
    loaded = time.process_time()
    printed = rules.save()
    saved = time.process_time()
    assert sorted(line for line in printed.splitlines() if line[0] != "#") == sorted(text.splitlines())
    return loaded - begin, saved - loaded


def real_tool(text: str) -> float | None:
    """Seconds of ``iptables-legacy-restore --test``, None where it cannot be run."""
    if not shutil.which("iptables-legacy-restore"):
        return None
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        ["unshare", "-n", "iptables-legacy-restore", "--test"], input=text.encode(), capture_output=True, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        return None
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(services: int = 10_000, endpoints: int = 2, repeats: int = 3) -> None:
    """Print the times, and their ratio."""
    text = workloads.kube_ruleset(services, endpoints)
    rules = text.count("\n-A")
    gc.disable()
    loads, saves, real = [], [], []
    for _ in range(repeats):
        load, save = load_and_save(text)
        loads.append(load)
        saves.append(save)
        seconds = real_tool(text)
        if seconds is not None:
            real.append(seconds)
    print(f"{rules} rules, {len(text) / 1e6:.1f} MB")
    print(f"load: {shown(loads)}, {statistics.median(loads) / rules * 1e6:.1f} us a rule")
    print(f"save: {shown(saves)}")
    if real:
        print(f"iptables-legacy-restore --test: {shown(real)}")
        print(f"load / real tool: {statistics.median(loads) / statistics.median(real):.2f}")


def shown(seconds: list[float]) -> str:
    """The median, the quickest and the slowest."""
    return f"{statistics.median(seconds):.3f} s ({min(seconds):.3f} .. {max(seconds):.3f})"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--services", type=int, default=10_000)
    parser.add_argument("--endpoints", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    main(**vars(parser.parse_args()))
