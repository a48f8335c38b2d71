"""The built-in schedulers, one file each; importing this package registers them."""

from __future__ import annotations

from svcsim.lb.schedulers.dh import DestinationHashing
from svcsim.lb.schedulers.fo import WeightedFailover
from svcsim.lb.schedulers.lblc import LocalityLeastConnection
from svcsim.lb.schedulers.lblcr import LocalityLeastConnectionReplicated
from svcsim.lb.schedulers.lc import LeastConnection
from svcsim.lb.schedulers.mh import MaglevHashing
from svcsim.lb.schedulers.none import NoScheduler
from svcsim.lb.schedulers.nq import NeverQueue
from svcsim.lb.schedulers.ovf import WeightedOverflow
from svcsim.lb.schedulers.rr import RoundRobin
from svcsim.lb.schedulers.sed import ShortestExpectedDelay
from svcsim.lb.schedulers.sh import SourceHashing
from svcsim.lb.schedulers.twos import PowerOfTwoChoices
from svcsim.lb.schedulers.wlc import WeightedLeastConnection
from svcsim.lb.schedulers.wrr import WeightedRoundRobin

__all__ = [
    "DestinationHashing",
    "LeastConnection",
    "LocalityLeastConnection",
    "LocalityLeastConnectionReplicated",
    "MaglevHashing",
    "NeverQueue",
    "NoScheduler",
    "PowerOfTwoChoices",
    "RoundRobin",
    "ShortestExpectedDelay",
    "SourceHashing",
    "WeightedFailover",
    "WeightedLeastConnection",
    "WeightedOverflow",
    "WeightedRoundRobin",
]
