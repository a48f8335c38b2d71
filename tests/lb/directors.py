"""Directors for tests: clients on cli0, real servers on pod0, virtual addresses on the host itself."""

from __future__ import annotations

from svcsim.node import Node
from svcsim.outcome import Outcome
from svcsim.packet import Packet

__all__ = ["CLIENT", "VIP", "arrive", "counters", "director", "run"]

VIP, CLIENT = "10.96.0.10", "192.0.2.9"


def run(node: Node, *commands: str) -> str:
    """Run commands that must succeed; what the last one printed."""
    out = ""
    for command in commands:
        done = node.run(command)
        assert done.returncode == 0, (command, done)
        out = done.stdout
    return out


def director(*commands: str, kernel: str = "6.18") -> Node:
    """A node with a virtual address, after *commands*; ``ipvsadm`` need not be written before ``-A`` and the like."""
    node = Node(kernel=kernel)
    node.add_interface("cli0", ["192.0.2.1/24", "2001:db8::1/64"])
    node.add_interface("pod0", ["10.244.0.1/16", "fd00::1/64"])
    run(node, f"ip addr add {VIP}/32 dev lo", "ip addr add fd96::10/128 dev lo")
    run(node, *(f"ipvsadm {c}" if c.startswith("-") else c for c in commands))
    return node


def arrive(node: Node, *, port: int = 4000, flags: str = "S", client: str = CLIENT, to: str = f"{VIP}:80") -> Outcome:
    """Let a client's segment arrive."""
    return node.receive(Packet.tcp(f"{client}:{port}", to, flags=flags, seq=1), "cli0")


def counters(node: Node) -> list[tuple[int, int, int]]:
    """Active, inactive and persistent of each destination of each service, as the connection table has them."""
    found = []
    for service in node.ipvs.services:
        for dest in service.destinations:
            mine = [conn for conn in node.ipvs.conns if conn.dest is dest]
            found.append(
                (
                    sum(not conn.template and not conn.inactive for conn in mine),
                    sum(not conn.template and conn.inactive for conn in mine),
                    sum(conn.template for conn in mine),
                )
            )
    return found
