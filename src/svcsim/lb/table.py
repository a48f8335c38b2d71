"""
The hashed virtual-service table.

Behaviour of: ip_vs_svc_table, ip_vs_svc_fwm_table. 256 chained buckets by protocol, address and port, and 256 by
firewall mark; a new service goes to the head of its chain. Finding a service takes as many probes as its chain is deep,
however many services there are: `probes` counts them.
"""

from __future__ import annotations

from collections.abc import Iterator

from svcsim.addr import Family
from svcsim.lb.scheduler import fold
from svcsim.lb.service import ServiceKey, VirtualService
from svcsim.packet import Proto

__all__ = ["ServiceTable"]

_BUCKETS = 256
_LAST = _BUCKETS - 1
_U32 = 0xFFFFFFFF
_FTP, _FTP_DATA = 21, 20


def _bucket(proto: int, address: int, port: int) -> int:
    folded = address if address <= _U32 else fold(address)
    return (proto ^ folded ^ port >> 8 ^ port) & _LAST


class ServiceTable:
    """The services of one host. *unprivileged* is the first port that an FTP server may open for data."""

    def __init__(self) -> None:
        self.probes = 0
        self.unprivileged = 1024
        self._by_address: list[list[VirtualService]] = [[] for _ in range(_BUCKETS)]
        self._by_mark: list[list[VirtualService]] = [[] for _ in range(_BUCKETS)]
        self._marks = 0
        self._any_port = 0
        self._ftp = 0

    def __len__(self) -> int:
        return sum(map(len, self._by_address)) + self._marks

    def __iter__(self) -> Iterator[VirtualService]:
        """Every service in the order of a dump: buckets by address, then by mark, the newest of a bucket first."""
        for chain in (*self._by_address, *self._by_mark):
            yield from chain

    def _chain(self, key: ServiceKey) -> list[VirtualService]:
        if key.fwmark:
            return self._by_mark[key.fwmark & _BUCKETS - 1]
        return self._by_address[_bucket(key.proto, key.address, key.port)]

    def add(self, service: VirtualService) -> None:
        """Hang a service at the head of its chain."""
        self._chain(service.key).insert(0, service)
        self._count(service.key, 1)

    def remove(self, service: VirtualService) -> None:
        """Take a service off its chain."""
        self._chain(service.key).remove(service)
        self._count(service.key, -1)

    def _count(self, key: ServiceKey, by: int) -> None:
        self._marks += by if key.fwmark else 0
        self._any_port += by if key.port == 0 else 0
        self._ftp += by if key.port == _FTP and not key.fwmark else 0

    def get(self, key: ServiceKey) -> VirtualService | None:
        """The service of exactly this key; looking for it so is no probe."""
        for service in self._chain(key):
            if service.key == key:
                return service
        return None

    def find(self, family: Family, mark: int, proto: int, address: int, port: int) -> VirtualService | None:
        """
        The service that a packet is for: its mark's, else its address and port's, else FTP's, else port 0's.
        """
        if mark and self._marks:
            for service in self._by_mark[mark & _BUCKETS - 1]:
                self.probes += 1
                if service.key.fwmark == mark and service.key.family is family:
                    return service
        found = self._exact(family, proto, address, port)
        if found is None and self._ftp and proto == Proto.TCP and (port == _FTP_DATA or port >= self.unprivileged):
            found = self._exact(family, proto, address, _FTP)
        if found is None and self._any_port:
            found = self._exact(family, proto, address, 0)
        return found

    def _exact(self, family: Family, proto: int, address: int, port: int) -> VirtualService | None:
        probes = 0
        for service in self._by_address[_bucket(proto, address, port)]:
            probes += 1
            key = service.key
            if key.address == address and key.port == port and key.proto == proto and key.family is family:
                self.probes += probes
                return service
        self.probes += probes
        return None
