"""
What a rule costs that a packet only passes: the walk along a chain, by its length.

    python benchmarks/bench_walk.py [--rules N,...] [--repeats N]

The chain's rules ask for one destination each, and the packet is for none of them. The packet's fixed cost, measured with
an empty chain, is taken off. Beside it stand the cost of a step of an empty ``for`` loop over as many numbers, and what
counting says of the walks: that every rule was asked by every packet, and none matched.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Callable

import workloads
from svcsim import Family, Hook, Node, Packet
from svcsim.hooks import HookState, Skb
from svcsim.tables.table import Table
from svcsim.tables.walk import walk

SIZES = (10, 100, 1000, 10_000, 50_000)
_STEPS = 200_000  # a measurement walks about so many rules


def load(rules: int) -> tuple[Node, Table]:
    """A host whose FORWARD chain has so many rules."""
    node = Node()
    lines = "\n".join(workloads.flat_chain(rules))
    node.rules[Family.IPV4].restore(f"*filter\n{lines}\nCOMMIT\n")
    return node, node.rules[Family.IPV4]["filter"]


def typical(action: Callable[[], object], times: int, repeats: int) -> float:
    """Nanoseconds of CPU time that *action* takes: the median of *repeats* runs of so many *times*."""
    runs = []
    for _ in range(repeats):
        begin = time.process_time_ns()
        for _ in range(times):
            action()
        runs.append((time.process_time_ns() - begin) / times)
    return statistics.median(runs)


def empty_loop(rules: int) -> Callable[[], None]:
    """A ``for`` loop over so many numbers that does nothing."""
    numbers = list(range(rules))

    def loop() -> None:
        for _ in numbers:
            pass

    return loop


def measure(rules: int, repeats: int) -> float:
    """Nanoseconds of one walk along a chain of *rules* that do not match; its counts are checked."""
    node, table = load(rules)
    skb = Skb(Packet.udp("192.0.2.1:5", "203.0.113.9:80"))
    state = HookState(Hook.FORWARD, Family.IPV4, "eth0", "eth1", node)
    times = max(3, _STEPS // (rules + 10))
    spent = typical(lambda: walk(table, skb, state), times, repeats)
    walks = times * repeats
    chain = table.chains["FORWARD"]
    assert all(asked == walks and not link.packets for link, asked in chain.asked())
    assert chain.end.packets == walks
    return spent


def main(rules: tuple[int, ...] = SIZES, repeats: int = 5) -> None:
    """Print one line a chain length."""
    gc.disable()
    fixed = measure(0, repeats)
    print(f"a packet in an empty chain: {fixed:.0f} ns")
    print(f"{'rules':>7} {'ns/rule':>8} {'empty for':>10} {'ratio':>6}")
    for size in rules:
        step = (measure(size, repeats) - fixed) / size
        empty = typical(empty_loop(size), max(3, _STEPS // size), repeats) / size
        print(f"{size:7} {step:8.1f} {empty:10.1f} {step / empty:6.1f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--rules", type=lambda text: tuple(map(int, text.split(","))), default=SIZES)
    parser.add_argument("--repeats", type=int, default=5)
    main(**vars(parser.parse_args()))
