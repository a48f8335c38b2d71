"""The built-in matches, one file each; importing this package registers them."""

from __future__ import annotations

from svcsim.tables.matches.addrtype import AddrtypeMatch
from svcsim.tables.matches.comment import CommentMatch
from svcsim.tables.matches.connmark import ConnmarkMatch
from svcsim.tables.matches.conntrack import ConntrackMatch
from svcsim.tables.matches.dscp import DscpMatch
from svcsim.tables.matches.icmp import IcmpMatch
from svcsim.tables.matches.icmp6 import Icmp6Match
from svcsim.tables.matches.iprange import IprangeMatch
from svcsim.tables.matches.length import LengthMatch
from svcsim.tables.matches.limit import LimitMatch
from svcsim.tables.matches.mark import MarkMatch
from svcsim.tables.matches.multiport import MultiportMatch
from svcsim.tables.matches.owner import OwnerMatch
from svcsim.tables.matches.recent import RecentMatch
from svcsim.tables.matches.sctp import SctpMatch
from svcsim.tables.matches.set import SetMatch
from svcsim.tables.matches.state import StateMatch
from svcsim.tables.matches.statistic import NthMatch, RandomMatch, StatisticMatch
from svcsim.tables.matches.tcp import TcpMatch
from svcsim.tables.matches.tos import TosMatch
from svcsim.tables.matches.ttl import HlMatch, TtlMatch
from svcsim.tables.matches.udp import UdpMatch

__all__ = [
    "AddrtypeMatch",
    "CommentMatch",
    "ConnmarkMatch",
    "ConntrackMatch",
    "DscpMatch",
    "HlMatch",
    "Icmp6Match",
    "IcmpMatch",
    "IprangeMatch",
    "LengthMatch",
    "LimitMatch",
    "MarkMatch",
    "MultiportMatch",
    "NthMatch",
    "OwnerMatch",
    "RandomMatch",
    "RecentMatch",
    "SctpMatch",
    "SetMatch",
    "StateMatch",
    "StatisticMatch",
    "TcpMatch",
    "TosMatch",
    "TtlMatch",
    "UdpMatch",
]
