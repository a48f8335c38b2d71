"""
``svcsim trace``: what a node with these rules and services would do with a packet, and why.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from svcsim.errors import ConfigError, PacketError
from svcsim.explain.asking import explain
from svcsim.explain.explanation import Explanation
from svcsim.node import Node
from svcsim.packet import Packet
from svcsim.tools.command import TOOLS
from svcsim.wire import decode

__all__ = ["add_parser", "run"]

_FORMS = "tcp FROM TO [FLAGS], udp FROM TO, icmp FROM TO (an echo request), or the packet's bytes in hex"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the subcommand."""
    parser = commands.add_parser(
        "trace",
        help="what becomes of a packet, and why",
        description="Load what a node has been saved as, and explain what becomes of one packet.",
        epilog=f"PACKET is {_FORMS}. Example: tcp 192.0.2.9:40000 10.96.0.10:80 S",
    )
    loaded = parser.add_argument_group("the node")
    for option, what in _LOADERS.items():
        loaded.add_argument(f"--{option}", type=Path, metavar="FILE", help=f"the output of {what}")
    loaded.add_argument("--setup", type=Path, metavar="FILE", help="shell commands (ip, sysctl, ...), run first")
    loaded.add_argument(
        "--interface",
        action="append",
        default=[],
        metavar="NAME=ADDR[,ADDR...]",
        help="a device and its addresses (192.0.2.1/24); may be given again",
    )
    loaded.add_argument("--route", action="append", default=[], metavar="ROUTE", help='as for "ip route add"')
    loaded.add_argument("--seed", type=int, default=0, metavar="N", help="of every random choice (default 0)")
    parser.add_argument("--in", dest="iface", required=True, metavar="IFACE", help="where the packet comes in")
    parser.add_argument("--detail", choices=("line", "hops", "full"), default="hops", help="how much is told (hops)")
    parser.add_argument("--json", action="store_true", help="tell everything as JSON")
    parser.add_argument("--reply", action="store_true", help="tell the way of the peer's answer, too")
    parser.add_argument("packet", nargs="+", metavar="PACKET", help=_FORMS)
    parser.set_defaults(run=run)


#: What is loaded, in this order: rules may look up sets. Each option, with what wrote its file.
_LOADERS = {
    "ipset-save": "ipset save",
    "iptables-save": "iptables-save",
    "ip6tables-save": "ip6tables-save",
    "ipvsadm-save": "ipvsadm -Sn",
}
_READERS = {
    "ipset-save": ("ipset", "restore"),
    "iptables-save": ("iptables-restore",),
    "ip6tables-save": ("ip6tables-restore",),
    "ipvsadm-save": ("ipvsadm", "-R"),
}


def run(args: argparse.Namespace) -> int:
    """Explain one packet."""
    packet = _packet(args.packet)
    explanation = explain(_node(args), packet, args.iface, reply=args.reply)
    print(json.dumps(explanation.to_dict(), indent=2) if args.json else _told(explanation, args.detail))
    return 0


def _told(explanation: Explanation, detail: str) -> str:
    if detail == "line":
        return "\n".join(each.line() for each in (explanation, *explanation.answers))
    return explanation.full() if detail == "full" else explanation.hops()


def _node(args: argparse.Namespace) -> Node:
    """The node that the options describe."""
    node = Node(seed=args.seed)
    for text in args.interface:
        name, _, addresses = text.partition("=")
        node.add_interface(name, [address for address in addresses.split(",") if address])
    if args.setup is not None:
        done = node.run(_text(args.setup))
        if done.returncode:
            raise ConfigError(f"{args.setup}: {done.stderr.strip()}")
    for route in args.route:
        _command(node, f"--route {route}", "ip", "route", "add", *route.split())
    for option, (name, *words) in _READERS.items():
        path = getattr(args, option.replace("-", "_"))
        if path is not None:
            _command(node, str(path), name, *words, stdin=_text(path))
    return node


def _command(node: Node, whence: str, name: str, *words: str, stdin: str = "") -> None:
    done = TOOLS[name](node, name, list(words), stdin)
    if done.returncode:
        raise ConfigError(f"{whence}: {done.stderr.strip()}")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None


def _packet(words: list[str]) -> Packet:
    """A packet from its words, or from bytes in hex."""
    match words:
        case ["tcp", source, target]:
            return Packet.tcp(source, target)
        case ["tcp", source, target, flags]:
            return Packet.tcp(source, target, flags=flags)
        case ["udp", source, target]:
            return Packet.udp(source, target)
        case ["icmp", source, target]:
            return Packet.echo(source, target)
    try:
        data = bytes.fromhex("".join(words))
    except ValueError:
        raise PacketError(f"not a packet: {' '.join(words)!r}; one is {_FORMS}") from None
    return decode(data)
