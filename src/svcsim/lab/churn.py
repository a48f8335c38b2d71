"""
What a change costs: one service added, one endpoint replaced, one service deleted, among many that stay.

Three ways of telling the kernel: kube-proxy's partial sync through ``iptables-restore --noflush``, the same change by
single ``iptables`` commands, and ``ipvsadm``. A kernel takes an iptables table as one block: whatever is changed, every
rule of the table is handed over anew. IPVS changes one service or destination at a time.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence

import attrs

from svcsim.errors import ConfigError
from svcsim.lab.cluster import command, iptables_node, ipvs_node
from svcsim.lab.timing import Timer, Timing, timed, timing_of
from svcsim.lab.workload import Portal, endpoint_swapped, make_portals, ruleset, sync
from svcsim.node import Node
from svcsim.tools.command import TOOLS

__all__ = ["CHANGES", "WAYS", "ChurnCost", "ChurnReport", "measure_churn"]

CHANGES = ("add", "swap", "delete")
WAYS = ("iptables-restore", "iptables", "ipvsadm")


@attrs.frozen
class ChurnCost:
    """
    One *change* among so many *services*, told in one *way*.

    *commands* were run with *text* bytes of words and input, which carry *told* rules (or virtual and real servers);
    *rewritten* is how many rules a kernel takes in anew for that.
    """

    way: str
    services: int
    change: str
    commands: int
    text: int
    told: int
    rewritten: int
    time: Timing


@attrs.frozen
class ChurnReport:
    """Costs by way, number of services and change."""

    endpoints: int
    seed: int
    repeats: int
    costs: tuple[ChurnCost, ...]

    def of(self, way: str, change: str) -> list[ChurnCost]:
        """The costs of one change in one way, by rising number of services."""
        return [cost for cost in self.costs if cost.way == way and cost.change == change]

    def to_dict(self) -> dict[str, object]:
        """Plain values, as JSON has them."""
        return attrs.asdict(self)


@attrs.frozen
class _Call:
    """One command: its words and standard input, the rules it tells of, and those its tables have afterwards."""

    name: str
    args: tuple[str, ...]
    stdin: str = ""
    told: int = 1
    rewritten: int = 0

    @property
    def text(self) -> int:
        return len(shlex.join((self.name, *self.args))) + len(self.stdin)


def measure_churn(
    timer: Timer,
    sizes: Sequence[int],
    *,
    endpoints: int = 3,
    repeats: int = 3,
    seed: int = 0,
    progress: Callable[[str], object] = lambda what: None,
) -> ChurnReport:
    """
    Measure the three changes in the three ways, for each number of services in *sizes*.

    A repeat adds a service, replaces one of its endpoints and deletes it again, so each starts from the same tables;
    that it ends with the same tables is checked.
    """
    if not sizes or min(sizes) < 1 or repeats < 1 or endpoints < 1:
        raise ConfigError("a measurement wants at least one service, endpoint and repeat")
    costs = []
    for size in sorted(set(sizes)):
        *portals, new = make_portals(size + 1, endpoints, seed=seed)
        swapped = endpoint_swapped(new)
        for way in WAYS:
            progress(f"{way}, {size} services")
            node = (ipvs_node if way == "ipvsadm" else iptables_node)(portals, seed=seed)
            before = _shown(node, way)
            calls = _CALLS[way](portals, new, swapped)
            taken: dict[str, list[int]] = {change: [] for change in CHANGES}
            for _ in range(repeats):
                for change in CHANGES:
                    taken[change].append(timed(timer, _run, node, calls[change]))
            assert _shown(node, way) == before, f"{way} left something behind"
            for change in CHANGES:
                costs.append(_cost(way, size, change, calls[change], timing_of(taken[change])))
    return ChurnReport(endpoints, seed, repeats, tuple(costs))


def _cost(way: str, size: int, change: str, calls: Sequence[_Call], time: Timing) -> ChurnCost:
    text, told, rewritten = (sum(getattr(call, name) for call in calls) for name in ("text", "told", "rewritten"))
    return ChurnCost(way, size, change, len(calls), text, told, rewritten, time)


def _run(node: Node, calls: Sequence[_Call]) -> None:
    for call in calls:
        done = TOOLS[call.name](node, call.name, list(call.args), call.stdin)
        if done.returncode:
            raise ConfigError(f"{call.name} {' '.join(call.args)}: {done.stderr.strip()}")


def _shown(node: Node, way: str) -> str:
    """What the tools print of the node's tables, without the lines that say when."""
    text = command(node, "ipvsadm", "-Sn") if way == "ipvsadm" else command(node, "iptables-legacy-save")
    return "\n".join(line for line in text.splitlines() if not line.startswith("#"))


