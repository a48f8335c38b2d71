"""
`ip`: addresses, links, routes and policy rules.

Behaviour of: iproute2 6.1, as far as svcsim has such things: no neighbours, no network namespaces, no tunnels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcsim.addr import Family
from svcsim.errors import ConfigError, UnsupportedError
from svcsim.tools.command import Completed
from svcsim.tools.ip_address import address
from svcsim.tools.ip_link import link
from svcsim.tools.ip_route import route
from svcsim.tools.ip_route_get import get_route
from svcsim.tools.ip_rule import rule
from svcsim.tools.ip_words import Words

if TYPE_CHECKING:
    from svcsim.node import Node

__all__ = ["ip"]

#: In iproute2's order, so that a beginning means what it means there.
_OBJECTS = (
    "address", "addrlabel", "maddress", "route", "rule", "neighbor", "neighbour", "ntable", "ntbl", "link", "l2tp",
    "fou", "ila", "macsec", "tunnel", "tunl", "tuntap", "tap", "token", "tcpmetrics", "monitor", "xfrm", "mroute",
    "mrule", "netns", "netconf", "vrf", "sr", "nexthop", "mptcp", "ioam", "help",
)  # fmt: skip
_FAMILIES = {"-4": Family.IPV4, "-6": Family.IPV6, "inet": Family.IPV4, "inet6": Family.IPV6}
_NOT_MODELLED = ("-j", "-json", "-s", "-stats", "-d", "-details", "-n", "-netns", "-b", "-batch", "-p", "-pretty", "-r")


def ip(node: Node, name: str, args: list[str], stdin: str) -> Completed:
    """``ip [-4|-6] [-o] [-br] {addr|link|route|rule} ...``; objects and verbs may be cut short."""
    words = Words(args)
    family: Family | None = None
    brief = oneline = False
    while words.peek().startswith("-"):
        option = words.take()
        if option in ("-4", "-6"):
            family = _FAMILIES[option]
        elif option in ("-f", "-family"):
            given = words.take()
            if given not in _FAMILIES:
                raise ConfigError(f'Error: argument "{given}" is wrong: invalid protocol family', exit_code=255)
            family = _FAMILIES[given]
        elif option in ("-o", "-oneline"):
            oneline = True
        elif option in ("-br", "-brief"):
            brief = True
        elif option in ("-V", "-Version"):
            return Completed(0, "ip utility, iproute2-6.1.0, libbpf 1.1.2\n")
        elif option in _NOT_MODELLED:
            raise UnsupportedError(f"ip {option}", instead="known: -4 -6 -f -o -br -c -N")
        elif option not in ("-c", "-color", "-color=never", "-color=auto", "-N", "-Numeric"):
            return Completed(255, "", f'Option "{option}" is unknown, try "ip -help".\n')
    if not words:
        return Completed(255, "", "Usage: ip [ OPTIONS ] OBJECT { COMMAND | help }\n")
    word = words.take()
    match next((known for known in _OBJECTS if known.startswith(word)), None):
        case "address":
            return address(node, words, family, oneline=oneline, brief=brief)
        case "link":
            return link(node, words, oneline=oneline, brief=brief)
        case "route" if words.peek() and "get".startswith(words.peek()):
            return get_route(node, words, family)
        case "route":
            return route(node, words, family)
        case "rule":
            return rule(node, words, family)
        case "neighbor" | "neighbour" if not words or words.peek() in ("show", "list"):
            return Completed()  # nobody's link address is ever asked for
        case None:
            return Completed(1, "", f'Object "{word}" is unknown, try "ip help".\n')
        case thing:
            raise UnsupportedError(f"ip {thing}", instead="known: ip addr, ip link, ip route, ip rule")
