"""
How long a ruleset of kube-proxy's takes to load and to print, beside the real tool, and what it takes up.

    python benchmarks/bench_restore.py [--services N] [--endpoints N] [--repeats N]

The real tools are ``iptables-legacy-restore --test``, which reads the text without loading it, and
``iptables-legacy-save`` behind a real restore, both in a network namespace of their own; without root or without the
tool they are left out. They take turns with svcsim, so that a ratio compares what ran side by side. Times are CPU time
with Python's garbage collector paused; what is printed is checked to be what was loaded.
"""

from __future__ import annotations

import argparse
import gc
import resource
import shutil
import statistics
import subprocess
import time
import tracemalloc
from collections.abc import Sequence

import workloads
from svcsim import Family, Node

_TEST = ("iptables-legacy-restore", "--test")
#: Prints the seconds that saving took, as the shell counts them.
_SAVE = ("bash", "-c", "iptables-legacy-restore && TIMEFORMAT='%3U %3S' && time iptables-legacy-save >/dev/null")


def load_and_save(text: str) -> tuple[float, float]:
    """Seconds to load *text* into a new host, and to print it again; what is printed is checked."""
    gc.collect()
    rules = Node().rules[Family.IPV4]
    begin = time.process_time()
    rules.restore(text)
    loaded = time.process_time()
    printed = rules.save()
    saved = time.process_time()
    assert sorted(line for line in printed.splitlines() if line[0] != "#") == sorted(text.splitlines())
    return loaded - begin, saved - loaded


def real_tool(text: str, command: Sequence[str]) -> tuple[float, str]:
    """Seconds of CPU time of *command* in a network namespace of its own, and what it complained of."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(["unshare", "-n", *command], input=text.encode(), capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    complaint = done.stderr.decode().strip()
    if done.returncode:
        raise OSError(complaint or f"{command[0]} failed")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, complaint


def bytes_kept(text: str) -> int:
    """What the loaded rules take up."""
    rules = Node().rules[Family.IPV4]
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    rules.restore(text)
    gc.collect()
    kept = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return kept


def main(services: int = 10_000, endpoints: int = 2, repeats: int = 7) -> None:
    """Print the times, and their ratios."""
    text = workloads.kube_ruleset(services, endpoints)
    rules = text.count("\n-A")
    reason = "" if shutil.which(_TEST[0]) else f"{_TEST[0]} is not installed"
    gc.disable()
    loads, saves, tests, prints = [], [], [], []
    for _ in range(repeats):
        load, save = load_and_save(text)
        loads.append(load)
        saves.append(save)
        if not reason:
            try:
                tests.append(real_tool(text, _TEST)[0])
                prints.append(sum(map(float, real_tool(text, _SAVE)[1].split())))
            except OSError as error:
                reason = str(error)
    print(f"{rules} rules, {len(text) / 1e6:.1f} MB; {repeats} repeats: median (lowest .. highest)")
    print(f"load: {shown(loads)} s, {statistics.median(loads) / rules * 1e6:.1f} us a rule")
    print(f"save: {shown(saves)} s")
    if reason:
        print(f"the real tool is left out: {reason}")
    else:
        print(f"iptables-legacy-restore --test: {shown(tests)} s")
        print(f"iptables-legacy-save: {shown(prints)} s")
        print(f"load / real tool: {shown([ours / theirs for ours, theirs in zip(loads, tests, strict=True)])}")
        print(f"save / real tool: {shown([ours / theirs for ours, theirs in zip(saves, prints, strict=True)])}")
    kept = bytes_kept(text)
    print(f"kept: {kept / 1e6:.1f} MB, {kept / rules:.0f} bytes a rule, chains and texts included")


def shown(figures: Sequence[float]) -> str:
    """The median, the lowest and the highest."""
    return f"{statistics.median(figures):.3f} ({min(figures):.3f} .. {max(figures):.3f})"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--services", type=int, default=10_000)
    parser.add_argument("--endpoints", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    main(**vars(parser.parse_args()))