def _rules(text: str, table: str = "") -> int:
    """The number of rules in a text, or in one of its tables."""
    if table:
        text = text.partition(f"*{table}\n")[2].partition("\nCOMMIT")[0]
    return text.count("\n-A ")


def _restored(portals: Sequence[Portal], new: Portal, swapped: Portal) -> dict[str, list[_Call]]:
    """The changes as kube-proxy makes them."""
    with_new, with_swapped = [*portals, new], [*portals, swapped]
    gone = [chain for chain in new.chains if chain not in swapped.chains]
    texts = {
        "add": sync(with_new, changed=[new]),
        "swap": sync(with_swapped, changed=[swapped], stale=gone),
        "delete": sync(portals, stale=swapped.chains),
    }
    few = _rules(ruleset(portals))
    full = few + 2 + 3 * len(new.endpoints)
    after = {"add": full, "swap": full, "delete": few}
    return {
        change: [_Call("iptables-legacy-restore", ("--noflush", "--counters"), text, _rules(text), after[change])]
        for change, text in texts.items()
    }


def _single(portals: Sequence[Portal], new: Portal, swapped: Portal) -> dict[str, list[_Call]]:
    """
    The changes by one command a rule, as a script would make them.

    The rules of the service itself are those of its chains in `sync`, so both ways end with the same tables.
    """
    rules = _rules(ruleset(portals), "nat")
    place = len(portals) + 1  # before the jump to KUBE-NODEPORTS, which stays the last rule
    calls: dict[str, list[_Call]] = {change: [] for change in CHANGES}

    def call(change: str, words: str, change_of_rules: int) -> None:
        nonlocal rules
        rules += change_of_rules
        told = 1 if words.startswith(("-A", "-I", "-R", "-D")) else 0
        calls[change].append(_Call("iptables-legacy", ("-w", "-t", "nat", *shlex.split(words)), "", told, rules))

    own = [line for line in sync([new], changed=[new]).splitlines() if line.startswith("-A ")]
    swapped_own = [line for line in sync([swapped], changed=[swapped]).splitlines() if line.startswith("-A ")]
    entry = next(line for line in own if line.startswith("-A KUBE-SERVICES") and line.endswith(new.chain("SVC")))
    old, fresh = (
        [chain for chain in one.chains if chain not in other.chains] for one, other in ((new, swapped), (swapped, new))
    )

    for chain in new.chains:
        call("add", f"-N {chain}", 0)
    for line in _rules_of(own, new.chains):
        call("add", line, 1)
    call("add", entry.replace("-A KUBE-SERVICES", f"-I KUBE-SERVICES {place}"), 1)

    for chain in fresh:
        call("swap", f"-N {chain}", 0)
    for line in _rules_of(swapped_own, fresh):
        call("swap", line, 1)
    service = new.chain("SVC")
    for number, line in enumerate(_rules_of(swapped_own, [service]), start=1):
        if number > 1:  # the first rule is about masquerading
            call("swap", line.replace(f"-A {service}", f"-R {service} {number}"), 0)
    for chain in old:
        call("swap", f"-F {chain}", -2)
        call("swap", f"-X {chain}", 0)

    call("delete", entry.replace("-A ", "-D "), -1)
    for chain in swapped.chains:
        call("delete", f"-F {chain}", -2 if chain.startswith("KUBE-SEP") else -1 - len(new.endpoints))
    for chain in swapped.chains:
        call("delete", f"-X {chain}", 0)
    return calls


def _rules_of(lines: Iterable[str], chains: Iterable[str]) -> list[str]:
    wanted = tuple(f"-A {chain} " for chain in chains)
    return [line for line in lines if line.startswith(wanted)]


def _servers(portals: Sequence[Portal], new: Portal, swapped: Portal) -> dict[str, list[_Call]]:
    """The changes to virtual servers; a new endpoint comes before the old one goes."""
    server = ("-t", f"{new.address}:{new.port}")
    (old,), (fresh,) = (
        [endpoint for endpoint in one.endpoints if endpoint not in other.endpoints]
        for one, other in ((new, swapped), (swapped, new))
    )

    def add(endpoint: str) -> _Call:
        return _Call("ipvsadm", ("-a", *server, "-r", endpoint, "-m", "-w", "1"), rewritten=1)

    return {
        "add": [_Call("ipvsadm", ("-A", *server, "-s", "rr"), rewritten=1), *map(add, new.endpoints)],
        "swap": [add(fresh), _Call("ipvsadm", ("-d", *server, "-r", old), rewritten=1)],
        "delete": [_Call("ipvsadm", ("-D", *server), rewritten=1)],
    }


_CALLS: dict[str, Callable[[Sequence[Portal], Portal, Portal], dict[str, list[_Call]]]] = {
    "iptables-restore": _restored,
    "iptables": _single,
    "ipvsadm": _servers,
}
