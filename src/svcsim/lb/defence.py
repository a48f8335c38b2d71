"""
IPVS under attack: what it drops when memory runs short, and when it is told that it does.

Behaviour of: update_defense_level, ip_vs_todrop, ip_vs_random_dropentry. The sysctls drop_entry, drop_packet and
secure_tcp are 0 (never), 3 (always) or automatic: 1 while memory suffices, 2 while it does not, and once a second the
kernel turns the one into the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from svcsim.clock import SECOND, Timer
from svcsim.lb.conn import TABLE_SIZE, VsConn, bucket_of
from svcsim.lb.service import ServiceFlags
from svcsim.packet import Proto

if TYPE_CHECKING:
    from svcsim.hooks import Host
    from svcsim.lb.conn import ConnTable

__all__ = ["Defence"]

_MODES = ("drop_entry", "drop_packet", "secure_tcp")
_CALM, _SHORT, _ALWAYS = 1, 2, 3
_PLENTY = 1 << 20
#: The part of the table that is looked at each second.
_PART = TABLE_SIZE // 32
_OLD = 60 * SECOND
#: Of connections with this many packets every so many-th is dropped; with more, none.
_MOST_PACKETS = 8
_HALF_OPEN = {int(Proto.TCP): (3, 10), int(Proto.SCTP): (1, 2)}
_ESTABLISHED = {int(Proto.TCP): 1, int(Proto.SCTP): 8}


class Defence:
    """
    Whether new connections are dropped, old ones made room of, and TCP not believed before it has answered.

    *available* is the memory (pages) that the host has left; nothing here uses any, so its owner sets it. Below
    ``amemthresh`` the automatic modes act. *changed* is called when `secure` may have changed.

    >>> from svcsim.node import Node
    >>> node = Node()
    >>> node.ipvs.defence.available = 512
    >>> node.run("sysctl -qw net.ipv4.vs.drop_packet=1").returncode
    0
    >>> _ = node.advance(1); print(node.run("sysctl net.ipv4.vs.drop_packet").stdout, end=""); node.ipvs.defence.rate
    net.ipv4.vs.drop_packet = 2
    2
    """

    def __init__(self, host: Host, conns: ConnTable, changed: Callable[[], None]) -> None:
        self.available = _PLENTY
        self.rate = 0  # of drop_packet: every so many-th packet, 0 for none
        self.secure = False
        self._counter = 0
        self._drops_entries = False
        self._spared = [0] * (_MOST_PACKETS + 1)
        self._host, self._conns, self._changed = host, conns, changed
        self._draws = host.streams["ipvs drop_entry"]
        self._timer: Timer | None = None
        for name in (*_MODES, "am_droprate", "amemthresh"):
            host.sysctls.on_write(f"net.ipv4.vs.{name}", self._written)

    def drops_packet(self) -> bool:
        """Whether this packet, which would have been scheduled, is dropped."""
        if not self.rate:
            return False
        self._counter -= 1
        if self._counter > 0:
            return False
        self._counter = self.rate
        return True

    def _mode(self, name: str) -> int:
        return self._host.sysctls[f"net.ipv4.vs.{name}"]

    def _written(self) -> None:
        """Do what is asked for outright at once (the kernel within a second), and look after the rest each second."""
        self._judge()
        any_on = any(self._mode(name) for name in _MODES)
        if any_on and (self._timer is None or not self._timer.pending):
            self._timer = self._host.clock.call_after(SECOND, self._look)
        elif not any_on and self._timer is not None:
            self._timer.cancel()

    def _judge(self) -> None:
        """See which defences are in force."""
        threshold, short = self._mode("amemthresh"), self.available < self._mode("amemthresh")
        acts = {name: (mode := self._mode(name)) == _ALWAYS or (mode > 0 and short) for name in _MODES}
        self._drops_entries = acts["drop_entry"]
        if not acts["drop_packet"]:
            self.rate = 0
        elif self._mode("drop_packet") == _ALWAYS:
            self.rate = self._mode("am_droprate")
        else:
            self.rate = self._counter = threshold // (threshold - self.available)
        self.secure = acts["secure_tcp"]
        self._changed()

    def _look(self) -> None:
        """A second has passed."""
        short = self.available < self._mode("amemthresh")
        self._judge()
        for name in _MODES:
            if self._mode(name) == (_CALM if short else _SHORT):
                self._host.sysctls.values[f"net.ipv4.vs.{name}"] = _SHORT if short else _CALM
        if self._drops_entries:
            self._make_room()
        self._timer = self._host.clock.call_after(SECOND, self._look)

    def _make_room(self) -> None:
        """Drop what is hardly worth keeping, in a 32nd of the table drawn at random."""
        buckets: dict[int, list[VsConn]] = {}
        for conn in self._conns:
            buckets.setdefault(bucket_of(conn), []).append(conn)
        for _ in range(_PART):
            for conn in _newest_first(buckets.get(self._draws.below(TABLE_SIZE), ())):
                if conn.serial and not conn.controlled and self._is_spare(conn):
                    self._conns.delete(conn)
                    if conn.control is not None and not conn.control.controlled:
                        self._conns.delete(conn.control)

    def _is_spare(self, conn: VsConn) -> bool:
        """Whether a connection may go: half open, or long silent after few packets, and then every so many-th."""
        if conn.template:
            service = conn.dest.service if conn.dest is not None else None
            if service is not None and service.flags & ServiceFlags.ONE_PACKET:
                return self._is_idle(conn)
            return not conn.assured
        if conn.proto in _HALF_OPEN:
            if conn.state in _HALF_OPEN[conn.proto]:
                return True
            return conn.state == _ESTABLISHED[conn.proto] and self._is_idle(conn)
        return self._is_idle(conn)

    def _is_idle(self, conn: VsConn) -> bool:
        timer = conn.timer
        if timer is None or timer.deadline is None or conn.timeout + self._host.clock.now < timer.deadline + _OLD:
            return False
        if not 1 <= conn.in_pkts <= _MOST_PACKETS:
            return False
        self._spared[conn.in_pkts] -= 1
        if self._spared[conn.in_pkts] > 0:
            return False
        self._spared[conn.in_pkts] = conn.in_pkts
        return True


def _newest_first(conns: Iterable[VsConn]) -> list[VsConn]:
    """The order of a chain."""
    return list(conns)[::-1]
