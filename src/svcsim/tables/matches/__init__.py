"""The built-in matches, one file each; importing this package registers them."""

from __future__ import annotations

from svcsim.tables.matches.addrtype import AddrtypeMatch
from svcsim.tables.matches.comment import CommentMatch
from svcsim.tables.matches.connbytes import ConnbytesMatch
from svcsim.tables.matches.connlimit import ConnlimitMatch
from svcsim.tables.matches.connmark import ConnmarkMatch
from svcsim.tables.matches.conntrack import ConntrackMatch
from svcsim.tables.matches.devgroup import DevgroupMatch
from svcsim.tables.matches.dscp import DscpMatch
from svcsim.tables.matches.ecn import EcnMatch
from svcsim.tables.matches.esp import AhMatch, EspMatch
from svcsim.tables.matches.hashlimit import HashlimitMatch
from svcsim.tables.matches.helper import HelperMatch
from svcsim.tables.matches.icmp import IcmpMatch
from svcsim.tables.matches.icmp6 import Icmp6Match
from svcsim.tables.matches.iprange import IprangeMatch
from svcsim.tables.matches.ipvs import IpvsMatch
from svcsim.tables.matches.length import LengthMatch
from svcsim.tables.matches.limit import LimitMatch
from svcsim.tables.matches.mac import MacMatch
from svcsim.tables.matches.mark import MarkMatch
from svcsim.tables.matches.multiport import MultiportMatch
from svcsim.tables.matches.owner import OwnerMatch
from svcsim.tables.matches.physdev import PhysdevMatch
from svcsim.tables.matches.pkttype import PkttypeMatch
from svcsim.tables.matches.quota import QuotaMatch
from svcsim.tables.matches.recent import RecentMatch
from svcsim.tables.matches.rpfilter import RpfilterMatch
from svcsim.tables.matches.sctp import SctpMatch
from svcsim.tables.matches.set import SetMatch
from svcsim.tables.matches.state import StateMatch
from svcsim.tables.matches.statistic import NthMatch, RandomMatch, StatisticMatch
from svcsim.tables.matches.string import StringMatch
from svcsim.tables.matches.tcp import TcpMatch
from svcsim.tables.matches.tcpmss import TcpmssMatch
from svcsim.tables.matches.time import TimeMatch
from svcsim.tables.matches.tos import TosMatch
from svcsim.tables.matches.ttl import HlMatch, TtlMatch
from svcsim.tables.matches.u32 import U32Match
from svcsim.tables.matches.udp import UdpMatch

__all__ = [
    "AddrtypeMatch",
    "AhMatch",
    "CommentMatch",
    "ConnbytesMatch",
    "ConnlimitMatch",
    "ConnmarkMatch",
    "ConntrackMatch",
    "DevgroupMatch",
    "DscpMatch",
    "EcnMatch",
    "EspMatch",
    "HashlimitMatch",
    "HelperMatch",
    "HlMatch",
    "Icmp6Match",
    "IcmpMatch",
    "IprangeMatch",
    "IpvsMatch",
    "LengthMatch",
    "LimitMatch",
    "MacMatch",
    "MarkMatch",
    "MultiportMatch",
    "NthMatch",
    "OwnerMatch",
    "PhysdevMatch",
    "PkttypeMatch",
    "QuotaMatch",
    "RandomMatch",
    "RecentMatch",
    "RpfilterMatch",
    "SctpMatch",
    "SetMatch",
    "StateMatch",
    "StatisticMatch",
    "StringMatch",
    "TcpMatch",
    "TcpmssMatch",
    "TimeMatch",
    "TosMatch",
    "TtlMatch",
    "U32Match",
    "UdpMatch",
]
