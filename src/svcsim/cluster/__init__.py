"""
Clusters in memory: nodes that kube-proxies program, pods behind them, and connections through it all.
"""

from svcsim.cluster.world import Cluster

__all__ = ["Cluster"]
