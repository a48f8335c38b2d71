"""
What a rule costs that a packet only passes: the walk along a chain, by its length.

    python benchmarks/bench_walk.py [--rules N,...] [--repeats N]

The chain's rules ask for one destination each, and the packet is for none of them. Once the chain is all there is in its
table; once it is KUBE-SERVICES in a whole ruleset of kube-proxy's, restored from text. A straight line is fitted to the
time per packet by least squares of the relative error, so that each length counts the same; R2 is told for the plain
error as well. Beside it stand the cost of a step of an empty ``for`` loop over as many numbers, and what counting says of
the walks: that every rule was asked by every packet, and none matched.

Times are CPU time with the garbage collector paused, medians of repeats in which all lengths take turns.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Callable, Sequence

import workloads
from svcsim import Family, Hook, Node, Packet
from svcsim.hooks import HookState, Skb
from svcsim.lab.timing import fit_line
from svcsim.tables.walk import walk

SIZES = (10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 50_000)
_STEPS = 400_000  # a measurement walks about so many rules


class Walk:
    """Walks of one packet along a chain of so many *rules*; *taken* are the nanoseconds of each, run by run."""

    def __init__(self, rules: int, table: str, text: str, hook: Hook, chain: str) -> None:
        self.rules = rules
        self.node = Node()
        self.node.rules[Family.IPV4].restore(text)
        self.table = self.node.rules[Family.IPV4][table]
        self.chain = self.table.chains[chain]
        self.skb = Skb(Packet.udp("192.0.2.1:5", "203.0.113.9:80"))
        self.state = HookState(hook, Family.IPV4, "eth0", "eth1", self.node)
        self.times = max(3, _STEPS // (rules + 10))
        self.taken: list[float] = []

    @classmethod
    def alone(cls, rules: int) -> Walk:
        """A chain that is all there is."""
        lines = "\n".join(workloads.flat_chain(rules))
        return cls(rules, "filter", f"*filter\n{lines}\nCOMMIT\n", Hook.FORWARD, "FORWARD")

    @classmethod
    def kube(cls, rules: int) -> Walk:
        """The chain of kube-proxy that has a rule for each service, and all the others."""
        text = workloads.kube_ruleset(services=rules, endpoints=1)
        return cls(rules, "nat", text, Hook.PRE_ROUTING, "KUBE-SERVICES")

    def run(self) -> None:
        """Walk some times, and note the time that one took."""
        begin = time.process_time_ns()
        for _ in range(self.times):
            walk(self.table, self.skb, self.state)
        self.taken.append((time.process_time_ns() - begin) / self.times)

    def check(self) -> None:
        """Each rule was asked by every packet, and none that names a destination matched."""
        walks = self.times * len(self.taken)
        asked = list(self.chain.asked())
        assert len(asked) >= self.rules
        assert all(times == walks and not link.packets for link, times in asked)


def empty_loop(steps: int, repeats: int) -> float:
    """Nanoseconds of a step of a ``for`` loop over so many numbers that does nothing."""
    numbers = list(range(steps))

    def loop() -> None:
        for _ in numbers:
            pass

    times = max(3, _STEPS // steps)
    runs = []
    for _ in range(repeats):
        begin = time.process_time_ns()
        for _ in range(times):
            loop()
        runs.append((time.process_time_ns() - begin) / times)
    return statistics.median(runs) / steps


def measure(make: Callable[[int], Walk], sizes: Sequence[int], repeats: int) -> None:
    """Print one line a chain length, and the line that fits them."""
    walks = [make(size) for size in sizes]
    for _ in range(repeats):
        for one in walks:
            one.run()
    for one in walks:
        one.check()
    spent = [statistics.median(one.taken) for one in walks]
    fit = fit_line(sizes, spent, [1 / each**2 for each in spent])
    print(f"{'rules':>7} {'ns/packet':>10} {'low':>9} {'high':>9} {'fit':>9} {'ns/rule':>8} {'over empty for':>15}")
    for size, each, one in zip(sizes, spent, walks, strict=True):
        step = (each - fit.intercept) / size
        print(
            f"{size:7} {each:10.0f} {min(one.taken):9.0f} {max(one.taken):9.0f} {fit.intercept + fit.slope * size:9.0f}"
            f" {step:8.1f} {step / empty_loop(size, repeats):14.1f}x"
        )
    plain = fit_line(sizes, spent).r_squared
    print(f"fit: {fit.intercept:.0f} ns + {fit.slope:.1f} ns a rule, R2 {fit.r_squared:.4f}, plain {plain:.4f}")
    print("goal: at most 20 ns a rule, R2 at least 0.995")


def main(rules: tuple[int, ...] = SIZES, repeats: int = 9) -> None:
    """Measure both kinds of chain."""
    gc.disable()
    print(f"{repeats} repeats; a chain alone in its table")
    measure(Walk.alone, rules, repeats)
    print("\nKUBE-SERVICES in a whole ruleset, five rules a service, as it was restored")
    measure(Walk.kube, rules, repeats)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--rules", type=lambda text: tuple(map(int, text.split(","))), default=SIZES)
    parser.add_argument("--repeats", type=int, default=9)
    main(**vars(parser.parse_args()))
