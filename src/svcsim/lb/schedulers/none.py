"""
No scheduler at all.

Behaviour of: the scheduler name "none" (`ipvsadm -s none`): the service stands, but nothing is ever scheduled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from svcsim.lb.scheduler import SCHEDULERS, Scheduler

if TYPE_CHECKING:
    from svcsim.hooks import Skb
    from svcsim.lb.service import Destination, VirtualService

__all__ = ["NoScheduler"]


@SCHEDULERS.register("none")
@attrs.define(eq=False)
class NoScheduler(Scheduler):
    """Choose nothing: only clients that persistence pinned earlier are still served."""

    def schedule(self, service: VirtualService, skb: Skb) -> Destination | None:
        return None
