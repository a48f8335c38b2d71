"""Load balancing: IPVS and its schedulers."""

from svcsim.lb import schedulers

__all__ = ["schedulers"]
