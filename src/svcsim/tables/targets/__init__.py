"""The built-in targets, one file each; importing this package registers them."""

from __future__ import annotations

from svcsim.tables.targets.audit import AuditTarget
from svcsim.tables.targets.checksum import ChecksumTarget
from svcsim.tables.targets.classify import ClassifyTarget
from svcsim.tables.targets.connmark import ConnmarkTarget
from svcsim.tables.targets.ct import CtTarget, NotrackTarget
from svcsim.tables.targets.dnat import DnatTarget
from svcsim.tables.targets.dscp import DscpTarget
from svcsim.tables.targets.log import LogTarget
from svcsim.tables.targets.mark import MarkTarget
from svcsim.tables.targets.masquerade import MasqueradeTarget
from svcsim.tables.targets.netmap import NetmapTarget
from svcsim.tables.targets.nflog import NflogTarget
from svcsim.tables.targets.queue import NfqueueTarget, QueueTarget
from svcsim.tables.targets.redirect import RedirectTarget
from svcsim.tables.targets.reject import RejectTarget
from svcsim.tables.targets.set import SetTarget
from svcsim.tables.targets.snat import SnatTarget
from svcsim.tables.targets.standard import Accept, Drop, Return
from svcsim.tables.targets.tcpmss import TcpmssTarget
from svcsim.tables.targets.tos import TosTarget
from svcsim.tables.targets.trace import TraceTarget
from svcsim.tables.targets.ttl import HlTarget, TtlTarget

__all__ = [
    "Accept",
    "AuditTarget",
    "ChecksumTarget",
    "ClassifyTarget",
    "ConnmarkTarget",
    "CtTarget",
    "DnatTarget",
    "Drop",
    "DscpTarget",
    "HlTarget",
    "LogTarget",
    "MarkTarget",
    "MasqueradeTarget",
    "NetmapTarget",
    "NflogTarget",
    "NfqueueTarget",
    "NotrackTarget",
    "QueueTarget",
    "RedirectTarget",
    "RejectTarget",
    "Return",
    "SetTarget",
    "SnatTarget",
    "TcpmssTarget",
    "TosTarget",
    "TraceTarget",
    "TtlTarget",
]
