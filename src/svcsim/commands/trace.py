"""
``svcsim trace``: what a node with these rules and services would do with a packet, and why.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from svcsim.cluster.world import Cluster
from svcsim.commands.loading import add_options, node_of
from svcsim.console import story
from svcsim.errors import ConfigError, PacketError
from svcsim.explain.asking import MOST_BRANCHES, explain, why_dropped
from svcsim.explain.explanation import Explanation
from svcsim.explain.unmatched import why_not
from svcsim.hooks import Owner
from svcsim.node import NEWEST_KERNEL, Node
from svcsim.packet import Packet
from svcsim.pcap import read_pcap
from svcsim.wire import decode

__all__ = ["add_parser", "read_packet", "run"]

_FORMS = "tcp FROM TO [FLAGS], udp FROM TO, sctp FROM TO (an INIT), icmp FROM TO [TYPE [CODE]], or its bytes in hex"
#: An INIT chunk: tag, window, streams and first sequence number.
_INIT = bytes.fromhex("010000140000004d000013880001000100000001")
_ECHO_TYPES = {4: 8, 6: 128}


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the subcommand."""
    parser = commands.add_parser(
        "trace",
        help="what becomes of a packet, and why",
        description="Load what a node has been saved as, and explain what becomes of one packet.",
        epilog=f"PACKET is {_FORMS}. Examples: tcp 192.0.2.9:40000 10.96.0.10:80 S; udp [fd00::9]:5353 [fd00::1]:53",
    )
    parser.add_argument("packet", nargs="*", metavar="PACKET", help=_FORMS)
    given = parser.add_argument_group("the packet")
    given.add_argument(
        "--in", dest="iface", default="", metavar="IFACE", help="where it comes in; else this host sends it"
    )
    given.add_argument("--ttl", type=int, metavar="N", help="its time to live or hop limit")
    given.add_argument("--mark", type=_number, metavar="N", help="its mark (if this host sends it)")
    given.add_argument("--uid", type=int, metavar="N", help="the user who sends it (if this host does; default 0)")
    given.add_argument("--pcap", type=Path, metavar="FILE", help="take it from a capture (needs the extra pcap)")
    given.add_argument(
        "--record", type=int, default=1, metavar="N", help="which record of the capture (default the first)"
    )
    through = parser.add_argument_group("through a cluster")
    through.add_argument(
        "--cluster",
        action="append",
        type=Path,
        metavar="MANIFEST",
        help="open a connection through this cluster: PACKET is then tcp, udp or sctp FROM TO, by names of pods, nodes and "
        "services or by addresses",
    )
    through.add_argument("--mode", default="", metavar="MODE", help="of its kube-proxies (iptables)")
    through.add_argument("--via", default="", metavar="NODE", help="the node that packets from outside come to")
    told = parser.add_argument_group("what is told")
    told.add_argument("--detail", choices=("line", "hops", "full"), default="hops", help="how much is told (hops)")
    told.add_argument("--branches", action="store_true", help="every random choice, with probabilities")
    told.add_argument(
        "--most", type=int, default=MOST_BRANCHES, metavar="N", help="branches that are followed (%(default)s)"
    )
    told.add_argument("--reply", action="store_true", help="the way of the peer's answer, too")
    told.add_argument("--why-dropped", action="store_true", help="only what drops it")
    told.add_argument(
        "--why-not", nargs=3, metavar=("TABLE", "CHAIN", "NUMBER"), help="only why this rule does not match"
    )
    told.add_argument("--nft", action="store_true", help="with --why-not: a rule of iptables-nft")
    told.add_argument("--json", action="store_true", help="everything as JSON")
    told.add_argument("--html", type=Path, metavar="FILE", help="write a page with everything, too")
    add_options(parser)
    parser.set_defaults(run=run)


def _number(text: str) -> int:
    try:
        value = int(text, 0)
    except ValueError:
        value = -1
    if not 0 <= value <= 0xFFFFFFFF:
        raise argparse.ArgumentTypeError(f"not a number of 32 bits: {text!r}")
    return value


def run(args: argparse.Namespace) -> int:
    """Explain one packet, or a connection through a cluster."""
    if args.cluster:
        return _through(args)
    packet = _packet(args)
    if args.iface and (args.mark is not None or args.uid is not None):
        raise ConfigError("--mark and --uid are of what this host sends, not of what comes in")
    node = node_of(args)
    if args.why_dropped or args.why_not:
        why = why_dropped(node, packet, args.iface) if args.why_dropped else _why_not(args, node, packet)
        print(json.dumps({"packet": str(packet), "why": why}, indent=2) if args.json else why)
        return 0
    owner = Owner(uid=args.uid or 0)
    told = explain(
        node,
        packet,
        args.iface,
        reply=args.reply,
        branches=args.branches,
        most=args.most,
        owner=owner,
        mark=args.mark or 0,
    )
    if args.html is not None:
        _write_page(args.html, told)
    if args.json:
        print(json.dumps(told.to_dict(), indent=2))
    else:
        story(_told(told, args.detail))
    return 0


