"""
Clusters in memory: nodes that kube-proxies program, pods behind them, and connections through it all.
"""

from svcsim.cluster.sketch import Sketch
from svcsim.cluster.world import Cluster

__all__ = ["Cluster", "Sketch"]
