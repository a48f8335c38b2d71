"""The built-in targets, one file each; importing this package registers them."""

from __future__ import annotations

from svcsim.tables.targets.connmark import ConnmarkTarget
from svcsim.tables.targets.ct import CtTarget, NotrackTarget
from svcsim.tables.targets.dnat import DnatTarget
from svcsim.tables.targets.dscp import DscpTarget
from svcsim.tables.targets.log import LogTarget
from svcsim.tables.targets.mark import MarkTarget
from svcsim.tables.targets.masquerade import MasqueradeTarget
from svcsim.tables.targets.netmap import NetmapTarget
from svcsim.tables.targets.nflog import NflogTarget
from svcsim.tables.targets.redirect import RedirectTarget
from svcsim.tables.targets.reject import RejectTarget
from svcsim.tables.targets.set import SetTarget
from svcsim.tables.targets.snat import SnatTarget
from svcsim.tables.targets.standard import Accept, Drop, Return
from svcsim.tables.targets.tos import TosTarget
from svcsim.tables.targets.ttl import HlTarget, TtlTarget

__all__ = [
    "Accept",
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
    "NotrackTarget",
    "RedirectTarget",
    "RejectTarget",
    "Return",
    "SetTarget",
    "SnatTarget",
    "TosTarget",
    "TtlTarget",
]
