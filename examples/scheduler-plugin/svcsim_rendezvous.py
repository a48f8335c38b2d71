"""
Rendezvous hashing, or highest random weight: a scheduler that is not in the kernel.

Source: Thaler and Ravishankar, "Using Name-Based Mappings to Increase Hit Rates", IEEE/ACM Transactions on Networking 6,
1998; weights as in Schindelhauer and Schomaker, "Weighted Distributed Hash Tables", 2005.
"""

import math
from hashlib import blake2b

from svcsim.hooks import Skb
from svcsim.lb.scheduler import Scheduler
from svcsim.lb.service import Destination, VirtualService


class RendezvousHashing(Scheduler):
    """
    Send a client to the destination that bids most for it; a change moves no client but those that it must.

    A bid is drawn by hashing client and destination together, so it depends on no other destination and on no history. One
    that is quiesced or overloaded does not bid.

    >>> from svcsim.lb.bench import Bench
    >>> bench = Bench(RendezvousHashing, [1, 1, 2])
    >>> bench.picks(8)
    [1, 2, 2, 2, 1, 1, 1, 2]
    """

    def schedule(self, service: VirtualService, skb: Skb) -> Destination | None:
        """Return the highest bidder."""
        usable = (d for d in service.destinations if d.weight > 0 and not d.overloaded)
        return max(usable, key=lambda destination: self.bid(skb.src, destination), default=None)

    @staticmethod
    def bid(client: int, destination: Destination) -> float:
        """A number above 0: the highest of several is that of weight w with probability w / (sum of weights)."""
        text = f"{client} {destination.address} {destination.port}"
        drawn = int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) >> 12
        chance = (drawn + 0.5) / 2**52  # between 0 and 1, both left out: a float holds it to the last bit
        return destination.weight / -math.log(chance)
