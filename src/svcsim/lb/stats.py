"""
Counters of services and destinations, and the rates estimated from them.

Behaviour of: ip_vs_est. Every two seconds a snapshot is taken and each rate moves a quarter of the way to what was just
measured. User space sees the snapshot, so ``ipvsadm --stats`` lags by up to two seconds; `Stats` itself is live.
"""

from __future__ import annotations

import attrs

from svcsim.clock import SECOND

__all__ = ["INTERVAL", "Rates", "Stats", "Totals"]

#: The estimator's period.
INTERVAL = 2 * SECOND
#: After so many idle periods every rate is zero and stays so.
_SETTLED = 256


@attrs.frozen
class Totals:
    """What was counted: connections, packets and bytes in and out."""

    conns: int = 0
    inpkts: int = 0
    outpkts: int = 0
    inbytes: int = 0
    outbytes: int = 0


@attrs.frozen
class Rates:
    """Per second, as they are shown."""

    cps: int = 0
    inpps: int = 0
    outpps: int = 0
    inbps: int = 0
    outbps: int = 0


@attrs.define(eq=False)
class Stats:
    """
    The live counters of one service or destination (or of all), with their last snapshot.

    >>> stats = Stats()
    >>> shown = []
    >>> for _ in range(6):  # 100 connections a second
    ...     stats.conns += 200
    ...     stats.estimate()
    ...     shown.append(stats.rates().cps)
    >>> shown
    [25, 44, 58, 68, 76, 82]
    """

    conns: int = 0
    inpkts: int = 0
    outpkts: int = 0
    inbytes: int = 0
    outbytes: int = 0
    _snapshot: tuple[int, ...] = (0, 0, 0, 0, 0)
    _zero: tuple[int, ...] = (0, 0, 0, 0, 0)
    _averages: tuple[int, ...] = (0, 0, 0, 0, 0)

    def live(self) -> Totals:
        """What was counted up to now, since the last zeroing."""
        return Totals(*(value - zero for value, zero in zip(self._counters(), self._zero, strict=True)))

    def shown(self) -> Totals:
        """What user space sees: the last snapshot, since the last zeroing."""
        return Totals(*(value - zero for value, zero in zip(self._snapshot, self._zero, strict=True)))

    def rates(self) -> Rates:
        """The estimated rates as user space sees them."""
        cps, inpps, outpps, inbps, outbps = self._averages
        return Rates(
            (cps + 0x1FF) >> 10,
            (inpps + 0x1FF) >> 10,
            (outpps + 0x1FF) >> 10,
            (inbps + 0xF) >> 5,
            (outbps + 0xF) >> 5,
        )

    def zero(self) -> None:
        """Begin to count anew from the last snapshot: what came after it shows up again with the next."""
        self._zero = self._snapshot
        self._averages = (0, 0, 0, 0, 0)

    def reset(self) -> None:
        """Forget everything (the service was made anew)."""
        self.conns = self.inpkts = self.outpkts = self.inbytes = self.outbytes = 0
        self._snapshot = self._zero = self._averages = (0, 0, 0, 0, 0)

    def estimate(self, periods: int = 1) -> None:
        """Let *periods* of two seconds end, the later ones idle."""
        for _ in range(min(periods, _SETTLED)):
            now = self._counters()
            if now == self._snapshot and not any(self._averages):
                return
            averages = []
            for value, last, average, shift in zip(now, self._snapshot, self._averages, (9, 9, 9, 4, 4), strict=True):
                averages.append(average + (((value - last << shift) - average) >> 2))
            self._snapshot, self._averages = now, tuple(averages)

    def _counters(self) -> tuple[int, ...]:
        return (self.conns, self.inpkts, self.outpkts, self.inbytes, self.outbytes)
