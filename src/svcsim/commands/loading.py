"""
A node from what real tools wrote on a real one: the options that name those files.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from svcsim.conntrack_text import load_connections
from svcsim.errors import ConfigError
from svcsim.lab.cluster import MODES, example_node
from svcsim.node import Node
from svcsim.tools.command import TOOLS

__all__ = ["add_options", "node_of", "text_of"]

#: What is loaded, in this order, since rules may look up sets: the option, what wrote its file, and what reads it.
_LOADERS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("ipset-save", "ipset save", ("ipset", "restore")),
    ("iptables-save", "iptables-save", ("iptables-restore",)),
    ("ip6tables-save", "ip6tables-save", ("ip6tables-restore",)),
    ("iptables-nft-save", "iptables-nft-save", ("iptables-nft-restore",)),
    ("ip6tables-nft-save", "ip6tables-nft-save", ("ip6tables-nft-restore",)),
    ("ipvsadm-save", "ipvsadm -Sn", ("ipvsadm", "-R")),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options that describe a node."""
    group = parser.add_argument_group("the node")
    group.add_argument("--example", choices=MODES, help="start with the bundled example cluster's node in this mode")
    group.add_argument("--kernel", metavar="VERSION", help="the version whose behaviour is meant (default: the newest)")
    group.add_argument(
        "--interface",
        action="append",
        default=[],
        metavar="NAME=ADDR[,ADDR...]",
        help="a device and its addresses (192.0.2.1/24); may be given again",
    )
    group.add_argument("--setup", type=Path, metavar="FILE", help="shell commands (ip, sysctl, ...), run next")
    group.add_argument("--route", action="append", default=[], metavar="ROUTE", help='as for "ip route add"')
    for option, wrote, _ in _LOADERS:
        group.add_argument(f"--{option}", type=Path, metavar="FILE", help=f"the output of {wrote}")
    group.add_argument(
        "--conntrack", type=Path, metavar="FILE", help="the output of conntrack -L: connections to start with"
    )
    group.add_argument(
        "--listen",
        action="append",
        default=[],
        metavar="PROTO:PORT",
        help="a listening socket (tcp:22); may be given again",
    )
    group.add_argument("--seed", type=int, default=0, metavar="N", help="of every random choice (default 0)")


def node_of(args: argparse.Namespace) -> Node:
    """The node that the options describe; `ConfigError` says which of them is no good."""
    if args.example is not None:
        if args.kernel is not None:
            raise ConfigError("--kernel: the example's node has one")
        node = example_node(args.example, seed=args.seed)
    else:
        node = Node(seed=args.seed) if args.kernel is None else Node(kernel=args.kernel, seed=args.seed)
    for text in args.interface:
        name, equals, addresses = text.partition("=")
        if not name or (equals and not addresses):
            raise ConfigError(f"--interface: not NAME=ADDR[,ADDR...]: {text!r}")
        node.add_interface(name, [address for address in addresses.split(",") if address])
    if args.setup is not None:
        done = node.run(text_of(args.setup))
        if done.returncode:
            raise ConfigError(f"{args.setup}: {done.stderr.strip() or f'exit code {done.returncode}'}")
    for route in args.route:
        _command(node, f"--route {route}", "ip", "route", "add", *route.split())
    for option, _, words in _LOADERS:
        path = getattr(args, option.replace("-", "_"))
        if path is not None:
            _command(node, str(path), *words, stdin=text_of(path))
    for text in args.listen:
        _listen(node, text)
    if args.conntrack is not None:
        try:
            load_connections(node.conntrack, text_of(args.conntrack))
        except ConfigError as error:
            raise ConfigError(f"{args.conntrack}: {error}") from None
    return node


def _command(node: Node, whence: str, name: str, *words: str, stdin: str = "") -> None:
    done = TOOLS[name](node, name, list(words), stdin)
    if done.returncode:
        raise ConfigError(f"{whence}: {done.stderr.strip()}")


def _listen(node: Node, text: str) -> None:
    protocol, _, port = text.partition(":")
    if not (port.isascii() and port.isdigit()):
        raise ConfigError(f"--listen: not PROTO:PORT: {text!r}")
    node.listen(protocol, int(port))


def text_of(path: Path) -> str:
    """The text of a file."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None