def _through(args: argparse.Namespace) -> int:
    """Open a connection through a cluster and tell its way, hop by hop."""
    if len(args.packet) != 3 or args.packet[0] not in ("tcp", "udp", "sctp"):
        raise PacketError("through a cluster it takes a protocol (tcp, udp or sctp), FROM and TO")
    cluster = Cluster.load(*args.cluster, mode=args.mode, kernel=args.kernel or NEWEST_KERNEL, seed=args.seed)
    protocol, source, target = args.packet
    call = cluster.connect(source, target, protocol=protocol, via=args.via)
    if args.json:
        hops = [{"host": host} | explanation.to_dict() for host, explanation in call.explanations()]
        print(json.dumps({"call": str(call), "heard": call.heard.value, "hops": hops}, indent=2))
    else:
        story(str(call) if args.detail == "line" else call.explain(full=args.detail == "full"))
    return 0


def _why_not(args: argparse.Namespace, node: Node, packet: Packet) -> str:
    table, chain, number = args.why_not
    if not (number.isascii() and number.isdigit()):
        raise ConfigError(f"--why-not: not the number of a rule: {number!r}")
    return why_not(node, packet, args.iface, table, chain, int(number), nft=args.nft, mark=args.mark or 0)


def _told(told: Explanation, detail: str) -> str:
    if detail == "line":
        return "\n".join([each.line() for each in (told, *told.answers)] + ([told.remark] if told.remark else []))
    return told.full() if detail == "full" else told.hops()


def _write_page(path: Path, told: Explanation) -> None:
    head = '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>svcsim trace</title></head>\n'
    try:
        path.write_text(f"{head}<body>{told._repr_html_()}</body></html>\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--html: {error}") from None


def _packet(args: argparse.Namespace) -> Packet:
    """The packet that the options name."""
    if (args.pcap is None) is not bool(args.packet):
        raise PacketError("name one packet: by words, or by --pcap")
    packet = read_packet(args.packet) if args.pcap is None else _captured(args.pcap, args.record)
    if args.ttl is None:
        return packet
    if not 0 <= args.ttl <= 255:
        raise PacketError(f"--ttl: not a number from 0 to 255: {args.ttl}")
    return packet.rewritten(ttl=args.ttl)


def _captured(path: Path, record: int) -> Packet:
    try:
        with path.open("rb") as stream:
            for seen in read_pcap(stream, lenient=True):
                if seen.number == record:
                    return seen.packet
    except OSError as error:
        raise PacketError(f"{path}: {error}") from None
    raise PacketError(f"{path}: record {record} is not there, or carries no IP packet")


def read_packet(words: list[str]) -> Packet:
    """
    A packet from its words, or from bytes in hex.

    >>> print(read_packet(["icmp", "fd00::9", "fd00::1"]))
    ICMPV6 fd00::9 > fd00::1 echo request id 1 seq 1, length 48
    """
    match words:
        case ["tcp", source, target]:
            return Packet.tcp(source, target)
        case ["tcp", source, target, flags]:
            return Packet.tcp(source, target, flags=flags)
        case ["udp", source, target]:
            return Packet.udp(source, target)
        case ["sctp", source, target]:
            return Packet.sctp(source, target, _INIT)
        case ["icmp" | "icmp6" | "icmpv6", source, target, *numbers] if len(numbers) <= 2:
            return _icmp(source, target, numbers)
    try:
        data = bytes.fromhex("".join(words))
    except ValueError:
        raise PacketError(f"not a packet: {' '.join(words)!r}; one is {_FORMS}") from None
    return decode(data)


def _icmp(source: str, target: str, numbers: list[str]) -> Packet:
    if not numbers:
        return Packet.echo(source, target)
    if not all(number.isascii() and number.isdigit() and int(number) < 256 for number in numbers):
        raise PacketError(f"not the type and code of an ICMP message: {' '.join(numbers)!r}")
    type, code = (int(number) for number in (*numbers, "0")[:2])
    four = "." in source
    rest = 0x10001 if type in (_ECHO_TYPES[4 if four else 6], 0 if four else 129) else 0
    return Packet.icmp(source, target, type, code, rest=rest)
