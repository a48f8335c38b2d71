"""
From the virtual servers that there are to those that shall be, without cutting off connections.

Behaviour of: kube-proxy v1.36, ipvs mode, with its graceful termination. A destination that shall go gets no new
connection (weight 0) until its old ones have ended; UDP and SCTP know no end, so theirs goes at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import attrs

from svcsim.addr import Family, Prefix, format_address, parse_address
from svcsim.kube.ipvs_plan import VirtualServer
from svcsim.kube.programmer import Step
from svcsim.kube.state import host_port
from svcsim.lb.control import Control
from svcsim.lb.service import Destination, ServiceFlags, ServiceKey, VirtualService
from svcsim.packet import Proto

__all__ = ["Leaving", "Place", "ended", "server_changes", "unwanted_servers"]

#: Address and port of a destination.
Place = tuple[int, int]

_OPTIONS = {Proto.TCP: "-t", Proto.UDP: "-u", Proto.SCTP: "--sctp-service"}


@attrs.define
class Leaving:
    """
    The termination list: the destinations with weight 0 that wait for their connections to end.

    Times are not in it: `ended` looks at it whenever it is asked, which kube-proxy does once a minute.
    """

    places: dict[tuple[ServiceKey, Place], None] = attrs.field(factory=dict)

    def add(self, key: ServiceKey, place: Place) -> None:
        """Have a destination wait."""
        self.places[key, place] = None

    def drop(self, key: ServiceKey, place: Place) -> None:
        """Have a destination wait no more."""
        self.places.pop((key, place), None)

    def __contains__(self, item: tuple[ServiceKey, Place]) -> bool:
        return item in self.places

    def __len__(self) -> int:
        return len(self.places)


def server_changes(
    ipvs: Control, wanted: Mapping[ServiceKey, VirtualServer], leaving: Leaving, *, first: bool
) -> list[Step]:
    """
    What ``ipvsadm -R`` is told so that *ipvs* has every server that is *wanted*, with its destinations.

    *leaving* is brought up to date with it. At the *first* sync of a process nobody remembers why a destination has
    another weight than 1: where one has, those that are wanted get theirs back.
    """
    lines: list[str] = []
    for server in wanted.values():
        held = ipvs.table.get(server.key)
        if held is None:
            lines.append(f"-A {_words(server)}")
        elif _differs(held, server):
            lines.append(f"-E {_words(server)}")
        lines += _destination_lines(server, held, leaving, first=first)
    return _step(lines)


def unwanted_servers(
    ipvs: Control, wanted: Iterable[ServiceKey], family: Family, excluded: Sequence[Prefix], leaving: Leaving
) -> list[Step]:
    """What takes away the servers of *family* that nobody wants, but for those at *excluded* addresses."""
    kept = set(wanted)
    lines = []
    for service in list(ipvs.services):
        key = service.key
        if key.family is not family or key.fwmark or key in kept:
            continue
        if not any(prefix.family is family and key.address in prefix for prefix in excluded):
            lines.append(f"-D {_name(key)}")
            for place in [place for owner, place in leaving.places if owner == key]:
                leaving.drop(key, place)
    return _step(lines)


def ended(ipvs: Control, leaving: Leaving) -> list[Step]:
    """What takes away the waiting destinations whose connections have ended; those that are gone are forgotten."""
    lines = []
    for key, place in list(leaving.places):
        service = ipvs.table.get(key)
        held = service.find(key.family, *place) if service is not None else None
        if held is not None and not _may_go(key, held):
            continue
        leaving.drop(key, place)
        if held is not None:
            lines.append(f"-d {_name(key)} -r {held}")
    return _step(lines)


def _destination_lines(
    server: VirtualServer, held: VirtualService | None, leaving: Leaving, *, first: bool
) -> Iterable[str]:
    key, name = server.key, _name(server.key)
    present: dict[Place, Destination] = {}
    for each in reversed(held.destinations if held is not None else []):
        present[each.address, each.port] = each
    restored = first and any(each.weight != 1 for each in present.values())
    wanted: dict[Place, str] = {(parse_address(e.address).value, e.port): str(e) for e in server.endpoints}
    for place, endpoint in wanted.items():
        entry = f"{name} -r {endpoint} -m -w 1"
        if place not in present:
            leaving.drop(key, place)
            yield f"-a {entry}"
        elif (key, place) in leaving:
            leaving.drop(key, place)
            yield f"-d {name} -r {endpoint}"
            yield f"-a {entry}"
        elif restored:
            yield f"-e {entry}"
    for place, destination in present.items():
        if place in wanted or (key, place) in leaving:
            continue
        if _may_go(key, destination):
            yield f"-d {name} -r {destination}"
        else:
            leaving.add(key, place)
            yield f"-e {name} -r {destination} -m -w 0"


def _may_go(key: ServiceKey, destination: Destination) -> bool:
    """Whether a destination can be taken away now: its protocol knows no end, or all its connections are over."""
    return key.proto != Proto.TCP or destination.active + destination.inactive == 0


def _differs(held: VirtualService, server: VirtualServer) -> bool:
    flags = held.flags & ~ServiceFlags.HASHED
    timeout = held.timeout if flags & ServiceFlags.PERSISTENT else 0
    return (held.scheduler.name, flags, timeout) != (server.scheduler, server.flags, server.timeout)


def _words(server: VirtualServer) -> str:
    words = f"{_name(server.key)} -s {server.scheduler}"
    if server.flags & ServiceFlags.PERSISTENT:
        words += f" -p {server.timeout}"
    if server.flags & ServiceFlags.SCHED2:
        words += " -b mh-port"
    return words


def _name(key: ServiceKey) -> str:
    return f"{_OPTIONS[Proto(key.proto)]} {host_port(format_address(key.family, key.address), key.port)}"


def _step(lines: Sequence[str]) -> list[Step]:
    return [Step("ipvsadm -R", "".join(f"{line}\n" for line in lines))] if lines else []
